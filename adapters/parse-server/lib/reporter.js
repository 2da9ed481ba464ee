'use strict';

// Mode `accept`: counts are written to _PushStatus when there are any, until they are final.

const { randomBytes } = require('node:crypto');

const {
  OPEN, YES, besideOf, differing, dotted, noteKey, notesOf, tallyOf,
} = require('./tally');
const { tell } = require('./warnings');

const STATUSES = '_PushStatus';
const STATUSES_OF_A_LOOK = 100;

/** Milliseconds. */
const TIMES = {
  // Between looks at one group: the first while counts change, up to the other while none does.
  look: 1_000,
  longestLook: 15_000,
  // Parse Server adds the rows that it gets to the counts: by then it has.
  settle: 3_000,
  // A push that has ended, and of which the service knows nothing: no call has come that late.
  unknown: 60_000,
  // A status that Parse Server never ends.
  giveUp: 600_000,
  // Statuses that nobody has written to for so long are taken over, those of a dead process too.
  adopt: 60_000,
  // Between two words on the console about what fails.
  tell: 60_000,
  // Parse Server makes its adapters before it listens.
  firstAdopt: 3_000,
};

/**
 * Writes what the service counts into _PushStatus, by Parse Server's REST API.
 *
 * Counts are absolute, so that it does no harm when several processes write them, or one twice.
 * What the service never accepted is not in its counts: each process keeps a number of its own in
 * the row for that. Where no answer came, the service may have accepted it all the same: what its
 * group has beyond all that was surely accepted was. A field marks rows whose counts are not final;
 * whoever finds one finishes it.
 */
class Reporter {
  #service;
  #parse;
  #times;
  #entries = new Map();
  #timer;
  #running = false;
  #closed = false;
  #adoptAt;
  #hasAdopted = false;
  #toldAt = -Infinity;

  /**
   * @param {object} options
   * @param {import('./service').Service} options.service
   * @param {import('./parse').ParseAPI} options.parse closed with the reporter
   * @param {object} [options.times] other times than TIMES has
   */
  constructor({ service, parse, times }) {
    this.#service = service;
    this.#parse = parse;
    this.#times = { ...TIMES, ...times };
    this.#adoptAt = performance.now() + this.#times.firstAdopt;
    this.#arm();
  }

  /**
   * Mark a status, before anything of it is sent: should this process die, another one counts.
   * @param {string} statusId
   * @returns {Promise<void>} never rejects: what cannot be marked is sent all the same
   */
  opened(statusId) {
    const entry = this.#touched(statusId);
    entry.marked ??= this.#write(statusId, { [OPEN]: YES });
    return entry.marked;
  }

  /**
   * Keep devices that are in the group, for the case that others are in doubt.
   * @param {string} statusId
   * @param {Array<{deviceType: string}>} devices
   */
  accepted(statusId, devices) {
    const { accepted, writer } = this.#touched(statusId);
    count(accepted, devices, type => noteKey('a', writer, type));
  }

  /**
   * Keep devices that were not accepted, and have rows of Parse Server's.
   * @param {string} statusId
   * @param {Array<{deviceType: string, isInDoubt?: boolean}>} devices
   * @returns {Promise<void>} when it was written or could not be, which is tried again; never
   *   rejects
   */
  refused(statusId, devices) {
    const entry = this.#touched(statusId);
    const { notes, writer } = entry;
    count(notes, devices, (type, { isInDoubt }) => noteKey(isInDoubt ? 'd' : 'w', writer, type));
    if (devices.length === 0) return Promise.resolve();
    // Pages that fail together are written together.
    entry.flushing ??= (entry.flushed ?? Promise.resolve()).then(() => {
      entry.flushing = undefined;
      entry.flushed = this.#write(statusId, dotted(notesFor({}, entry)));
      return entry.flushed;
    });
    return entry.flushing;
  }

