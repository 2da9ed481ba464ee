'use strict';

// What the adapter was configured with, checked: an error names the option and what to write.

const DEFAULTS = { timeoutMs: 60_000, mode: 'wait', connections: 16 };
const MODES = ['wait', 'accept'];
const ON_UNKNOWN = ['resend', 'drop'];
const NAMES = ['serverURL', 'apiKey', 'onUnknown', 'parse', ...Object.keys(DEFAULTS)];

/**
 * Read the adapter's options; what else is in the object is Parse Server's, and left alone.
 * @param {object} options `push` of Parse Server's configuration, or the like
 * @returns {{serverURL: string, apiKey: string, timeoutMs: number, mode: string,
 *   connections: number, onUnknown?: string, parse?: object}}
 * @throws {TypeError} naming the option
 */
function readOptions(options) {
  if (options === null || typeof options !== 'object') {
    refuse('options', 'an object such as { serverURL, apiKey }');
  }
  refuseMisspelled(options);
  const { timeoutMs, mode, connections, onUnknown, parse } = { ...DEFAULTS, ...given(options) };
  const needsParse = mode === 'accept' || parse !== undefined;
  return {
    serverURL: readServerURL(options.serverURL),
    apiKey: readKey(options.apiKey),
    timeoutMs: readWhole('timeoutMs', timeoutMs, { least: 1_000, most: 600_000 }),
    mode: readOneOf('mode', mode, MODES),
    connections: readWhole('connections', connections, { least: 1, most: 256 }),
    onUnknown: onUnknown === undefined ? undefined : readOneOf('onUnknown', onUnknown, ON_UNKNOWN),
    parse: needsParse ? readParse(parse) : undefined,
  };
}

/**
 * Read how to reach Parse Server's REST API.
 * @param {object} parse
 * @returns {{serverURL: string, applicationId: string, masterKey: string}}
 * @throws {TypeError} naming the option
 */
function readParse(parse) {
  if (parse === null || typeof parse !== 'object') {
    refuse('parse', "{ serverURL, applicationId, masterKey } of Parse Server, for mode 'accept'");
  }
  return {
    serverURL: readURL('parse.serverURL', parse.serverURL, 'http://localhost:1337/parse'),
    applicationId: readSecret('parse.applicationId', parse.applicationId),
    masterKey: readSecret('parse.masterKey', parse.masterKey),
  };
}

function given(options) {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** Other names are Parse Server's, but for those that can only be meant for one of ours. */
function refuseMisspelled(options) {
  const meantBy = new Map(NAMES.map(name => [name.toLowerCase(), name]));
  meantBy.set('timeout', 'timeoutMs');
  for (const name of Object.keys(options)) {
    const meant = meantBy.get(name.toLowerCase()) ?? name;
    if (meant !== name && (options[meant] ?? null) === null) refuse(name, `spelled ${meant}`);
  }
}

function readServerURL(value) {
  const url = readURL('serverURL', value, 'http://localhost:8420');
  const mount = /\/(v1|parse)$/.exec(new URL(url).pathname)?.[0];
  if (mount) refuse('serverURL', `the root of pushsvc, without ${mount} at its end`);
  return url;
}

function readKey(value) {
  if ((value ?? '') !== '') return readSecret('apiKey', value);
  return refuse('apiKey', 'set: a key of `pushsvc key create --app NAME --scope send`');
}

function readURL(name, value, example) {
  let url = null;
  try {
    url = new URL(value);
  } catch {
    refuse(name, `an address such as ${example}`);
  }
  if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    refuse(name, 'an http or https address without query, fragment or user');
  }
  return url.href.replace(/\/+$/, '');
}

function readSecret(name, value) {
  // It is sent as a header, where anything else would be another header, or none.
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    refuse(name, 'a text of visible ASCII characters');
  }
  return value;
}

function readWhole(name, value, { least, most }) {
  if (!Number.isInteger(value) || value < least || value > most) {
    refuse(name, `a whole number from ${least} to ${most}`);
  }
  return value;
}

function readOneOf(name, value, known) {
  if (!known.includes(value)) refuse(name, known.map(word => `'${word}'`).join(' or '));
  return value;
}

/**
 * @param {string} name of the option
 * @param {string} wanted what it must be
 * @throws {TypeError} always
 */
function refuse(name, wanted) {
  throw new TypeError(`@pushsvc/parse-server-push-adapter: ${name} must be ${wanted}`);
}

module.exports = { readOptions, readWhole, refuse };
