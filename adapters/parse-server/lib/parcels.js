'use strict';

// What waits for its turn and says the same goes together: Parse Server's pages are small, all of
// a push begin at once, and a call costs the service more than the devices that it is for.

/**
 * @typedef {object} Parcel
 * @property {object} said what is said to all of them
 * @property {import('./recipients').Device[]} devices to be read when its turn has come
 */

class Parcels {
  #most;
  #carry;
  #waiting = new Map();

  /**
   * @param {object} options
   * @param {number} options.most devices of a parcel
   * @param {(parcel: Parcel, begins: () => void) => Promise<Map>} options.carry begun for each
   *   parcel; it calls `begins` when its turn has come, just before it reads the devices
   */
  constructor({ most, carry }) {
    this.#most = most;
    this.#carry = carry;
  }

  /**
   * @param {object} said
   * @param {import('./recipients').Device[]} devices
   * @returns {Promise<Map>} what came of the parcel that they were put into
   */
  add(said, devices) {
    const name = JSON.stringify(said);
    const waiting = this.#waiting.get(name);
    if (waiting && waiting.devices.length + devices.length <= this.#most) {
      waiting.devices.push(...devices);
      return waiting.carried;
    }
    const parcel = { said, devices: [...devices] };
    const begins = () => {
      if (this.#waiting.get(name) === parcel) this.#waiting.delete(name);
    };
    this.#waiting.set(name, parcel);
    parcel.carried = this.#carry(parcel, begins).finally(begins);
    return parcel.carried;
  }
}

module.exports = { Parcels };
