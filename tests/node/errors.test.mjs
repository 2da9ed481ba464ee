// What is refused, by the number that SDKs tell their apps.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import {
  MASTER,
  Parse,
  android,
  installations,
  installed,
  ios,
  refused,
  rejects,
  rest,
  word,
} from './stage.mjs';

const { Error: Code } = Parse;
const DAY = 86_400_000;
const data = { alert: 'x' };
const fromNow = ms => new Date(Date.now() + ms);

// ---- pushes (parse.md 1.4, in its order; then the guide's)

const MISCONFIGURED = Code.PUSH_MISCONFIGURED ?? 115;
const PUSHES = {
  'both where and channels': [
    { where: {}, channels: ['a'], data },
    MISCONFIGURED,
    'Channels and query can not be set at the same time.',
  ],
  'neither where nor channels': [
    { data },
    MISCONFIGURED,
    'Sending a push requires either "channels" or a "where" query.',
  ],
  'an expiration_time that is no time': [
    { where: {}, data, expiration_time: 'soon' },
    MISCONFIGURED,
    'soon is not valid time.',
  ],
  'an expiration_interval of nought': [
    { where: {}, data, expiration_interval: 0 },
    MISCONFIGURED,
    'expiration_interval must be a number greater than 0',
  ],
  'an expiration_interval of text': [
    { where: {}, data, expiration_interval: '60' },
    MISCONFIGURED,
    'expiration_interval must be a number greater than 0',
  ],
  'a push_time that is no time': [
    { where: {}, data, push_time: '2015-08-022T12:00:00' },
    MISCONFIGURED,
    '2015-08-022T12:00:00 is not valid time.',
  ],
  'a push_time of a number in text': [
    { where: {}, data, push_time: '1440226800' },
    MISCONFIGURED,
    '1440226800 is not valid time.',
  ],
  'a badge that is none': [
    { where: {}, data: { alert: 'x', badge: 'many' } },
    MISCONFIGURED,
    "Invalid value for badge, expected number or 'Increment' or {increment: number}",
  ],
  'no data': [{ where: {} }, MISCONFIGURED, /data/],
  'a type beside where': [{ where: {}, type: 'ios', data }, MISCONFIGURED, /type/],
  'a query over 128 KB': [
    { where: { a: { $in: ['x'.repeat(130 * 1024)] } }, data },
    MISCONFIGURED,
    /128 KB/,
  ],
  'an interval that was meant as a moment': [
    { where: {}, data, expiration_interval: 1_440_226_800_000 },
    138,
    /seconds/,
  ],
  'a push_time in the past': [{ where: {}, data, push_time: fromNow(-DAY) }, 152, /past/],
  'a push_time in three weeks': [
    { where: {}, data, push_time: fromNow(21 * DAY) },
    152,
    /two weeks/,
  ],
  'an expiry before the push': [
    { where: {}, data, push_time: fromNow(2 * DAY), expiration_time: fromNow(DAY) },
    138,
    /expiration_time/,
  ],
  'an expiry in the past': [
    { where: {}, data, expiration_time: fromNow(-DAY) },
    138,
    /expiration_time/,
  ],
  'a bad channel name': [
    { channels: ['no such name!'], data },
    Code.INVALID_CHANNEL_NAME,
    /no such name!/,
  ],
  'channels as text': [{ channels: 'Giants', data }, 134, /channels/],
  'an operator that is none': [
    { where: { a: { $foo: 1 } }, data },
    Code.INVALID_JSON,
    'bad constraint: $foo',
  ],
  'a where of text': [{ where: 'deviceType', data }, Code.INVALID_JSON, /query parameter/],
  'a pattern that is none': [
    { where: { city: { $regex: '(' } }, data },
    Code.INVALID_QUERY,
    /regex/i,
  ],
  'a key that is none': [
    { where: { 'a b': 1 }, data },
    Code.INVALID_KEY_NAME,
    'Invalid key name: a b',
  ],
};

for (const [name, [push, code, text]] of Object.entries(PUSHES)) {
  test(`push: ${name} is ${code}`, async () => {
    await refused(Parse.Push.send(push), code, text);
  });
}

test('push: both expiries are refused by the SDK itself, and by the service', async () => {
  const push = {
    where: {},
    data,
    expiration_interval: 60,
    expiration_time: fromNow(DAY).toISOString(),
  };
  await assert.rejects(async () => Parse.Push.send({ ...push }), /cannot both be set/);
  await rejects(
    rest('POST', 'push', { body: push }),
    115,
    'Both expiration_time and expiration_interval cannot be set',
  );
});

test('push: null times are present, and no times', async () => {
  await rejects(
    rest('POST', 'push', { body: { where: {}, data, push_time: null } }),
    115,
    'null is not valid time.',
  );
  await rejects(
    rest('POST', 'push', { body: { where: {}, data, expiration_time: null } }),
    115,
    'null is not valid time.',
  );
});

