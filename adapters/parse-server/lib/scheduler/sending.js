'use strict';

// Works on one scheduled push: claims its row, hands over what is due, and leaves it to whoever
// comes next. A crash between any two lines leaves a row that another runner can go on from.

const { ParseError } = require('../parse');
const { CLAIM, CLAIMED, FRESH, readHeld, slotOf, withoutSlots } = require('./claims');
const { handOver } = require('./handover');
const { momentsFor, nextStep } = require('./plan');
const { readPush, whereOf } = require('./push');

const STATUSES = '_PushStatus';
// What recipients are made of.
const KEYS =
  'deviceType,deviceToken,pushType,channelUris,appIdentifier,badge,localeIdentifier,timeZone,' +
  'createdAt,updatedAt';
// A page that is repeated has what was registered in it meanwhile, too; a call takes so many.
const LARGEST_PAGE = 5_000;

/** It is not ours to go on with: deleted, cancelled, or somebody else's, which is usual. */
class Ended extends Error {
  constructor(message, usual = false) {
    super(message);
    this.usual = usual;
  }
}

class Sending {
  #parse;
  #service;
  #clock;
  #settings;
  #stopping;
  #id;
  /** Of the claim, when it has one. */
  number;
  #push;
  #state;
  #moments;
  #pageSize;
  #sent = false;

  /**
   * @param {object} means
   * @param {import('../parse').ParseAPI} means.parse
   * @param {import('../service').Service} means.service
   * @param {import('./clock').ServerClock} means.clock
   * @param {{lateMs: number, pageSize: number, onUnknown?: string}} means.settings
   * @param {() => boolean} means.stopping whether to leave it at the next opportunity
   * @param {string} id of the `_PushStatus`
   */
  constructor({ parse, service, clock, settings, stopping }, id) {
    this.#parse = parse;
    this.#service = service;
    this.#clock = clock;
    this.#settings = settings;
    this.#stopping = stopping;
    this.#id = id;
    this.#pageSize = settings.pageSize;
  }

