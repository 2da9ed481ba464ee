'use strict';

// An installation of Parse becomes a recipient of pushsvc, or has an error of its own.

const APPLE = ['ios', 'macos', 'osx', 'tvos', 'watchos'];
const WINDOWS = ['winrt', 'winphone', 'dotnet'];
/** Device types whose devices pushsvc reaches; those of `embedded` only by a push type. */
const REACHED = [...APPLE, 'android', 'fcm', 'web', ...WINDOWS];
const TAKEN = [...REACHED, 'embedded'];

const TOKEN_CHARACTERS = 4_096;
const TEXT_CHARACTERS = 255;
const BADGES = { least: -(2 ** 31), most: 2 ** 31 - 1 };
// No database of text holds half a character, or NUL.
const UNSTORABLE = /[\0\ud800-\udfff]/u;
// It becomes a header, which pushsvc takes no such character for.
const CONTROL = /[\0-\x1f\x7f]/;
// A client may save any type, and Parse Server makes a key of its counts of it: an update with
// `__proto__`, `constructor` (within a word, too) or `9` is refused, which ends the process.
const COUNTABLE = /^[A-Za-z][A-Za-z0-9_]{0,31}$/;
const UNCOUNTABLE = /constructor|__proto__|_bsontype/;
const OTHER_TYPE = 'other';
// Those of ISO 8601 that are read everywhere.
const YEARS = /^(?!0000)\d{4}-/;
const EXPO_TOKEN = /^Expo(nent)?PushToken\[/;

const ERRORS = {
  row: 'InvalidInstallation: the installation is no object',
  unread: 'InvalidInstallation: the installation cannot be read',
  none: 'MissingDeviceToken: the installation has no deviceToken',
  expo: "ExpoToken: Expo's tokens are not delivered to; route them to @parse/push-adapter",
  subscription:
    "WebPushSubscription: a browser's own subscription is not delivered to; register the " +
    'browser with FCM, or route it to @parse/push-adapter',
};

/** Where an address is from, and the reason that names it when it cannot be one. */
const SOURCES = {
  token: 'InvalidDeviceToken: deviceToken',
  channel: 'InvalidChannelUri: channelUris._Default',
};

/**
 * One device of a call: what Parse Server is to be told it by, and either a recipient or an error.
 * @typedef {object} Device
 * @property {unknown} deviceToken the installation's own
 * @property {string} deviceType the installation's own, or `other` where none can be counted by it
 * @property {string} [address] where it is sent to
 * @property {object} [recipient] as `POST /v1/deliveries` has it
 * @property {string} [error] why it cannot be sent to
 * @property {string} [delivery] by which it was sent to, or tried
 * @property {boolean} [isInDoubt] no answer came: it may be sent to, or not
 */

/**
 * @param {unknown} row an installation, as REST has it
 * @param {object} push
 * @param {boolean} push.setsBadge Parse Server has just saved all installations with new badges
 * @returns {Device} never throws
 */
function readDevice(row, { setsBadge }) {
  const device = { deviceToken: undefined, deviceType: OTHER_TYPE };
  if (row === null || typeof row !== 'object') return { ...device, error: ERRORS.row };
  try {
    const { deviceToken, deviceType } = row;
    device.deviceToken = deviceToken;
    if (isCountable(deviceType)) device.deviceType = deviceType;
    return Object.assign(device, addressed(row, { deviceToken, deviceType }, setsBadge));
  } catch {
    // A row of Cloud Code may compute its fields, and fail.
    return { ...device, error: ERRORS.unread };
  }
}

function addressed(row, { deviceToken, deviceType }, setsBadge) {
  if (!TAKEN.includes(deviceType)) return { error: unknownType(deviceType) };
  const { pushType } = row;
  const type = wayOf(deviceType, pushType);
  const channel = (WINDOWS.includes(type) && row.channelUris?._Default) || null;
  const address = channel ?? deviceToken;
  const error = faultOf(address, channel ? 'channel' : 'token') ?? unreachable(address, type);
  if (error) return { error };
  const recipient = {
    id: text(row.objectId),
    device_type: deviceType,
    push_type: text(pushType),
    ...(channel ? { channel_uris: { _Default: channel } } : { token: address }),
    app_identifier: header(row.appIdentifier),
    badge: badge(row.badge),
    locale: text(row.localeIdentifier),
    time_zone: text(row.timeZone),
    registered_at: time(setsBadge ? row.createdAt : row.updatedAt),
  };
  return { address, recipient };
}

/** The type that says by which way it is sent to: the push type where it names one. */
function wayOf(deviceType, pushType) {
  return pushType === 'expo' || REACHED.includes(pushType) ? pushType : deviceType;
}

function isCountable(type) {
  if (typeof type !== 'string' || type in {}) return false;
  return COUNTABLE.test(type) && !UNCOUNTABLE.test(type);
}

function unknownType(deviceType) {
  if (deviceType === 'expo') return ERRORS.expo;
  const shown = typeof deviceType === 'string' ? `'${deviceType.slice(0, 40)}'` : 'none';
  return `UnknownDeviceType: the deviceType is ${shown}; pushsvc has ${REACHED.join(', ')}`;
}

function faultOf(address, source) {
  if (address === undefined || address === null || address === '') return ERRORS.none;
  const refused = wanted => `${SOURCES[source]} must ${wanted}`;
  if (typeof address !== 'string') return refused('be a text');
  if (address.length > TOKEN_CHARACTERS) {
    return refused(`have at most ${TOKEN_CHARACTERS} characters`);
  }
  return UNSTORABLE.test(address) ? refused('have whole characters only, and no NUL') : null;
}

function unreachable(address, type) {
  if (type === 'expo' || EXPO_TOKEN.test(address)) return ERRORS.expo;
  if (type === 'web' && address.startsWith('{')) return ERRORS.subscription;
  return null;
}

// What is beside the address is left out where it is not what it should be: better the message
// without its locale than none.

function text(value) {
  const fits = typeof value === 'string' && value !== '' && value.length <= TEXT_CHARACTERS;
  return fits && !UNSTORABLE.test(value) ? value : undefined;
}

function header(value) {
  const fit = text(value);
  return fit === undefined || CONTROL.test(fit) ? undefined : fit;
}

function badge(value) {
  const fits = Number.isInteger(value) && value >= BADGES.least && value <= BADGES.most;
  return fits ? value : undefined;
}

function time(value) {
  const date = new Date(value?.iso ?? value ?? NaN);
  const written = Number.isNaN(date.getTime()) ? '' : date.toISOString();
  return YEARS.test(written) ? written : undefined;
}

/**
 * Have all devices with one address say when it was last known to be good: only the first of them
 * is sent to, and a word against its token is one against the token of all.
 * @param {Device[]} devices whose recipients are changed
 */
function shareMoments(devices) {
  const latest = new Map();
  const sent = devices.filter(device => device.recipient);
  for (const device of sent) {
    const key = addressKey(device);
    const { registered_at: known = '' } = device.recipient;
    if (known > (latest.get(key) ?? '')) latest.set(key, known);
  }
  for (const device of sent) device.recipient.registered_at = latest.get(addressKey(device));
}

/**
 * @param {Device} device with an address
 * @returns {string} what devices have in common that are one
 */
function addressKey({ address }) {
  // APNs's tokens are hexadecimal, in either case.
  return /^[0-9a-f]{64}$/i.test(address) ? address.toLowerCase() : address;
}

/**
 * @param {Device} device with a recipient
 * @returns {string} `apns`, `fcm` or `wns`: the gateway by which pushsvc sends to it
 */
function gatewayOf({ deviceType, address, recipient }) {
  const type = wayOf(deviceType, recipient.push_type);
  if (WINDOWS.includes(type)) return 'wns';
  return APPLE.includes(type) && !address.includes(':') ? 'apns' : 'fcm';
}

module.exports = { APPLE, REACHED, addressKey, gatewayOf, readDevice, shareMoments };