test('push: without the master key it is 403, unless the app says otherwise', async () => {
  const sdk = Parse.Push.send({ where: {}, data }, { useMasterKey: false });
  await assert.rejects(sdk, { message: 'unauthorized: master key is required' });
  for (const key of ['rest', 'client']) {
    const reply = await rest('POST', 'push', { key, body: { where: {}, data } });
    assert.equal(reply.status, 403);
    assert.deepEqual(reply.body, { error: 'unauthorized: master key is required' });
  }
});

// ---- installations (1.5)

const installation = fields => new Parse.Object('_Installation', fields).save(null, MASTER);
const INSTALLATIONS = {
  'neither token nor installation id': [
    { deviceType: 'ios' },
    135,
    'at least one ID field (deviceToken, installationId) must be specified in this operation',
  ],
  'no deviceType': [
    { installationId: randomUUID() },
    135,
    'deviceType must be specified in this operation',
  ],
  'a deviceType that is none': [() => ios({ deviceType: 'toaster' }), 133, /deviceType/],
  'a token that is no text': [() => ios({ deviceToken: 7 }), 114, /deviceToken/],
  'an installation id that is no text': [() => ios({ installationId: 7 }), 132, /installationId/],
  'a channel with a space': [
    () => ios({ channels: ['no such name!'] }),
    Code.INVALID_CHANNEL_NAME,
    /no such name!/,
  ],
  'channels as text': [() => ios({ channels: 'Giants' }), 134, /channels/],
  'a badge of text': [() => ios({ badge: 'many' }), Code.INCORRECT_TYPE, /badge/],
  'a place that is none': [
    () => ios({ at: { __type: 'GeoPoint', latitude: 91, longitude: 0 } }),
    Code.INCORRECT_TYPE,
    undefined,
  ],
  'an object over 128 KB': [
    () => ios({ text: 'x'.repeat(130 * 1024) }),
    Code.OBJECT_TOO_LARGE,
    /128/,
  ],
};

for (const [name, [fields, code, text]] of Object.entries(INSTALLATIONS)) {
  test(`installation: ${name} is ${code}`, async () => {
    await refused(installation(typeof fields === 'function' ? fields() : fields), code, text);
  });
}

for (const field of ['installationId', 'deviceToken', 'deviceType']) {
  test(`installation: ${field} never changes (136)`, async () => {
    const device = android();
    // With an installation id a token may change, for devices get new ones.
    if (field === 'deviceToken') delete device.installationId;
    const [object] = await installed(device);
    const other = { installationId: randomUUID(), deviceToken: word('t'), deviceType: 'ios' };
    await refused(
      object.save({ [field]: other[field] }, MASTER),
      136,
      `${field} may not be changed in this operation`,
    );
  });
}

test('installation: two that have a token with it, and none is named (132)', async () => {
  const device = ios();
  await installed(
    device,
    ios({ deviceToken: device.deviceToken, appIdentifier: 'com.example.other' }),
  );
  const { installationId, ...unnamed } = device;
  assert.ok(installationId);
  await refused(
    installation(unnamed),
    132,
    'Must specify installationId when deviceToken matches multiple Installation objects',
  );
});

test('installation: one that is not there is 101', async () => {
  const gone = await rest('PUT', 'classes/_Installation/abcdefghij', { body: { badge: 1 } });
  assert.equal(gone.status, 404);
  assert.equal(gone.body.code, Code.OBJECT_NOT_FOUND);
});

test('installation: clients find none but their own', async () => {
  const [object] = await installed(ios());
  await refused(
    installations().find(),
    Code.OPERATION_FORBIDDEN,
    "Clients aren't allowed to perform the find operation on the installation collection.",
  );
  await refused(
    object.destroy({ useMasterKey: false }),
    Code.OPERATION_FORBIDDEN,
    "Clients aren't allowed to perform the delete operation on the installation collection.",
  );
  const id = object.get('installationId');
  const [own, ...more] = await installations().equalTo('installationId', id).find();
  assert.deepEqual([own.id, more], [object.id, []]);
  assert.equal((await installations().get(object.id)).get('installationId'), id);
});

// ---- objects and queries

const FIELDS = {
  'a field name with a dash': [{ 'a-b': 1 }, Code.INVALID_KEY_NAME, /a-b/],
  'a field called length': [{ length: 1 }, Code.INVALID_KEY_NAME, 'Invalid field name: length.'],
  'a nested key with a dollar': [
    { a: { $b: 1 } },
    Code.INVALID_NESTED_KEY,
    "Nested keys should not contain the '$' or '.' characters",
  ],
  'an operation that is none': [
    { a: { __op: 'Square' } },
    Code.COMMAND_UNAVAILABLE,
    'The Square operator is not supported yet.',
  ],
  'two places': [
    {
      a: { __type: 'GeoPoint', latitude: 1, longitude: 1 },
      b: { __type: 'GeoPoint', latitude: 1, longitude: 1 },
    },
    Code.INCORRECT_TYPE,
    /there can only be one geopoint field in a class/,
  ],
};

