'use strict';

// What a _PushStatus is to say, of a group of deliveries and of what was never accepted.

/**
 * Where we keep what is ours in a _PushStatus: Parse Server takes no new columns there (its schema
 * is fixed in code), and this object is empty but for pushes that it could not begin.
 */
const NOTES = 'errorMessage';
const OPEN_NOTE = 'pushsvcOpen';
const NOTE = /^pushsvc([adw])[0-9a-z]+_([A-Za-z0-9_]+)$/;
/**
 * What a writer counts of devices, by the letter of its notes: surely accepted, which is noted
 * only where some are in doubt; in doubt, when no answer came; surely not accepted.
 */
const KINDS = { a: 'accepted', d: 'doubted', w: 'refused' };
/** The mark of a row whose counts are not final, by its dotted name; both databases find text. */
const OPEN = `${NOTES}.${OPEN_NOTE}`;
const YES = 'yes';

// A double's device got the message by another recipient.
const SENT = ['sent', 'deduplicated'];
const NEITHER = ['pending', 'validated'];

/**
 * Devices beside a group, by type.
 * @typedef {object} Beside
 * @property {Object<string, number>} [refused]
 * @property {Object<string, number>} [doubted]
 * @property {Object<string, number>} [accepted] of the group; needed only where some are in doubt
 *
 * @param {import('./service').Group} group
 * @param {Beside} beside
 * @returns {{numSent: number, numFailed: number, sentPerType: Object<string, number>,
 *   failedPerType: Object<string, number>}}
 */
function tallyOf(group, { refused = {}, doubted = {}, accepted = {} }) {
  const tally = { numSent: 0, numFailed: 0, sentPerType: {}, failedPerType: {} };
  const add = (way, type, devices) => {
    if (!devices) return;
    tally[`num${way}`] += devices;
    const perType = tally[`${way.toLowerCase()}PerType`];
    perType[type] = (perType[type] ?? 0) + devices;
  };
  for (const [type, outcomes] of Object.entries(group.by_device_type)) {
    for (const [outcome, devices] of Object.entries(outcomes)) {
      if (NEITHER.includes(outcome)) continue;
      add(SENT.includes(outcome) ? 'Sent' : 'Failed', type, devices);
    }
  }
  for (const [type, devices] of Object.entries(refused)) add('Failed', type, devices);
  for (const [type, devices] of Object.entries(doubted)) {
    const there = Object.values(group.by_device_type[type] ?? {}).reduce((a, b) => a + b, 0);
    // What the group has beyond what was surely accepted was in doubt.
    const found = Math.max(0, there - (accepted[type] ?? 0));
    add('Failed', type, Math.max(0, devices - found));
  }
  return tally;
}

/**
 * @param {Object<string, number>} notes of all writers, as `noteKey` names them
 * @returns {Beside}
 */
function besideOf(notes) {
  const beside = {};
  for (const [key, devices] of Object.entries(notes)) {
    const [, letter, type] = NOTE.exec(key);
    const kind = KINDS[letter];
    beside[kind] ??= {};
    beside[kind][type] = (beside[kind][type] ?? 0) + devices;
  }
  return beside;
}

/**
 * @param {string} letter of KINDS
 * @param {string} writer letters and digits
 * @param {string} deviceType of a `Device`
 * @returns {string} a name that both of Parse Server's databases take as it is
 */
function noteKey(letter, writer, deviceType) {
  return `pushsvc${letter}${writer}_${deviceType}`;
}

/**
 * @param {object} row a _PushStatus
 * @returns {{isOpen: boolean, counted: Object<string, number>}} what we have noted in it
 */
function notesOf(row) {
  const notes = row[NOTES] ?? {};
  const counted = Object.entries(notes).filter(([key]) => NOTE.test(key));
  return { isOpen: notes[OPEN_NOTE] === YES, counted: Object.fromEntries(counted) };
}

/**
 * @param {Object<string, number>} notes as `noteKey` names them
 * @returns {Object<string, number>} the same by their dotted names, to be written
 */
function dotted(notes) {
  return Object.fromEntries(
    Object.entries(notes).map(([key, devices]) => [`${NOTES}.${key}`, devices]),
  );
}

/**
 * @param {object} row a _PushStatus
 * @param {object} wanted fields
 * @returns {object} those that the row does not have so
 */
function differing(row, wanted) {
  const others = Object.entries(wanted).filter(([key, value]) => !same(row[key], value));
  return Object.fromEntries(others);
}

function same(one, other) {
  if (one === other) return true;
  if (typeof other !== 'object' || other === null) return false;
  // Parse Server leaves out what it has not counted.
  const left = Object.entries(one ?? {});
  return (
    left.length === Object.keys(other).length && left.every(([key, value]) => other[key] === value)
  );
}

module.exports = { OPEN, YES, besideOf, differing, dotted, noteKey, notesOf, tallyOf };
