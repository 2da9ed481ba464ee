'use strict';

// One page of installations, handed over to pushsvc under the page's own idempotency key.

const { setsBadge } = require('../content');
const { readDevice, shareMoments } = require('../recipients');
const { CALLS_WITHOUT_REFUSED, refusedOf } = require('../refusals');
const { expiryOf, keyOf } = require('./push');

/**
 * @typedef {object} Handed
 * @property {number} accepted recipients that pushsvc has
 * @property {Object<string, number>} refused devices that it has not, by type
 * @property {string} [why] pushsvc refused all that could be sent to
 * @property {boolean} [tooLarge] somebody on the way refused its size: nothing was handed over
 *
 * @param {import('../service').Service} service
 * @param {import('./push').Push} push
 * @param {object} page
 * @param {number} page.moment
 * @param {string} page.after
 * @param {string} page.upto
 * @param {object[]} page.rows installations
 * @param {string} [page.onUnknown]
 * @returns {Promise<Handed>} rejects with a ServiceError where it is not known to be accepted, and
 *   the same page is to be handed over again
 */
async function handOver(service, push, page) {
  const badge = setsBadge(push);
  const devices = page.rows.map(row => readDevice(row, { setsBadge: badge }));
  shareMoments(devices);
  const refused = devices.filter(device => !device.recipient);
  let left = devices.filter(device => device.recipient);
  let why;
  for (let calls = CALLS_WITHOUT_REFUSED; left.length > 0; calls -= 1) {
    try {
      const request = requestOf(push, page, left);
      await service.deliver(request, { wait: false, key: keyOf(push.id, page) });
      break;
    } catch (error) {
      // This page was accepted, when its installations were not quite as they are now.
      if (error.code === 'idempotency_mismatch') break;
      if (error.status === 413 && page.rows.length > 1) return { tooLarge: true };
      if (!isRefusal(error)) throw error;
      const named = calls > 0 ? refusedOf(error) : null;
      if (!named) why = error.message;
      refused.push(...left.filter((_, place) => !named || named.has(place)));
      left = named ? left.filter((_, place) => !named.has(place)) : [];
    }
  }
  return { accepted: left.length, refused: counted(refused), ...(why && { why }) };
}

/**
 * Whether content, expiry or size is not what pushsvc takes, and will not be later either. An error
 * without a code is a proxy's, which may be repaired.
 */
function isRefusal({ status, code }) {
  return status === 413 || ([400, 422].includes(status) && typeof code === 'string');
}

function requestOf(push, { moment, onUnknown }, devices) {
  const expiry = expiryOf(push, moment);
  return {
    group: push.id,
    content: { data: push.data },
    recipients: devices.map(device => device.recipient),
    expiration_time: expiry === null ? undefined : new Date(expiry).toISOString(),
    on_unknown: onUnknown,
  };
}

function counted(devices) {
  const counts = {};
  for (const { deviceType } of devices) {
    counts[deviceType] = (counts[deviceType] ?? 0) + 1;
  }
  return counts;
}

module.exports = { handOver };
