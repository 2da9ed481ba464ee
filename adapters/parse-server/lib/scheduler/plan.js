'use strict';

// What comes next of a scheduled push, and what it ends with. Pure.

const { tallyOf } = require('../tally');
const { FRESH } = require('./claims');
const { expiryOf } = require('./push');
const { everyZone, momentsOf } = require('./zones');

const DAY_MS = 86_400_000;

/**
 * The moments at which a push is sent: one for all, or in local time one for each offset that is
 * in use somewhere in the world.
 * @param {{at: number} | {wall: number}} time
 * @returns {Array<{at: number, zones: string[] | null}>} first come first; null: of all devices
 */
function momentsFor(time) {
  return 'at' in time ? [{ at: time.at, zones: null }] : momentsOf(time.wall, everyZone());
}

/**
 * @param {import('./push').Push} push
 * @param {object} known
 * @param {number[]} known.instants of the push
 * @param {import('./claims').State} known.state
 * @param {number} known.now epoch milliseconds
 * @param {number} known.lateMs
 * @returns {{step: 'send' | 'wait' | 'settle', state: import('./claims').State, until?: number}}
 *   `send`: the state's moment; `wait`: nothing to do until then; `settle`: all was handed over.
 *   The state has what was skipped on the way there
 */
function nextStep(push, { instants, state, now, lateMs }) {
  if (state.fault !== null) return { step: 'settle', state };
  let at = state;
  for (;;) {
    const begun = !at.over;
    const moment = begun ? at.moment : instants.find(each => each > (at.moment ?? -Infinity));
    if (moment === undefined) return { step: 'settle', state: at };
    if (moment > now) return { step: 'wait', state: at, until: moment };
    const skipped = { ...at, moment, over: true, after: '', upto: null };
    // What is partly sent is finished, also where it takes long, but not days later.
    const partly = begun && Boolean(at.after || at.upto);
    const latest = moment + (partly ? Math.max(lateMs, DAY_MS) : lateMs);
    if (hasExpired(push, moment, now)) at = { ...skipped, expired: at.expired + 1 };
    else if (now > latest) at = { ...skipped, late: at.late + 1 };
    else return { step: 'send', state: begun ? at : { ...skipped, over: false } };
  }
}

/**
 * What a look at a row leads to.
 * @param {object} row a `_PushStatus`
 * @param {object} known
 * @param {import('./push').Push | {fault: string}} known.push the row, read
 * @param {import('./claims').Held} known.held
 * @param {() => number[]} known.instants
 * @param {number} known.now epoch milliseconds
 * @param {number} known.lateMs
 * @returns {{action: 'send' | 'settle' | 'none', until?: number}} `send` takes a claim, `settle`
 *   none; `until`: when there will be something to do
 */
function actionOf(row, { push, held, instants, now, lateMs }) {
  // Running, and not begun by us: Parse Server's own.
  if (row.status !== 'scheduled' && held.owner === 0) return { action: 'none' };
  const { state } = held;
  if (state?.done || (held.free && state?.fault)) return { action: 'settle' };
  if (push.fault || state?.fault) return { action: 'send' };
  const next = nextStep(push, { instants: instants(), state: state ?? FRESH, now, lateMs });
  if (next.step === 'wait') return { action: 'none', until: next.until };
  // What was skipped since the state was written is to be written first.
  const settled = next.step === 'settle' && held.free && next.state === state;
  return { action: settled ? 'settle' : 'send' };
}

function hasExpired(push, moment, now) {
  const expiry = expiryOf(push, moment);
  return expiry !== null && expiry <= now;
}

/**
 * The last fields of a row, when pushsvc has an outcome of every device.
 * @param {import('./claims').State} state
 * @param {import('../service').Group | null} group
 * @param {number} moments that the push has; 0 where its time cannot be read
 * @returns {object}
 */
function endingOf(state, group, moments) {
  const message = faultOf(state, group, moments);
  return {
    status: message === null ? 'succeeded' : 'failed',
    ...tallyOf(group ?? { by_device_type: {} }, { refused: state.refused }),
    ...(message !== null && { errorMessage: { message } }),
  };
}

function faultOf({ fault, trouble, accepted, late, expired }, group, moments) {
  if (fault !== null) return fault;
  if (group !== null) return null;
  if (accepted > 0) return 'pushsvc knows nothing of its deliveries any more';
  // Of a local time some moments are skipped as a rule: there the earliest zones are past when a
  // push is made.
  if (late + expired < moments) return null;
  const why = late > 0 ? 'it is too long ago that it was due' : 'it had expired';
  return `${why} before it could be sent${trouble === null ? '' : `; ${trouble}`}`;
}

module.exports = { actionOf, endingOf, momentsFor, nextStep };
