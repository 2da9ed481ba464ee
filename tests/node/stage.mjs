// What the tests share: an SDK set up against the service, devices, and the gateways' ledger.
import assert from 'node:assert/strict';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

// Longer than any fact takes to come about; a test that waits so long has failed.
const DEADLINE_MS = 20_000;
const POLL_MS = 50;

const asked = createRequire(import.meta.url)(`${given('PARSE_PACKAGE')}/node`);
export const Parse = asked.default ?? asked;

export const service = {
  url: given('PARSE_SERVICE'),
  applicationId: given('PARSE_APPLICATION_ID'),
  master: given('PARSE_MASTER_KEY'),
  javascript: given('PARSE_JAVASCRIPT_KEY'),
  rest: given('PARSE_REST_KEY'),
  client: given('PARSE_CLIENT_KEY'),
  topic: given('APNS_TOPIC'),
};
export const MASTER = { useMasterKey: true };

Parse.initialize(service.applicationId, service.javascript, service.master);
Parse.serverURL = `${service.url}/parse`;
// An answer of 500 and more is to be seen, not tried again until it is gone.
Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', 1);

function given(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: \`make test-parse\` runs these files`);
  return value;
}

// ---- devices, with the fields that their SDKs send

export const word = (prefix = 'w') => prefix + randomBytes(6).toString('hex');

export function ios(fields = {}) {
  return {
    installationId: randomUUID(),
    deviceType: 'ios',
    // The last eight digits ask the simulator for a fault, or for none.
    deviceToken: randomBytes(28).toString('hex') + '00000000',
    appIdentifier: service.topic,
    appName: 'Example',
    appVersion: '4.1.0',
    parseVersion: '4.1.1',
    badge: 0,
    timeZone: 'America/New_York',
    localeIdentifier: 'en-US',
    ...fields,
  };
}

export function android(fields = {}) {
  return {
    installationId: randomUUID(),
    deviceType: 'android',
    pushType: 'gcm',
    GCMSenderId: String(randomInt(10 ** 11, 10 ** 12)),
    deviceToken: `${word('f')}:APA91b${word()}`,
    appIdentifier: 'com.example.droid',
    appName: 'Example',
    appVersion: '4.1.0',
    parseVersion: '4.3.0',
    timeZone: 'Europe/Berlin',
    localeIdentifier: 'de-DE',
    ...fields,
  };
}

export function windows(fields = {}) {
  return {
    installationId: randomUUID(),
    deviceType: 'winrt',
    channelUris: { _Default: `https://db5.notify.windows.com/?token=${word()}` },
    appIdentifier: 'Example_8wekyb3d8bbwe',
    appName: 'Example',
    appVersion: '4.1.0.0',
    parseVersion: '1.7.0.0',
    timeZone: 'Asia/Tokyo',
    localeIdentifier: 'ja-JP',
    ...fields,
  };
}

export const tokenOf = device => device.deviceToken ?? device.channelUris._Default;

/** Save devices as the master would, and return the objects. */
export async function installed(...devices) {
  const objects = devices.map(fields => new Parse.Object('_Installation', fields));
  await Promise.all(objects.map(object => object.save(null, MASTER)));
  return objects;
}

export const installations = () => new Parse.Query(Parse.Installation);

export const ids = objects => objects.map(object => object.id).sort();

/** Assert that the query finds these objects and no others. */
export async function finds(query, objects, options = MASTER) {
  assert.deepEqual(ids(await query.find(options)), ids(objects));
}

// ---- facts that come about

/** Wait until the fact is neither false nor nothing, and return it. */
export async function until(fact, what) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await fact();
    if (found) return found;
    assert.ok(Date.now() < deadline, `did not come about: ${what}`);
    await new Promise(wake => setTimeout(wake, POLL_MS));
  }
}

/** Send a push and wait until it is closed; return its status object. */
export async function sent(push, options) {
  const id = await Parse.Push.send(push, options);
  assert.match(id, /^[A-Za-z0-9]{10}$/, 'the SDK read no status id of the reply');
  return closed(id);
}