  /** End the timer and the connections; what is marked is found by the next process. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#parse.close();
  }

  #entry(statusId) {
    const now = performance.now();
    const known = this.#entries.get(statusId);
    if (known) return known;
    const entry = {
      statusId,
      // A new one for each time that a status is taken up: numbers of before stay what they are.
      writer: randomBytes(6).toString('hex'),
      notes: {},
      accepted: {},
      lookAt: now + this.#times.look,
      pause: this.#times.look,
      movedAt: now,
    };
    this.#entries.set(statusId, entry);
    this.#arm();
    return entry;
  }

  #touched(statusId) {
    const entry = this.#entry(statusId);
    this.#sentOf(entry);
    return entry;
  }

  #sentOf(entry) {
    entry.movedAt = performance.now();
    entry.lookAt = Math.min(entry.lookAt, entry.movedAt + this.#times.look);
    entry.pause = this.#times.look;
  }

  #arm() {
    clearTimeout(this.#timer);
    if (this.#closed || this.#running) return;
    const due = [...this.#entries.values()].reduce(
      (soonest, entry) => Math.min(soonest, entry.lookAt),
      this.#adoptAt,
    );
    this.#timer = setTimeout(() => this.#run(), Math.max(0, due - performance.now()));
    this.#timer.unref();
  }

  async #run() {
    this.#running = true;
    await this.#reported(() => this.#adopt());
    for (const entry of [...this.#entries.values()]) {
      if (this.#closed) break;
      if (entry.lookAt <= performance.now()) await this.#reported(() => this.#look(entry));
    }
    this.#running = false;
    this.#arm();
  }

  /** Find statuses that were left open, at first those of just now, too; and look at them. */
  async #adopt() {
    const now = performance.now();
    if (now < this.#adoptAt) return;
    this.#adoptAt = now + (this.#hasAdopted ? this.#times.adopt : this.#times.firstAdopt);
    const before = new Date(Date.now() - this.#times.adopt).toISOString();
    const old = { updatedAt: { $lt: { __type: 'Date', iso: before } } };
    const left = await this.#parse.find(STATUSES, {
      where: { [OPEN]: YES, ...(this.#hasAdopted ? old : {}) },
      order: 'updatedAt',
      limit: STATUSES_OF_A_LOOK,
      keys: 'objectId',
    });
    this.#hasAdopted = true;
    for (const { objectId } of left) this.#entry(objectId);
  }

  async #look(entry) {
    const { statusId } = entry;
    entry.pause = Math.min(entry.pause * 2, this.#times.longestLook);
    entry.lookAt = performance.now() + entry.pause;
    const group = await this.#service.group(statusId);
    const row = await this.#parse.get(STATUSES, statusId);
    if (row === null) {
      this.#entries.delete(statusId);
      return;
    }
    const changes = changesOf(row, group, entry);
    if (Object.keys(changes).length > 0) {
      await this.#parse.put(STATUSES, statusId, changes);
      this.#sentOf(entry);
    } else if (this.#isOver(entry, row, group)) {
      this.#entries.delete(statusId);
      await this.#parse.put(STATUSES, statusId, { [OPEN]: { __op: 'Delete' } });
    }
  }

  #isOver({ movedAt }, row, group) {
    const quiet = performance.now() - movedAt;
    if (group !== null && (group.open > 0 || group.pending > 0)) return false;
    if (['pending', 'running'].includes(row.status)) return quiet >= this.#times.giveUp;
    return quiet >= (group === null ? this.#times.unknown : this.#times.settle);
  }

  #write(statusId, changes) {
    return this.#reported(() => this.#parse.put(STATUSES, statusId, changes));
  }

  /** Run it; a failure is told now and then, and comes up again with the next look. */
  async #reported(work) {
    try {
      await work();
    } catch (error) {
      // A status that was deleted has no counts.
      if (this.#closed || error.code === 101) return;
      const now = performance.now();
      if (now - this.#toldAt < this.#times.tell) return;
      this.#toldAt = now;
      tell(`pushsvc: counts of pushes are late: ${error.message}`);
    }
  }
}

/** What is to be written so that the row says what is known. */
function changesOf(row, group, entry) {
  const { isOpen, counted } = notesOf(row);
  const mark = isOpen ? {} : { [OPEN]: YES };
  const notes = notesFor(counted, entry);
  // Where the service knows of none, Parse Server's own counts are all that there is.
  const counts = group === null ? {} : tallyOf(group, besideOf(notes));
  return { ...differing(row, counts), ...mark, ...dotted(differing(counted, notes)) };
}

/** All notes that the row is to have, of those that it has. */
function notesFor(counted, entry) {
  const notes = { ...counted, ...entry.notes };
  return besideOf(notes).doubted ? { ...notes, ...entry.accepted } : notes;
}

function count(notes, devices, keyOf) {
  for (const device of devices) {
    const key = keyOf(device.deviceType, device);
    notes[key] = (notes[key] ?? 0) + 1;
  }
}

module.exports = { Reporter };
