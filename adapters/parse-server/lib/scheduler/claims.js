'use strict';

// Who works on a scheduled push, and how far it is: kept in the row itself. Pure.
//
// Parse Server takes no new fields in `_PushStatus`, and none with a condition. What it has is a
// counter that it raises at once (`count`), and keys within an object that it writes one by one.
// Each claim has a number of the counter and a slot under it, `failedPerUTCOffset.pushsvc3`,
// that nobody else writes. The highest slot is the owner's.

const FIELD = 'failedPerUTCOffset';
const SLOT = /^pushsvc([1-9]\d{0,8})$/;
const CLAIMED = { claimed: true };
/** What `readHeld` reads. */
const HELD = `count,${FIELD}`;

/**
 * @typedef {object} State how far a push is; small, and JSON
 * @property {number | null} moment that is worked on, or was last; epoch milliseconds
 * @property {boolean} over all of that moment was handed over
 * @property {string} after the last id of what pushsvc has, in that moment; '' of nothing
 * @property {string | null} upto the last id of the page that is on its way
 * @property {number} accepted recipients that pushsvc has
 * @property {Object<string, number>} refused devices that it has not and will not, by type
 * @property {number} late moments that were not sent because they were too long ago
 * @property {number} expired moments that were not sent because the push had expired
 * @property {string | null} fault why no more of it is sent
 * @property {string | null} trouble the last failure, which was only for a time
 * @property {boolean} free nobody works on it
 * @property {boolean} done its final counts are written
 */

/** @type {State} */
const FRESH = Object.freeze({
  moment: null,
  over: true,
  after: '',
  upto: null,
  accepted: 0,
  refused: {},
  late: 0,
  expired: 0,
  fault: null,
  trouble: null,
  free: false,
  done: false,
});

/**
 * @typedef {object} Held
 * @property {number} claims how often the counter was raised
 * @property {number} owner the number of the highest slot; 0 of none
 * @property {number[]} below numbers of the other slots
 * @property {State | null} state the newest; null where nothing was begun
 * @property {boolean} free nobody works on it
 * @property {string} mark the same until somebody does something
 */

/**
 * @param {object} row a `_PushStatus`
 * @returns {Held}
 */
function readHeld(row) {
  const slots = Object.entries(row[FIELD] ?? {})
    .map(([name, value]) => ({ number: Number(SLOT.exec(name)?.[1] ?? 0), value }))
    .filter(({ number, value }) => number > 0 && typeof value === 'object' && value !== null)
    .sort((a, b) => b.number - a.number);
  // A claim has no state before it has read its predecessor's: then that one is the newest.
  const told = slots.find(({ value }) => !value.claimed);
  const claims = Number.isInteger(row.count) ? row.count : 0;
  return {
    claims,
    owner: slots[0]?.number ?? 0,
    below: slots.slice(1).map(({ number }) => number),
    state: told ? { ...FRESH, ...told.value } : null,
    free: slots.length === 0 || slots[0].value.free === true,
    mark: JSON.stringify([claims, slots]),
  };
}

/** What claims a push: the answer's `count` is the number of this claim. */
const CLAIM = { count: { __op: 'Increment', amount: 1 } };

/**
 * What writes a slot, and nothing else of the row.
 * @param {number} number of the claim
 * @param {State | {claimed: true}} state
 * @returns {object} changes of the row
 */
function slotOf(number, state) {
  return { [`${FIELD}.pushsvc${number}`]: state };
}

/**
 * What removes slots whose state the owner has in his own by then.
 * @param {number[]} numbers
 * @returns {object} changes of the row
 */
function withoutSlots(numbers) {
  return Object.fromEntries(numbers.map(each => [`${FIELD}.pushsvc${each}`, { __op: 'Delete' }]));
}

/**
 * What ends a push. The slot and the counter stay: one who was asleep meanwhile finds the one and
 * stops, and never gets a number that was somebody's before.
 * @param {Held} held
 * @param {object} fields the row's last ones
 * @returns {object} changes of the row
 */
function endOf({ owner, below, state }, fields) {
  const last = { ...(state ?? FRESH), over: true, free: true, done: true };
  return {
    ...fields,
    ...slotOf(Math.max(owner, 1), last),
    ...withoutSlots(below),
  };
}

/** Rows that are scheduled, or begun by a scheduler, and due before a text of time. */
function openWhere(pushTimeBelow, afterId) {
  return {
    $or: [{ status: 'scheduled' }, { status: 'running', [FIELD]: { $exists: true } }],
    pushTime: { $lt: pushTimeBelow },
    ...(afterId && { objectId: { $gt: afterId } }),
  };
}

/**
 * Watches claims of others. There is no clock that two hosts agree on: a claim is given up when
 * its row has not changed for the lease by the watcher's own clock.
 */
class Watch {
  #leaseMs;
  #seen = new Map();
  #given = new Map();

  /** @param {number} leaseMs */
  constructor(leaseMs) {
    this.#leaseMs = leaseMs;
  }

  /**
   * @param {string} id
   * @param {Held} held as it was just read
   * @param {number} now milliseconds of a clock that does not jump
   * @returns {'free' | 'watched' | 'alive'} whether it may be claimed, or might be later, or has
   *   somebody who works on it
   */
  look(id, held, now) {
    if (held.free || held.owner === this.#given.get(id)) return 'free';
    const seen = this.#seen.get(id);
    if (seen?.mark === held.mark) return now - seen.since >= this.#leaseMs ? 'free' : 'watched';
    this.#seen.set(id, { mark: held.mark, since: now });
    return seen ? 'alive' : 'watched';
  }

  /**
   * A claim of one's own of which nothing more is done, though Parse Server could not be told.
   * @param {string} id
   * @param {number | undefined} number of the claim, if it was one
   */
  gaveUp(id, number) {
    if (number !== undefined) this.#given.set(id, number);
  }

  /**
   * @param {Set<string>} kept ids of rows that are there; all others are forgotten
   */
  keep(kept) {
    for (const known of [this.#seen, this.#given]) {
      for (const id of known.keys()) if (!kept.has(id)) known.delete(id);
    }
  }
}

module.exports = {
  CLAIM,
  CLAIMED,
  FRESH,
  HELD,
  Watch,
  endOf,
  openWhere,
  readHeld,
  slotOf,
  withoutSlots,
};
