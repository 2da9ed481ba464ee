'use strict';

// The command line of the scheduler: options by flags, or by the environment.

const { parseArgs } = require('node:util');

const { runScheduled } = require('../scheduler');
const { NUMBERS } = require('./options');

/** Options by flag: the name of each in `runScheduled`, its variable, and what it is. */
const TEXTS = {
  'server-url': ['serverURL', 'PARSE_PUSHSVC_SERVER_URL', 'where pushsvc is'],
  'api-key': ['apiKey', 'PARSE_PUSHSVC_API_KEY', 'a key of the app, with the scope send'],
  'parse-server-url': ['parse.serverURL', 'PARSE_SERVER_URL', 'Parse Server, with its mount'],
  'application-id': ['parse.applicationId', 'PARSE_SERVER_APPLICATION_ID', "Parse Server's app"],
  'master-key': ['parse.masterKey', 'PARSE_SERVER_MASTER_KEY', "Parse Server's master key"],
  'on-unknown': ['onUnknown', 'PARSE_PUSHSVC_ON_UNKNOWN', 'resend or drop what may have arrived'],
};
const WHOLE = {
  'poll-ms': ['pollMs', 'PARSE_PUSHSVC_POLL_MS', 'between looks for what is due'],
  'late-ms': ['lateMs', 'PARSE_PUSHSVC_LATE_MS', 'what is later than this is not sent'],
  'lease-ms': ['leaseMs', 'PARSE_PUSHSVC_LEASE_MS', 'when a runner that does nothing is given up'],
  'page-size': ['pageSize', 'PARSE_PUSHSVC_PAGE_SIZE', 'installations of a page'],
  'timeout-ms': ['timeoutMs', 'PARSE_PUSHSVC_TIMEOUT_MS', 'what a call of pushsvc may take'],
};
const SWITCHES = {
  once: 'do what is due, and end: 0, or 1 where a server could not be asked',
  help: 'show this, and end',
};

/**
 * @param {string[]} args
 * @param {Object<string, string | undefined>} environment
 * @returns {{help: boolean, options: object}} options for `runScheduled`, unchecked but for numbers
 * @throws {TypeError} naming the flag
 */
function readCommand(args, environment) {
  const flags = {};
  for (const flag of Object.keys({ ...TEXTS, ...WHOLE })) flags[flag] = { type: 'string' };
  for (const flag of Object.keys(SWITCHES)) flags[flag] = { type: 'boolean', default: false };
  const { values } = parseArgs({ args, options: flags, strict: true, allowPositionals: false });
  const options = { parse: {}, once: values.once };
  for (const [flag, [name, variable]] of Object.entries(TEXTS)) {
    set(options, name, values[flag] ?? environment[variable]);
  }
  for (const [flag, [name, variable]] of Object.entries(WHOLE)) {
    const text = values[flag] ?? environment[variable];
    if (text) options[name] = wholeOf(flag, text);
  }
  return { help: values.help, options };
}

/** @returns {string} what `--help` shows */
function helpText() {
  const line = (flag, what) => `  --${flag.padEnd(18)} ${what}`;
  const texts = Object.entries(TEXTS).map(([flag, [, variable, what]]) =>
    line(flag, `${what} (${variable})`),
  );
  const wholes = Object.entries(WHOLE).map(([flag, [name, variable, what]]) =>
    line(flag, `${what}: ${NUMBERS[name].usual} (${variable})`),
  );
  const switches = Object.entries(SWITCHES).map(([flag, what]) => line(flag, what));
  return [
    'Usage: pushsvc-parse-scheduler [options]',
    '',
    'Sends the pushes that Parse Server stores with scheduledPush: true, when they are due.',
    'Several may run at once. Keys are better given by the environment than by flags, which',
    'every user of the machine can see.',
    '',
    ...texts,
    ...wholes,
    ...switches,
    '',
  ].join('\n');
}

/**
 * Run until it is told to stop, and say how it went.
 * @param {string[]} args
 * @param {object} environment
 * @returns {Promise<number>} the exit code
 */
async function main(args, environment) {
  let running;
  try {
    const { help, options } = readCommand(args, environment);
    if (help) {
      process.stdout.write(helpText());
      return 0;
    }
    running = runScheduled(options);
  } catch (error) {
    process.stderr.write(`${told(error)}\nSee pushsvc-parse-scheduler --help.\n`);
    return 2;
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => running.stop());
  return (await running.done) ? 0 : 1;
}

function set(options, name, value) {
  // An empty variable is one that is not set.
  if (value === undefined || value === '') return;
  const [first, second] = name.split('.');
  if (second) options[first][second] = value;
  else options[first] = value;
}

function wholeOf(flag, text) {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TypeError(`--${flag} must be a whole number of digits, and is '${text}'`);
}

/** In the words of this command: the option's flag and its variable. */
function told({ message }) {
  const named = Object.entries({ ...TEXTS, ...WHOLE }).find(([, [name]]) =>
    message.includes(`: ${name} must`),
  );
  if (!named) return `pushsvc-parse-scheduler: ${message}`;
  const [flag, [, variable]] = named;
  const wanted = message.slice(message.indexOf(' must'));
  return `pushsvc-parse-scheduler: --${flag} (or ${variable})${wanted}`;
}

module.exports = { helpText, main, readCommand };
