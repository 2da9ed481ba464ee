'use strict';

// What came of each device, in the rows that Parse Server counts and cleans up by.

const { APPLE, addressKey, gatewayOf } = require('./recipients');

const LONGEST_REASON = 100;

// Reasons that are pushsvc's own, with what to do about them.
const ADVICE = {
  MissingTopic: 'the installation needs an appIdentifier, the bundle id of its app',
  BadTopic: 'the appIdentifier of the installation is no bundle id',
  MissingDeviceToken: 'the installation has no token that pushsvc sends to',
  UnknownDeviceType: 'no gateway of pushsvc reaches this type of device',
  WebPushSubscription: "a browser's own subscription is not delivered to; register it with FCM",
  PayloadTooLarge: 'the message is too large for this gateway; shorten it, or set truncate',
  PayloadEmpty: 'the push says nothing to this kind of device; set data',
  bad_channel_uri: 'the channel is none of WNS',
  provider_retired: 'the channel is one of MPNS, which was switched off in 2018',
};

const CLASSES = {
  token_dead: 'the gateway calls the address dead; it is not the deviceToken',
  token_suspect: 'the gateway rejects the token, which alone does not prove it dead',
  request_bad: 'the gateway refuses the message',
  credential: 'the gateway rejects the credential that pushsvc has for it',
  unknown: 'it may have arrived, and is not sent again',
  expired: 'it expired before it could be sent',
  cancelled: 'it was cancelled',
};

const OTHERWISE = 'it was not delivered';
const EARLY =
  'TokenInQuestion: the gateway calls the token dead; others of its delivery have no outcome yet';
const HELD = 'TokenInQuestion: the gateway calls too many of these tokens dead to be believed';

/**
 * A row of Parse Server's.
 * @typedef {object} Row
 * @property {{deviceToken: unknown, deviceType: string}} device the installation's own
 * @property {boolean} transmitted
 * @property {{error: string}} [response] only where it was not transmitted
 */

/**
 * @param {import('./recipients').Device} device
 * @param {string} sentence the reason in a word, and what to do; made one line
 * @returns {Row} whose error is never a word of Parse Server's clean-up
 */
function failedRow(device, sentence) {
  return row(device, `pushsvc: ${sentence.replace(/[\s\p{Cc}]+/gu, ' ')}`);
}

/**
 * @param {import('./recipients').Device[]} devices of one call, in the order of its recipients
 * @param {import('./service').Delivery} delivery
 * @returns {Row[]} one for each
 */
function deliveredRows(devices, delivery) {
  const firsts = new Map();
  return devices.map((device, place) => {
    let result = delivery.results[place] ?? {};
    const address = addressKey(device);
    // What it says of the first of a token holds for the others: there was one message.
    if (result.outcome === 'deduplicated') result = firsts.get(address) ?? result;
    else if (!firsts.has(address)) firsts.set(address, result);
    return resultRow(device, result, delivery);
  });
}

function resultRow(device, result, delivery) {
  const { outcome } = result;
  if (outcome === 'sent' || outcome === 'deduplicated') return row(device);
  if (typeof outcome !== 'string') return failedRow(device, pending(delivery));
  if (result.class === 'token_dead' && device.address === device.deviceToken) {
    // Who is to be believed is known when all is known.
    if (delivery.pending > 0) return failedRow(device, EARLY);
    const { tokens_held: held } = delivery;
    const isHeld = !Array.isArray(held) || held.includes(gatewayOf(device));
    return isHeld ? failedRow(device, HELD) : row(device, deadWord(device));
  }
  return failedRow(device, told(result, device));
}

function pending({ id }) {
  return `NoOutcomeYet: GET /v1/deliveries/${id} tells what came of it`;
}

// By these words, and no others of ours, Parse Server takes the token out of use.
function deadWord({ deviceType }) {
  return APPLE.includes(deviceType) ? 'Unregistered' : 'NotRegistered';
}

function told({ outcome, class: named, reason }, device) {
  const word = typeof reason === 'string' && reason !== '' ? reason : named ?? outcome;
  const kind = String(word).slice(0, LONGEST_REASON);
  const advice = kind === 'MissingCredential' ? missing(device) : ADVICE[kind];
  return `${kind}: ${advice ?? CLASSES[named] ?? OTHERWISE}`;
}

function missing(device) {
  const gateway = gatewayOf(device);
  const topic = device.recipient.app_identifier;
  const by = gateway === 'apns' && topic ? `with the topic ${topic}` : 'for this device';
  return `pushsvc has no credential of ${gateway} ${by}; add one`;
}

function row({ deviceToken, deviceType }, error) {
  const device = { deviceToken, deviceType };
  if (error === undefined) return { device, transmitted: true };
  return { device, transmitted: false, response: { error } };
}

module.exports = { deliveredRows, failedRow };
