'use strict';

// So many at a time; the others wait their turn, first come, first served.

class Gate {
  #free;
  #waiting = [];

  /** @param {number} places how much may go on at a time */
  constructor(places) {
    this.#free = places;
  }

  /**
   * @template T
   * @param {() => Promise<T>} work begun when its turn has come
   * @returns {Promise<T>}
   */
  async run(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise(turn => this.#waiting.push(turn));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

module.exports = { Gate };
