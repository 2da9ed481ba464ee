'use strict';

// What waits for its turn and says the same goes together: Parse Server's pages are small, all of
// a push begin at once, and a call costs the service more than the devices that it is for.

const { Gate } = require('./gate');

/**
 * @typedef {object} Parcel
 * @property {object} said what is said to all of them
 * @property {import('./recipients').Device[]} devices to be read when its turn has come
 */

class Parcels {
  #most;
  #atATime;
  #carry;
  #lines = new Map();

  /**
   * @param {object} options
   * @param {number} options.most devices of a parcel
   * @param {number} options.atATime parcels under way that say the same; others gather meanwhile
   * @param {(parcel: Parcel, begins: () => void) => Promise<Map>} options.carry begun for each
   *   parcel; it calls `begins` when its turn has come, just before it reads the devices
   */
  constructor({ most, atATime, carry }) {
    this.#most = most;
    this.#atATime = atATime;
    this.#carry = carry;
  }

  /**
   * @param {object} said
   * @param {import('./recipients').Device[]} devices
   * @returns {Promise<Map>} what came of the parcel that they were put into
   */
  add(said, devices) {
    const name = JSON.stringify(said);
    const line = this.#lines.get(name) ?? { gate: new Gate(this.#atATime), parcels: 0 };
    const { open } = line;
    if (open && open.devices.length + devices.length <= this.#most) {
      open.devices.push(...devices);
      return open.carried;
    }
    this.#lines.set(name, line);
    return this.#send(line, { name, said, devices: [...devices] });
  }

  #send(line, parcel) {
    const begins = () => {
      if (line.open === parcel) line.open = undefined;
    };
    line.open = parcel;
    line.parcels += 1;
    parcel.carried = line.gate
      .run(() => this.#carry(parcel, begins))
      .finally(() => {
        begins();
        line.parcels -= 1;
        if (line.parcels === 0) this.#lines.delete(parcel.name);
      });
    return parcel.carried;
  }
}

module.exports = { Parcels };