/** Wait until nothing more will come of the push. */
export function closed(id) {
  const open = ['scheduled', 'pending', 'running'];
  return until(async () => {
    const status = await Parse.Push.getPushStatus(id);
    return open.includes(status.get('status')) ? null : status;
  }, `push ${id} is closed`);
}

/** Assert that the push has succeeded, with just so many sent to. */
export function succeeded(status, numSent) {
  assert.equal(status.get('status'), 'succeeded');
  assert.equal(status.get('numSent'), numSent);
  assert.equal(status.get('numFailed') ?? 0, 0);
}

// ---- the ledger of the gateways' simulators

const GATEWAYS = { ios: 'apns', android: 'fcm', winrt: 'wns' };

/** What the device's gateway got for it, oldest first. */
export async function messages(device) {
  const query = { gateway: GATEWAYS[device.deviceType], token: tokenOf(device) };
  const reply = await fetch(`${given('SIMULATORS')}/ledger?${new URLSearchParams(query)}`);
  const { entries } = await reply.json();
  return entries.filter(entry => entry.delivered);
}

/** The same as each app gets it: APNs's payload, Android's `data`, WNS's XML. */
export async function contents(device) {
  return (await messages(device)).map(entry => read[device.deviceType](entry.payload));
}

const read = {
  ios: JSON.parse,
  android: text => JSON.parse(JSON.parse(text).message.android.data.data),
  winrt: text => text,
};

/** The alerts that a device got, oldest first. */
export async function alerts(device) {
  return (await contents(device)).map(content => alertOf[device.deviceType](content));
}

const alertOf = {
  ios: ({ aps }) => aps.alert?.body ?? aps.alert,
  android: content => content.alert,
  winrt: xml => /<text>([^<]*)<\/text><\/binding>/.exec(xml)?.[1],
};

/** Send an alert of its own, and assert that these devices got it and the others did not. */
export async function reaches(push, devices, others = []) {
  const data = { alert: word('alert '), ...push.data };
  const status = await sent({ ...push, data });
  succeeded(status, devices.length);
  const got = async device => (await alerts(device)).includes(data.alert);
  for (const device of devices) assert.ok(await got(device), `not sent: ${tokenOf(device)}`);
  for (const device of others) assert.ok(!(await got(device)), `sent: ${tokenOf(device)}`);
  return status;
}

// ---- errors, and what the SDK does not reach

/** Assert that the promise fails with Parse's code, and with this text where one is given. */
export async function refused(promise, code, text) {
  const error = await promise.then(
    value => assert.fail(`${code} was expected, but it resolved to ${JSON.stringify(value)}`),
    failure => failure,
  );
  if (error instanceof assert.AssertionError) throw error;
  assert.equal(error.code, code, `${error.code} ${error.message}`);
  if (text instanceof RegExp) assert.match(error.message, text);
  else if (text !== undefined) assert.equal(error.message, text);
}

const KEYS = {
  master: { 'X-Parse-Master-Key': service.master },
  rest: { 'X-Parse-REST-API-Key': service.rest },
  client: { 'X-Parse-Client-Key': service.client },
  none: {},
};

/** Ask by REST, as a client with this key; return status, headers and the body as JSON. */
export async function rest(
  method,
  path,
  { body, key = 'master', headers = {}, mount = '/parse' } = {},
) {
  const reply = await fetch(`${service.url}${mount}/${path}`, {
    method,
    headers: { 'X-Parse-Application-Id': service.applicationId, ...KEYS[key], ...headers },
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await reply.text();
  return { status: reply.status, headers: reply.headers, body: text && JSON.parse(text) };
}

/** Assert that a REST request is refused with this code, and with 4xx. */
export async function rejects(reply, code, text) {
  const { status, body } = await reply;
  assert.ok(status >= 400 && status < 500, `${status} ${JSON.stringify(body)}`);
  assert.equal(body.code, code, JSON.stringify(body));
  if (text instanceof RegExp) assert.match(body.error, text);
  else if (text !== undefined) assert.equal(body.error, text);
}
