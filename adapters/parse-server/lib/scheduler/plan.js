'use strict';

// What comes next of a scheduled push, and what it ends with. Pure.

const { expiryOf } = require('./push');
const { everyZone, momentsOf } = require('./zones');

const DAY_MS = 86_400_000;

/**
 * The instants at which a push is looked after: one, or in local time one for each offset that is
 * in use somewhere in the world.
 * @param {{at: number} | {wall: number}} time
 * @returns {number[]} epoch milliseconds, rising
 */
function instantsOf(time) {
  return 'at' in time ? [time.at] : momentsOf(time.wall, everyZone()).map(({ at }) => at);
}

/**
 * The zones that belong to an instant: theirs is the wall time since the instant before.
 * @param {number} wall
 * @param {{instants: number[], at: number, found: unknown[]}} moment `found`: zones of devices
 * @returns {string[]}
 */
function zonesAt(wall, { instants, at, found }) {
  const before = instants.filter(each => each < at).at(-1) ?? -Infinity;
  const there = momentsOf(wall, found).filter(each => each.at > before && each.at <= at);
  return there.flatMap(({ zones }) => zones);
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
    // What was begun is finished, also where it takes long, but not days later.
    const latest = moment + (begun ? Math.max(lateMs, DAY_MS) : lateMs);
    if (hasExpired(push, moment, now)) at = { ...skipped, expired: at.expired + 1 };
    else if (now > latest) at = { ...skipped, late: at.late + 1 };
    else return { step: 'send', state: begun ? at : { ...skipped, over: false } };
  }
}

function hasExpired(push, moment, now) {
  const expiry = expiryOf(push, moment);
  return expiry !== null && expiry <= now;
}

/**
 * The last fields of a row, when pushsvc has an outcome of every device.
 * @param {import('./claims').State} state
 * @param {import('../service').Group | null} group
 * @returns {object}
 */
function endingOf(state, group) {
  const { sent, failed } = countsOf(state.refused, group);
  const message = messageOf(state, group);
  const total = counts => Object.values(counts).reduce((sum, each) => sum + each, 0);
  const nothing = group === null && (state.accepted > 0 || state.late > 0 || state.expired > 0);
  return {
    status: state.fault !== null || nothing ? 'failed' : 'succeeded',
    numSent: total(sent),
    numFailed: total(failed),
    sentPerType: sent,
    failedPerType: failed,
    ...(message && { errorMessage: { message } }),
  };
}

function countsOf(refused, group) {
  const sent = {};
  const failed = { ...refused };
  for (const [type, outcomes] of Object.entries(group?.by_device_type ?? {})) {
    for (const [outcome, count] of Object.entries(outcomes)) {
      if (outcome === 'pending' || !(count > 0)) continue;
      const side = outcome === 'sent' ? sent : failed;
      side[type] = (side[type] ?? 0) + count;
    }
  }
  return { sent, failed };
}

function messageOf({ fault, accepted, late, expired }, group) {
  if (fault !== null) return fault;
  if (accepted > 0 && group === null) return 'pushsvc knows nothing of its deliveries any more';
  const parts = [
    late > 0 && `${counted(late)} too long ago when the scheduler came to it`,
    expired > 0 && `${counted(expired)} not sent before the push expired`,
  ].filter(Boolean);
  return parts.join('; ');
}

function counted(moments) {
  return moments === 1 ? 'its time was' : `${moments} of its times were`;
}

module.exports = { endingOf, instantsOf, nextStep, zonesAt };
