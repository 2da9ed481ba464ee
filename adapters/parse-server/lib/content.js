'use strict';

// The body of a push, as Parse Server hands it to adapters, becomes what a delivery says.

// What else is in a body (where, channels, push_time, audience_id) is between Parse Server and
// its callers.
const KEYS = [
  'data',
  'notification',
  'rawPayload',
  'collapse_id',
  'push_type',
  'priority',
  'android',
  'webpush',
  'wns',
  'truncate',
  'variables',
  'template',
];

// Who gives Parse Server milliseconds for seconds means no year of five digits.
const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * @param {object} body `data` with badges and locales resolved; `expiration_time` in milliseconds
 * @returns {{content: object, expiration_time?: string, expiration_interval?: number}}
 * @throws {TypeError} naming the field
 */
function readBody(body) {
  if (body === null || typeof body !== 'object') throw new TypeError('the push must be an object');
  const said = KEYS.filter(key => body[key] !== undefined && body[key] !== null);
  const content = Object.fromEntries(said.map(key => [key, body[key]]));
  return { content, ...readExpiry(body) };
}

function readExpiry({ expiration_time: time, expiration_interval: interval }) {
  if (time !== undefined && time !== null) return { expiration_time: moment(time) };
  if (interval !== undefined && interval !== null) return { expiration_interval: interval };
  return {};
}

function moment(value) {
  const date = new Date(value);
  if (!Number.isNaN(date.getTime())) return new Date(Math.min(date, LAST_MOMENT)).toISOString();
  throw new TypeError('expiration_time must be a time: milliseconds since 1970, or ISO 8601');
}

/**
 * @param {object} body
 * @returns {boolean} whether Parse Server has just written a badge to every installation, which
 *   has made all of their updatedAt new; never throws
 */
function setsBadge(body) {
  try {
    return (body?.data?.badge ?? null) !== null;
  } catch {
    // What cannot be read fails when it is sent, with a row for each device.
    return false;
  }
}

module.exports = { readBody, setsBadge };
