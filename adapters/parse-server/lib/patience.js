'use strict';

// How long to go on with a server that does not answer: pauses between tries, and a long outage.

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
// Failures that nobody has added to for so long say nothing of now.
const FORGOTTEN_MS = 60_000;
// A service that is only slow needs one answer that was waited for, now and then.
const PROBE_MS = 30_000;

/**
 * How long to wait before the next try: half of it by chance, so that callers do not meet again.
 * @param {number} tries that have failed, from 1
 * @param {object} [limits]
 * @param {number} [limits.first] the longest pause after the first try, in milliseconds
 * @param {number} [limits.longest] after any, in milliseconds
 * @param {() => number} [limits.chance] from 0 to 1
 * @returns {number} milliseconds
 */
function pauseMs(tries, limits = {}) {
  const { first = FIRST_PAUSE_MS, longest = LONGEST_PAUSE_MS, chance = Math.random } = limits;
  return Math.min(longest, first * 2 ** (tries - 1)) * (0.5 + chance() / 2);
}

/**
 * Read Retry-After: seconds, or a date.
 * @param {string | undefined} header
 * @param {number} [now] epoch milliseconds
 * @returns {number | null} milliseconds from now, or null where it says nothing
 */
function retryAfterMs(header, now = Date.now()) {
  if (header === undefined) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/**
 * Whether a server has failed for so long that there is no point in patience.
 *
 * A server that fails all of a million devices' calls for a minute each would take hours to do so:
 * after the first minute each call has one short try, and one of them at times a long one, so that
 * a service that is slow, but there, is found to be. When nobody has asked for a while, that is
 * forgotten.
 */
class Outage {
  #lastsMs;
  #since = null;
  #seen = null;
  #probedAt = -Infinity;

  /** @param {number} lastsMs failures from then on, and nothing else */
  constructor(lastsMs) {
    this.#lastsMs = lastsMs;
  }

  /** @param {number} now milliseconds of a clock that does not jump */
  failed(now) {
    if (this.#since === null || this.#forgotten(now)) this.#since = now;
    this.#seen = now;
  }

  answered() {
    this.#since = null;
  }

  /**
   * @param {number} now as above
   * @returns {boolean}
   */
  isLong(now) {
    return this.#since !== null && !this.#forgotten(now) && now - this.#since >= this.#lastsMs;
  }

  /**
   * @param {number} now as above
   * @returns {boolean} whether who asks is to wait for an answer, since nobody did for a while
   */
  isToBeProbed(now) {
    if (now - this.#probedAt < PROBE_MS) return false;
    this.#probedAt = now;
    return true;
  }

  #forgotten(now) {
    return now - this.#seen > this.#lastsMs + FORGOTTEN_MS;
  }
}

module.exports = { Outage, pauseMs, retryAfterMs };
