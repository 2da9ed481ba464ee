'use strict';

// Parse Server's push adapter: hands its pushes to pushsvc, and always resolves.

const { readBody, setsBadge } = require('./content');
const { readOptions } = require('./options');
const { ParseAPI } = require('./parse');
const { REACHED, readDevice, shareMoments } = require('./recipients');
const { CALLS_WITHOUT_REFUSED, refusedOf } = require('./refusals');
const { Reporter } = require('./reporter');
const { deliveredRows, failedRow } = require('./rows');
const { Service, ServiceError } = require('./service');
const { Warnings } = require('./warnings');

const RECIPIENTS_OF_A_CALL = 5_000;

class PushsvcAdapter {
  #service;
  #reporter;
  #onUnknown;
  #warnings = new Warnings();

  /**
   * @param {object} options see `index.d.ts`; what is not the adapter's is left alone
   * @throws {TypeError} naming the option that is wrong
   */
  constructor(options) {
    const read = readOptions(options);
    this.#service = new Service(read);
    this.#onUnknown = read.onUnknown;
    if (read.mode === 'accept') {
      this.#reporter = new Reporter({ service: this.#service, parse: new ParseAPI(read.parse) });
    }
  }

  /** @returns {string[]} device types that pushsvc delivers to */
  getValidPushTypes() {
    return [...REACHED];
  }

  /**
   * Deliver one content to these installations.
   *
   * A rejection would end the process of Parse Server: there is none.
   * @param {object} body of the push
   * @param {object[]} installations
   * @param {string} [pushStatusId]
   * @returns {Promise<object[]>} one row for each installation; in mode `accept` for those only
   *   that pushsvc has not accepted
   */
  send(body, installations, pushStatusId) {
    let devices = [];
    try {
      // What is waited for is this, and not the installations, which may be large.
      devices = devicesOf(body, installations);
    } catch {
      // A list that cannot be read has no devices to have rows for.
    }
    return this.#sent(body, devices, pushStatusId)
      .catch(error => failed(devices, error))
      .catch(() => failed(devices, null))
      .then(rows => this.#told(rows, devices, pushStatusId));
  }

  /** Close connections and timers, where the adapter was made by hand. Calls under way fail. */
  close() {
    this.#reporter?.close();
    this.#warnings.close();
    this.#service.close();
  }

  #told(rows, devices, pushStatusId) {
    try {
      // Only what was waited for has a delivery, and then there is a row of every device.
      const deliveryAt = place => devices[place].delivery;
      this.#warnings.failed(rows, { group: groupOf(pushStatusId), deliveryAt });
    } catch {
      // The rows are what is waited for, and a rejection would end the process.
    }
    return rows;
  }

  async #sent(body, devices, pushStatusId) {
    if (devices.length === 0) return [];
    const group = groupOf(pushStatusId);
    const said = { group, ...readBody(body), on_unknown: this.#onUnknown };
    if (group) await this.#reporter?.opened(group);
    const rows = new Map();
    const parts = cut(devices.filter(device => device.recipient));
    await Promise.all(parts.map(part => this.#delivered(said, part, rows)));
    for (const device of devices) {
      if (device.error) rows.set(device, failedRow(device, device.error));
    }
    if (!this.#reporter) return devices.map(device => rows.get(device));
    const failures = devices.filter(device => rows.has(device));
    if (group) await this.#reporter.refused(group, failures);
    return failures.map(device => rows.get(device));
  }

  /** Deliver to some; in mode `accept` those that were accepted have no row. */
  async #delivered(said, devices, rows, callsLeft = CALLS_WITHOUT_REFUSED) {
    if (devices.length === 0) return;
    const wait = this.#reporter === undefined;
    try {
      const recipients = devices.map(device => device.recipient);
      const delivery = await this.#service.deliver({ ...said, recipients }, { wait });
      if (!wait) {
        if (said.group) this.#reporter.accepted(said.group, devices);
        return;
      }
      deliveredRows(devices, delivery).forEach((row, place) => {
        devices[place].delivery = delivery.id;
        rows.set(devices[place], row);
      });
    } catch (error) {
      const parts = partsAfter(error, devices, { rows, callsLeft });
      await Promise.all(parts.map(part => this.#delivered(said, part, rows, callsLeft - 1)));
    }
  }
}

/** Give rows to the devices that an error is about; return the others, to be sent again. */
function partsAfter(error, devices, { rows, callsLeft }) {
  if (error?.status === 413 && devices.length > 1) {
    // Some proxies take a megabyte.
    const half = Math.ceil(devices.length / 2);
    return [devices.slice(0, half), devices.slice(half)];
  }
  const refused = callsLeft > 0 ? refusedOf(error) : null;
  devices.forEach((device, place) => {
    const sentence = refused ? refused.get(place) : told(error);
    if (!sentence) return;
    device.isInDoubt = error?.inDoubt === true;
    rows.set(device, failedRow(device, sentence));
  });
  return [devices.filter(device => !rows.has(device))];
}

function groupOf(pushStatusId) {
  return typeof pushStatusId === 'string' && pushStatusId ? pushStatusId : undefined;
}

function devicesOf(body, installations) {
  if (!Array.isArray(installations)) return [];
  const push = { setsBadge: setsBadge(body) };
  const devices = Array.from(installations, row => readDevice(row, push));
  shareMoments(devices);
  return devices;
}

function cut(devices) {
  const parts = [];
  for (let from = 0; from < devices.length; from += RECIPIENTS_OF_A_CALL) {
    parts.push(devices.slice(from, from + RECIPIENTS_OF_A_CALL));
  }
  return parts;
}

function failed(devices, error) {
  return devices.map(device => failedRow(device, device.error ?? told(error)));
}

function told(error) {
  const message = error instanceof Error ? error.message : undefined;
  const sentence = typeof message === 'string' ? message : 'an error that says nothing';
  // What else is thrown comes of what the push is made of.
  return `${error instanceof ServiceError ? error.reason : 'InvalidPush'}: ${sentence}`;
}

module.exports = { PushsvcAdapter };