for (const [name, [body, code, text]] of Object.entries(FIELDS)) {
  test(`object: ${name} is ${code}`, async () => {
    await rejects(rest('POST', `classes/${word('Thing')}`, { body }), code, text);
    await rejects(rest('POST', 'installations', { body: { ...ios(), ...body } }), code, text);
  });
}

test('object: an objectId of the caller is refused', async () => {
  await rejects(
    rest('POST', 'classes/Thing', { body: { objectId: 'mine' } }),
    Code.INVALID_KEY_NAME,
    /objectId is an invalid field name\./,
  );
});

const find = where => new Parse.Query('Thing').withJSON({ where }).find(MASTER);
const QUERIES = {
  'an operator that is none': [{ a: { $foo: 1 } }, Code.INVALID_JSON, 'bad constraint: $foo'],
  '$in without a list': [{ a: { $in: 1 } }, Code.INVALID_JSON, 'bad $in value'],
  '$nin without a list': [{ a: { $nin: 1 } }, Code.INVALID_JSON, 'bad $nin value'],
  '$all without a list': [{ a: { $all: 1 } }, Code.INVALID_JSON, 'bad $all value'],
  '$or without a list': [{ $or: {} }, Code.INVALID_QUERY, 'Bad $or format - use an array value.'],
  '$options that are none': [
    { a: { $regex: 'a', $options: 'q' } },
    Code.INVALID_QUERY,
    'Bad $options value for query: q',
  ],
  '$inQuery without a class': [
    { a: { $inQuery: { where: {} } } },
    Code.INVALID_QUERY,
    'improper usage of $inQuery',
  ],
  '$select without a key': [
    { a: { $select: { query: { className: 'Team', where: {} } } } },
    Code.INVALID_QUERY,
    'improper usage of $select',
  ],
  'a box that is none': [
    { a: { $within: { $box: [1] } } },
    Code.INVALID_JSON,
    'malformatted $within arg',
  ],
  'a polygon of two points': [
    {
      a: {
        $geoWithin: {
          $polygon: [new Parse.GeoPoint(0, 0), new Parse.GeoPoint(1, 1)].map(p => p.toJSON()),
        },
      },
    },
    Code.INVALID_JSON,
    'bad $geoWithin value; $polygon should contain at least 3 GeoPoints',
  ],
  'the ACL': [{ ACL: {} }, Code.INVALID_QUERY, 'Cannot query on ACL.'],
  'a key that is none': [{ 'a b': 1 }, Code.INVALID_KEY_NAME, 'Invalid key name: a b'],
};

for (const [name, [where, code, text]] of Object.entries(QUERIES)) {
  test(`query: ${name} is ${code}`, async () => {
    const search = new URLSearchParams({ where: JSON.stringify(where) });
    await rejects(rest('GET', `classes/Thing?${search}`), code, text);
    const sdk = await find(where).then(assert.fail, failure => failure);
    assert.equal(sdk.code, code);
  });
}

test('query: bad limits, skips, orders and parameters', async () => {
  const get = search => rest('GET', `classes/Thing?${search}`);
  await rejects(get('limit=-1'), 117);
  await rejects(get('skip=-1'), 118);
  await rejects(get('order=a-b'), Code.INVALID_KEY_NAME);
  await rejects(get('colour=red'), Code.INVALID_QUERY, 'Invalid parameter for query: colour');
  await rejects(get('where={'), Code.INVALID_JSON, 'where parameter is not valid JSON');
});

test("what is Parse Server's is refused with 108, and says so", async () => {
  const asked = [
    () => Parse.User.logIn('somebody', 'secret'),
    () => Parse.User.signUp(word('u'), 'secret'),
    () => Parse.Cloud.run('hello'),
    () => new Parse.File('a.txt', [1, 2, 3]).save(),
    () => Parse.Config.get(),
    () => new Parse.Query('_Session').find(MASTER),
  ];
  for (const ask of asked) await refused(ask(), Code.COMMAND_UNAVAILABLE, /Parse Server/);
});

test("a wrong key is 403, with Parse's word and no code", async () => {
  for (const key of ['X-Parse-Master-Key', 'X-Parse-REST-API-Key']) {
    const reply = await rest('GET', 'classes/Team', { key: 'none', headers: { [key]: 'wrong' } });
    assert.equal(reply.status, 403);
    assert.deepEqual(reply.body, { error: 'unauthorized' });
  }
});
