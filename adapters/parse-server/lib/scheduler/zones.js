'use strict';

// The time zones of the world, and when each of them has a wall time. Pure, but for Node's tables.

const { ALIASES } = require('./aliases');
const { instantOf } = require('./times');

// Zones without a place in Node's list, which devices have all the same.
const FIXED = [...Array(27).keys()]
  .map(each => each - 14)
  .map(hours => `Etc/GMT${hours < 0 ? hours : `+${hours}`}`);

/** @typedef {{at: number, zones: string[]}} Moment an instant, and who has the wall time then */

/**
 * All zones that are known here, under each of their names.
 * @returns {string[]}
 */
function everyZone() {
  return [...new Set([...Intl.supportedValuesOf('timeZone'), 'UTC', ...FIXED, ...ALIASES])];
}

/**
 * When each of these zones has the wall time, first come first.
 * @param {number} wall as of `readPushTime`
 * @param {Iterable<string>} zones unknown ones are left out
 * @returns {Moment[]}
 */
function momentsOf(wall, zones) {
  const moments = new Map();
  for (const zone of zones) {
    const offset = offsetOf(zone);
    if (offset === null) continue;
    const at = instantOf(wall, offset);
    if (moments.has(at)) moments.get(at).push(zone);
    else moments.set(at, [zone]);
  }
  return [...moments].map(([at, names]) => ({ at, zones: names })).sort((a, b) => a.at - b.at);
}

/**
 * @param {string} zone an IANA name, such as `Europe/Paris`
 * @returns {((at: number) => number) | null} its offset from UTC at an instant, in milliseconds;
 *   null where Node does not know the zone
 */
function offsetOf(zone) {
  let format;
  try {
    format = new Intl.DateTimeFormat('en-US', { ...SHOWN, timeZone: zone });
  } catch {
    return null;
  }
  return at => {
    const parts = {};
    for (const { type, value } of format.formatToParts(at)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts;
    const shown = Date.UTC(year, month - 1, day, hour, minute, second);
    return shown - Math.floor(at / 1_000) * 1_000;
  };
}

const SHOWN = {
  calendar: 'gregory',
  numberingSystem: 'latn',
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
};

module.exports = { everyZone, momentsOf, offsetOf };
