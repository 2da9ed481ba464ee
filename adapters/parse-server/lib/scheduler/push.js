'use strict';

// A scheduled `_PushStatus` row, read: what is sent, to whom, and until when. Pure.

const { createHash } = require('node:crypto');

const { nearWithoutOrder } = require('./near');
const { readPushTime } = require('./times');

// No clock of a device shows a later one, and ISO 8601 has no usual form for it.
const LATEST = Date.UTC(9999, 11, 31);

/**
 * @typedef {object} Push
 * @property {string} id of the `_PushStatus`
 * @property {{at: number} | {wall: number}} time as of `readPushTime`
 * @property {object} where without what a page adds
 * @property {object} data with `badge: "Increment"` in that one form
 * @property {number | null} expiry epoch milliseconds
 * @property {number | null} lifeMs from each moment on
 */

/** What `readTimes` reads. */
const TIMES = 'pushTime,expiry,expiration_interval';

/**
 * When a push is due, and until when it is sent: its query and payload may be large.
 * @param {object} row
 * @returns {{id: string, time: object, expiry: number | null, lifeMs: number | null}
 *   | {id: string, fault: string}} the fault says which field cannot be understood
 */
function readTimes({ objectId: id, pushTime, expiry, expiration_interval: seconds }) {
  const time = readPushTime(pushTime);
  const fault = [
    time === null && `pushTime is not a time in ISO 8601: ${shown(pushTime)}`,
    isNumberOrNothing(expiry) || `expiry is not a number of milliseconds: ${shown(expiry)}`,
    isNumberOrNothing(seconds) || `expiration_interval is not a number: ${shown(seconds)}`,
  ].find(each => typeof each === 'string');
  if (fault) return { id, fault };
  return { id, time, expiry: expiry ?? null, lifeMs: seconds ? seconds * 1_000 : null };
}

/**
 * @param {object} row
 * @returns {Push | {id: string, fault: string}} as `readTimes`
 */
function readPush(row) {
  const times = readTimes(row);
  if (times.fault) return times;
  const { query, payload } = row;
  const where = readObject(query);
  if (where === null) return { id: times.id, fault: `query is not a JSON object: ${shown(query)}` };
  const data = readObject(payload);
  if (data !== null) {
    return { ...times, where: withToken(nearWithoutOrder(where)), data: withBadge(data) };
  }
  return { id: times.id, fault: `payload is not a JSON object: ${shown(payload)}` };
}

/**
 * @param {Push} push
 * @param {number} moment epoch milliseconds
 * @returns {number | null} when what was sent at that moment expires, epoch milliseconds
 */
function expiryOf({ expiry, lifeMs }, moment) {
  const ends = [expiry, lifeMs === null ? null : moment + lifeMs].filter(each => each !== null);
  return ends.length > 0 ? Math.min(...ends, LATEST) : null;
}

/**
 * The where-clause of a page.
 * @param {Push} push
 * @param {object} page
 * @param {string} page.after the last id of the page before; '' on the first
 * @param {string | null} page.upto the last id of this one, where it is known
 * @param {string[] | null} page.zones of its moment; null where the time is absolute
 * @returns {object}
 */
function whereOf({ where }, { after, upto, zones }) {
  const range = { ...(after && { $gt: after }), ...(upto && { $lte: upto }) };
  const added = {
    ...((after || upto) && { objectId: range }),
    ...(zones && { timeZone: { $in: zones } }),
  };
  const taken = Object.keys(added).some(key => key in where);
  return taken ? { $and: [where, added] } : { ...where, ...added };
}

/**
 * The idempotency key of a page: of all that begin where it does one is accepted, however long.
 * @param {string} id of the `_PushStatus`
 * @param {{moment: number, after: string}} page
 * @returns {string}
 */
function keyOf(id, { moment, after }) {
  const text = JSON.stringify([id, moment, after]);
  return `scheduled-${createHash('sha256').update(text).digest('hex')}`;
}

function readObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** As Parse Server does it when it sends: a token, unless the query has a word on it. */
function withToken(where) {
  return 'deviceToken' in where ? where : { ...where, deviceToken: { $exists: true } };
}

/** Badges were incremented at submission: each device gets the one that its row has by now. */
function withBadge(data) {
  const { badge } = data;
  const word = badge?.__op ?? badge;
  const increments = typeof word === 'string' && word.toLowerCase() === 'increment';
  return increments ? { ...data, badge: 'Increment' } : data;
}

function isNumberOrNothing(value) {
  return value === undefined || value === null || Number.isFinite(value);
}

function shown(value) {
  return String(JSON.stringify(value)).slice(0, 100);
}

module.exports = { TIMES, expiryOf, keyOf, readPush, readTimes, whereOf };