  /**
   * @param {import('./claims').Held} held as it was last read
   * @returns {Promise<string | null>} what came of it, where that is worth a line in the log;
   *   rejects with a ParseError or a ServiceError where it is to be tried again later
   */
  async run(held) {
    try {
      await this.#claim(held);
      return await this.#steps();
    } catch (error) {
      if (error instanceof Ended) return error.usual ? null : error.message;
      // What cannot be given back is taken over when the lease is over.
      if (this.#state) await this.#leave({ trouble: error.message }).catch(() => {});
      throw error;
    }
  }

  async #claim({ claims }) {
    const { count } = await this.#write(CLAIM);
    if (count !== claims + 1) throw new Ended('another scheduler was faster', true);
    this.number = count;
    // First the mark, then the look: its owner looks for marks before each page is sent, so either
    // he sees this one and stops, or the page that he sends is seen here and repeated.
    await this.#write(slotOf(count, CLAIMED));
    const row = await this.#row();
    const { state, below } = readHeld(row);
    this.#state = { ...(state ?? FRESH), free: false };
    // From here on the state of those before is in this slot, too.
    await this.#write({ ...slotOf(count, this.#state), ...withoutSlots(below) });
    this.#push = readPush(row);
    if (this.#push.fault) this.#state = { ...this.#state, fault: this.#push.fault, over: true };
    else this.#moments = momentsFor(this.#push.time);
  }

  async #steps() {
    for (;;) {
      const { state, step } = nextStep(this.#push, {
        instants: this.#moments?.map(({ at }) => at),
        state: this.#state,
        now: this.#clock.now(),
        lateMs: this.#settings.lateMs,
      });
      this.#state = state;
      if (step !== 'send' || this.#stopping()) {
        await this.#leave();
        return this.#sent ? `${state.accepted} recipients handed over so far` : null;
      }
      await this.#moment();
    }
  }

  async #moment() {
    const zones = this.#moments.find(({ at }) => at === this.#state.moment)?.zones;
    // One that another release of Node has of zones, and this one has not.
    let more = zones !== undefined;
    while (more) {
      if (this.#stopping()) return;
      more = await this.#page(zones);
    }
    this.#state = { ...this.#state, over: true, after: '', upto: null };
  }

  /** @returns {Promise<boolean>} whether there may be another page */
  async #page(zones) {
    const rows = await this.#rows(zones);
    if (this.#state.fault !== null) return false;
    if (this.#state.upto === null) {
      if (rows.length === 0) return false;
      this.#state = { ...this.#state, upto: rows.at(-1).objectId };
    }
    await this.#write(slotOf(this.number, this.#state));
    await this.#stillOurs();
    const { moment, after, upto } = this.#state;
    const page = { moment, after, upto, rows, onUnknown: this.#settings.onUnknown };
    const handed = await handOver(this.#service, this.#push, page);
    if (handed.tooLarge) {
      this.#pageSize = Math.ceil(rows.length / 2);
      this.#state = { ...this.#state, upto: rows[this.#pageSize - 1].objectId };
      return true;
    }
    this.#state = withHanded(this.#state, handed);
    this.#sent ||= handed.accepted > 0;
    return this.#state.fault === null;
  }

  /** The installations of the page: of a new one, or of one that was begun by somebody. */
  async #rows(zones) {
    const { after, upto } = this.#state;
    try {
      if (upto === null) return await this.#find({ after, upto, zones }, this.#pageSize);
      const rows = [];
      for (let last = after; rows.length < LARGEST_PAGE; last = rows.at(-1).objectId) {
        const page = { after: last, upto, zones };
        const found = await this.#find(page, LARGEST_PAGE - rows.length);
        if (found.length === 0) break;
        rows.push(...found);
      }
      return rows;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#state = { ...this.#state, fault: `its query was refused: ${error.message}` };
      return [];
    }
  }

  async #find(page, limit) {
    // In a body: a query with many values is longer than a server takes an address.
    const asked = { where: whereOf(this.#push, page), order: 'objectId', limit, keys: KEYS };
    const question = { ...asked, _method: 'GET' };
    const { results } = await this.#parse.call('POST', '/classes/_Installation', question);
    if (Array.isArray(results)) return results;
    throw new ParseError('Parse Server answered a find without results');
  }

  /** The last look before a page is sent. */
  async #stillOurs() {
    const { status } = await this.#row();
    if (status === 'scheduled') await this.#write({ status: 'running' });
  }

  async #row() {
    const row = await this.#parse.get(STATUSES, this.#id);
    if (row === null) throw new Ended('it was deleted');
    const { status } = row;
    if (status !== 'scheduled' && status !== 'running') throw new Ended(`its status is ${status}`);
    if (readHeld(row).owner > this.number) {
      throw new Ended('another scheduler has taken it over', true);
    }
    return row;
  }

  #leave({ trouble = null } = {}) {
    return this.#write(slotOf(this.number, { ...this.#state, trouble, free: true }));
  }

  async #write(changes) {
    try {
      return await this.#parse.put(STATUSES, this.#id, changes);
    } catch (error) {
      if (error.code === 101) throw new Ended('it was deleted');
      throw error;
    }
  }
}

function withHanded(state, { accepted, refused, why }) {
  const sums = { ...state.refused };
  for (const [key, count] of Object.entries(refused)) sums[key] = (sums[key] ?? 0) + count;
  return {
    ...state,
    after: state.upto,
    upto: null,
    accepted: state.accepted + accepted,
    refused: sums,
    // What pushsvc refuses from the start it would refuse for all.
    fault: why && state.accepted + accepted === 0 ? why : state.fault,
  };
}

/** Whether Parse Server has understood, and will not; a proxy's 404 has no code of Parse's. */
function isRefusal({ status, code }) {
  return status === 400 && Number.isInteger(code);
}

module.exports = { STATUSES, Sending };
