'use strict';

// Looks for scheduled pushes, round after round, and has what is due sent.

const { pauseMs } = require('../patience');
const { HELD, Watch, openWhere, readHeld } = require('./claims');
const { actionOf, momentsFor } = require('./plan');
const { TIMES, readTimes } = require('./push');
const { STATUSES, Sending } = require('./sending');
const { settle } = require('./settle');
const { dueBelow } = require('./times');

const ROWS_OF_A_LOOK = 100;
const KEYS = `status,${TIMES},${HELD}`;
const AT_ONCE = 4;
// Milliseconds after a failure, and between looks at deliveries that are not over.
const PAUSES = { first: 500, longest: 30_000 };
// How often a single round asks before it calls it a failure.
const TRIES_ONCE = 3;
// Wall times of which the moments are remembered: some forty numbers each.
const REMEMBERED_TIMES = 1_000;

class Runner {
  #means;
  #settings;
  #clock;
  #log;
  #watch;
  #active = new Map();
  #deferred = new Map();
  #instants = new Map();
  #stopping = false;
  #nudged = false;
  #wake = () => {};
  #troubled = new Set();

  /**
   * @param {object} means
   * @param {import('../parse').ParseAPI} means.parse
   * @param {import('../service').Service} means.service
   * @param {import('./clock').ServerClock} means.clock
   * @param {object} means.settings as `options.js` of the scheduler reads them
   * @param {(level: string, message: string) => void} means.log
   */
  constructor({ parse, service, clock, settings, log }) {
    this.#means = { parse, service, clock, settings, stopping: () => this.#stopping };
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#watch = new Watch(settings.leaseMs);
  }

  /**
   * @returns {Promise<boolean>} when it was stopped, or with `once` when nothing is due; false
   *   where something is that could not be done
   */
  async run() {
    for (let failures = 0; !this.#stopping; ) {
      let round = { pending: true, until: Infinity };
      try {
        round = await this.#round();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!this.#stopping) this.#log('error', error.message);
        if (this.#settings.once && failures >= TRIES_ONCE) return false;
      }
      if (this.#settings.once && !round.pending) break;
      await this.#sleep(failures > 0 ? pauseMs(failures, PAUSES) : this.#untilNextRound(round));
    }
    await Promise.all(this.#active.values());
    return this.#troubled.size === 0;
  }

  /** Begin nothing new; `run` resolves when what is under way is at its next step. */
  stop() {
    this.#stopping = true;
    this.#nudge();
  }

  /** Look at every row that is due or may be soon, in bounded pieces. */
  async #round() {
    const round = { pending: false, until: Infinity };
    const seen = new Set();
    if (!this.#clock.isSet()) await this.#find({ status: 'scheduled' }, 1);
    for (let after = ''; !this.#stopping; ) {
      const where = openWhere(dueBelow(this.#clock.now()), after);
      const rows = await this.#find(where, ROWS_OF_A_LOOK);
      if (rows.length === 0) break;
      for (const row of rows) {
        seen.add(row.objectId);
        await this.#look(row, round);
      }
      after = rows.at(-1).objectId;
    }
    this.#forget(seen);
    return round;
  }

  #find(where, limit) {
    return this.#means.parse.find(STATUSES, { where, order: 'objectId', limit, keys: KEYS });
  }

  async #look(row, round) {
    const id = row.objectId;
    if (this.#stopping || this.#troubled.has(id)) return;
    if (this.#active.has(id)) {
      // It may be over before this round is, and not yet be settled.
      round.pending = true;
      return;
    }
    const held = readHeld(row);
    const push = readTimes(row);
    const now = this.#clock.now();
    const instants = () => this.#instantsOf(push.time);
    const { lateMs } = this.#settings;
    const { action, until = Infinity } = actionOf(row, { push, held, instants, now, lateMs });
    round.until = Math.min(round.until, until);
    if (action === 'none') return;
    const look = action === 'send' ? this.#watch.look(id, held, this.#clock.monotonic()) : 'free';
    if (look === 'alive') return;
    round.pending = true;
    if (look === 'watched' || this.#isDeferred(id)) return;
    while (this.#active.size >= AT_ONCE) await Promise.race(this.#active.values());
    if (this.#stopping) return;
    const moments = push.fault ? 0 : instants().length;
    const task = action === 'send' ? this.#send(id, held) : this.#settle({ id, held, moments });
    this.#active.set(id, this.#owned(id, task));
  }

  async #send(id, held) {
    const sending = new Sending(this.#means, id);
    try {
      const came = await sending.run(held);
      if (came !== null) this.#log('info', `push ${id}: ${came}`);
    } catch (error) {
      this.#watch.gaveUp(id, sending.number);
      throw error;
    }
    this.#deferred.delete(id);
  }

  async #settle(push) {
    const { id } = push;
    const ending = await settle(this.#means, push);
    if (ending === null) {
      this.#defer(id);
      return;
    }
    const { status, numSent, numFailed, errorMessage } = ending;
    const why = errorMessage ? `: ${errorMessage.message}` : '';
    this.#log('info', `push ${id}: ${status}, ${numSent} sent, ${numFailed} failed${why}`);
    this.#deferred.delete(id);
  }

  /** The end of each task: a failure is told, and tried again later. */
  async #owned(id, task) {
    try {
      await task;
    } catch (error) {
      if (!this.#stopping && error.code !== 101) {
        this.#log('error', `push ${id}: ${error.message}; it is tried again`);
        const { times } = this.#defer(id);
        if (this.#settings.once && times >= TRIES_ONCE) this.#troubled.add(id);
      }
    } finally {
      this.#active.delete(id);
      this.#nudge();
    }
  }

  #defer(id) {
    const times = (this.#deferred.get(id)?.times ?? 0) + 1;
    const deferred = { times, until: this.#clock.monotonic() + pauseMs(times, PAUSES) };
    this.#deferred.set(id, deferred);
    return deferred;
  }

  #isDeferred(id) {
    return this.#clock.monotonic() < (this.#deferred.get(id)?.until ?? 0);
  }

  #forget(seen) {
    this.#watch.keep(seen);
    for (const id of this.#deferred.keys()) if (!seen.has(id)) this.#deferred.delete(id);
  }

  #instantsOf(time) {
    if ('at' in time) return [time.at];
    let instants = this.#instants.get(time.wall);
    if (instants === undefined) {
      instants = momentsFor(time).map(({ at }) => at);
      if (this.#instants.size >= REMEMBERED_TIMES) this.#instants.clear();
      this.#instants.set(time.wall, instants);
    }
    return instants;
  }

  #untilNextRound({ until }) {
    const due = Math.max(0, until - this.#clock.now()) + Math.random() * SPREAD_MS;
    const looks = [...this.#deferred.values()].map(each => each.until - this.#clock.monotonic());
    const later = looks.filter(each => each > 0);
    return Math.max(MIN_PAUSE_MS, Math.min(this.#settings.pollMs, due, ...later));
  }

  /** Look again soon: something has ended. */
  #nudge() {
    this.#nudged = true;
    this.#wake();
  }

  async #sleep(ms) {
    let timer;
    await new Promise(resolve => {
      this.#wake = resolve;
      timer = setTimeout(resolve, this.#nudged ? MIN_PAUSE_MS : ms);
    });
    clearTimeout(timer);
    this.#wake = () => {};
    this.#nudged = false;
  }
}

// Rounds do not chase each other, whatever tells them to look.
const MIN_PAUSE_MS = 10;
// Several runners know of the same time: they seldom meet at it.
const SPREAD_MS = 100;

module.exports = { Runner };
