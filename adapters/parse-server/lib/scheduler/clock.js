'use strict';

// Parse Server's time, as its answers tell it: hosts of schedulers may have clocks that are wrong.

const ANSWERS = 32;

/**
 * The `Date` of an answer is whole seconds, rounded down, and old when it arrives: the latest of
 * some answers, each carried on by a clock that does not jump, is next to the truth and not ahead
 * of it.
 */
class ServerClock {
  #monotonic;
  #wall;
  #ahead = [];

  /**
   * @param {object} [clocks]
   * @param {() => number} [clocks.monotonic] milliseconds
   * @param {() => number} [clocks.wall] epoch milliseconds, for as long as no server has spoken
   */
  constructor({ monotonic = () => performance.now(), wall = Date.now } = {}) {
    this.#monotonic = monotonic;
    this.#wall = wall;
  }

  /** @param {string | undefined} date of an answer, as HTTP has it */
  heard(date) {
    const at = Date.parse(date);
    if (Number.isNaN(at)) return;
    this.#ahead = [...this.#ahead, at - this.#monotonic()].slice(-ANSWERS);
  }

  /** @returns {boolean} whether a server has spoken */
  isSet() {
    return this.#ahead.length > 0;
  }

  /** @returns {number} epoch milliseconds */
  now() {
    if (this.#ahead.length === 0) return this.#wall();
    return Math.max(...this.#ahead) + this.#monotonic();
  }

  /** @returns {number} milliseconds of a clock that does not jump */
  monotonic() {
    return this.#monotonic();
  }
}

module.exports = { ServerClock };
