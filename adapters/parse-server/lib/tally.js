'use strict';

// What a _PushStatus is to say, of a group of deliveries and of what was never accepted.

/**
 * Where we keep what is ours in a _PushStatus: Parse Server takes no new columns there (its schema
 * is fixed in code), and this object is empty but for pushes that it could not begin.
 */
const NOTES = 'errorMessage';
const OPEN_NOTE = 'pushsvcOpen';
const REFUSED_NOTE = /^pushsvcw[0-9a-z]+_/;
/** The mark of a row whose counts are not final, by its dotted name; both databases find text. */
const OPEN = `${NOTES}.${OPEN_NOTE}`;
const YES = 'yes';

// A double's device got the message by another recipient.
const SENT = ['sent', 'deduplicated'];
const NEITHER = ['pending', 'validated'];

/**
 * @param {import('./service').Group} group
 * @param {Object<string, number> | undefined} refused notes of the row: for each writer and
 *   type, as `refusedKey` names them
 * @returns {{numSent: number, numFailed: number, sentPerType: Object<string, number>,
 *   failedPerType: Object<string, number>}}
 */
function tallyOf(group, refused) {
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
  for (const [key, devices] of Object.entries(refused ?? {})) {
    add('Failed', key.slice(key.indexOf('_') + 1), devices);
  }
  return tally;
}

/**
 * @param {string} writer `w`, and letters and digits
 * @param {string} deviceType of a `Device`
 * @returns {string} a name that both of Parse Server's databases take as it is
 */
function refusedKey(writer, deviceType) {
  return `pushsvc${writer}_${deviceType}`;
}

/**
 * @param {object} row a _PushStatus
 * @returns {{isOpen: boolean, refused: Object<string, number>}} what we have noted in it
 */
function notesOf(row) {
  const notes = row[NOTES] ?? {};
  const refused = Object.entries(notes).filter(([key]) => REFUSED_NOTE.test(key));
  return { isOpen: notes[OPEN_NOTE] === YES, refused: Object.fromEntries(refused) };
}

/**
 * @param {Object<string, number>} refused as `refusedKey` names them
 * @returns {Object<string, number>} the same by their dotted names, to be written
 */
function refusedNotes(refused) {
  return Object.fromEntries(
    Object.entries(refused).map(([key, devices]) => [`${NOTES}.${key}`, devices]),
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

module.exports = { OPEN, YES, differing, notesOf, refusedKey, refusedNotes, tallyOf };
