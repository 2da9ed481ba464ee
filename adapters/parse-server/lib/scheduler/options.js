'use strict';

// What a scheduler is told, checked: an error names the option and what to write.

const { readOptions, readWhole, refuse } = require('../options');

const DAY_MS = 86_400_000;

/**
 * Numbers, by name: what they are if left out, and what they may be.
 *
 * A lease is longer than a page may take, so that nobody is interrupted who is only slow.
 */
const NUMBERS = {
  pollMs: { usual: 5_000, least: 10, most: 3_600_000 },
  lateMs: { usual: DAY_MS, least: 0, most: 365 * DAY_MS },
  leaseMs: { usual: 120_000, least: 100, most: DAY_MS },
  pageSize: { usual: 1_000, least: 1, most: 5_000 },
  timeoutMs: { usual: 20_000, least: 1_000, most: 600_000 },
};
const NAMES = ['serverURL', 'apiKey', 'parse', 'onUnknown', 'once', 'log', ...Object.keys(NUMBERS)];

/**
 * @param {object} options see `index.d.ts`
 * @returns {{service: object, parse: object, settings: object}} options of the two servers'
 *   clients, and those of the scheduler itself
 * @throws {TypeError} naming the option
 */
function readScheduled(options) {
  const given = Object(options);
  const unknown = Object.keys(given).find(name => !NAMES.includes(name));
  if (unknown !== undefined) refuse(unknown, `left out: the options are ${NAMES.join(', ')}`);
  if (given.parse === undefined || given.parse === null) {
    refuse('parse', '{ serverURL, applicationId, masterKey } of Parse Server');
  }
  const { serverURL, apiKey, parse, onUnknown, once = false, log = toStandardError } = given;
  const numbers = Object.fromEntries(
    Object.entries(NUMBERS).map(([name, { usual, ...limits }]) => [
      name,
      readWhole(name, given[name] ?? usual, limits),
    ]),
  );
  if (typeof once !== 'boolean') refuse('once', 'true or false');
  if (typeof log !== 'function') refuse('log', 'a function of a level and a message');
  const { timeoutMs, ...settings } = numbers;
  const service = readOptions({ serverURL, apiKey, parse, onUnknown, timeoutMs });
  return {
    service,
    parse: service.parse,
    settings: { ...settings, once, log, onUnknown: service.onUnknown },
  };
}

/** One line for each thing that happened. */
function toStandardError(level, message) {
  const line = message.replace(/\s+/g, ' ');
  process.stderr.write(`${new Date().toISOString()} ${level} pushsvc-parse-scheduler: ${line}\n`);
}

module.exports = { NUMBERS, readScheduled, toStandardError };
