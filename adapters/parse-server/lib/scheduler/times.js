'use strict';

// What a `pushTime` means, and which instant a wall time is in a zone. Pure.

const DAY_MS = 86_400_000;

const WITH_ZONE = /(?:z|[+-]\d{2}:?\d{2})$/i;
const DATE = /^(\d{4})-(\d{2})-(\d{2})/;
const WALL = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?$/;

/**
 * Read the `pushTime` of a `_PushStatus`.
 * @param {unknown} value ISO 8601; with a zone it is an instant, without one a wall time
 * @returns {{at: number} | {wall: number} | null} epoch milliseconds, of the instant or of the wall
 *   time as if it were UTC; null for what is no time
 */
function readPushTime(value) {
  const text = typeof value === 'object' && value !== null ? value.iso : value;
  if (typeof text !== 'string' || !DATE.test(text) || !sameDay(text)) return null;
  if (WALL.test(text)) return known('wall', Date.parse(`${padded(text)}Z`));
  return WITH_ZONE.test(text) ? known('at', Date.parse(text)) : null;
}

/**
 * The text below which every `pushTime` lies that is due somewhere, or soon: texts are all that
 * Parse Server can compare.
 * @param {number} now epoch milliseconds
 * @returns {string}
 */
function dueBelow(now) {
  // The earliest zone is 14 hours ahead of UTC; the rest is what will be due soon.
  return new Date(now + DAY_MS).toISOString().slice(0, -1);
}

/**
 * The instant at which a zone's clocks show a wall time: in a gap by the offset before it, in a
 * fold the first of the two.
 * @param {number} wall as `readPushTime` gives it
 * @param {(at: number) => number} offset of the zone at an instant, both in milliseconds
 * @returns {number} epoch milliseconds
 */
function instantOf(wall, offset) {
  const before = wall - offset(wall - DAY_MS);
  const after = wall - offset(wall + DAY_MS);
  const shown = [before, after].filter(at => at + offset(at) === wall);
  return shown.length > 0 ? Math.min(...shown) : before;
}

function known(name, at) {
  return Number.isNaN(at) ? null : { [name]: at };
}

/** Whether there is such a day: `Date.parse` takes the 30th of February for the 2nd of March. */
function sameDay(text) {
  const [, year, month, day] = DATE.exec(text).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

function padded(text) {
  return text.length === 10 ? `${text}T00:00` : text;
}

module.exports = { dueBelow, instantOf, readPushTime };
