'use strict';

// Sends what Parse Server stores with `scheduledPush: true` when it is due.

const { ParseAPI } = require('./parse');
const { Service } = require('./service');
const { ServerClock } = require('./scheduler/clock');
const { readScheduled, toStandardError } = require('./scheduler/options');
const { Runner } = require('./scheduler/runner');

// What is under way when it is to stop has so long to come to its next step.
const GRACE_MS = 2_000;

/**
 * Begin to look after scheduled pushes. Several may do so at once, on as many hosts.
 * @param {object} options see `index.d.ts`
 * @returns {{stop(): Promise<void>, done: Promise<boolean>}} `stop` resolves when nothing is under
 *   way any more, within some two seconds; `done` when it has ended, with `once` by itself: false
 *   where something that was due could not be done. Neither rejects for servers that are away
 * @throws {TypeError} naming the option that is wrong
 */
function runScheduled(options) {
  const { service: reach, parse: parseReach, settings } = readScheduled(options);
  const clock = new ServerClock();
  const service = new Service({ ...reach, connections: 4 });
  const parse = new ParseAPI(parseReach, date => clock.heard(date));
  const runner = new Runner({ parse, service, clock, settings, log: guarded(settings.log) });
  const close = () => {
    parse.close();
    service.close();
  };
  let timer;
  let abandon;
  const abandoned = new Promise(resolve => (abandon = () => resolve(true)));
  const done = Promise.race([runner.run(), abandoned]).finally(close);
  const stop = async () => {
    runner.stop();
    timer ??= setTimeout(abandon, GRACE_MS);
    await done;
    clearTimeout(timer);
  };
  return { stop, done };
}

/** The same log; where it throws or rejects, its message is on standard error instead. */
function guarded(log) {
  return async (level, message) => {
    try {
      await log(level, message);
    } catch {
      toStandardError(level, message);
    }
  };
}

module.exports = { runScheduled };
