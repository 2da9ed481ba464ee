// REST requests that the SDK never makes: both mounts, keys in every place, forms, batches, retries.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import {
  MASTER,
  Parse,
  alerts,
  android,
  closed,
  installations,
  installed,
  ios,
  rejects,
  rest,
  service,
  word,
} from './stage.mjs';

for (const mount of ['/parse', '/1']) {
  test(`the SDK works at ${mount}`, async () => {
    const before = Parse.serverURL;
    Parse.serverURL = `${service.url}${mount}`;
    try {
      const object = await new Parse.Object('Team', { name: word() }).save(null, MASTER);
      const found = await new Parse.Query('Team').get(object.id, MASTER);
      assert.equal(found.get('name'), object.get('name'));
      await Parse.Object.saveAll([new Parse.Object('Team'), new Parse.Object('Team')], MASTER);
    } finally {
      Parse.serverURL = before;
    }
  });

  test(`a created object has its place below ${mount}`, async () => {
    const reply = await rest('POST', 'installations', { mount, body: ios() });
    assert.equal(reply.status, 201);
    assert.ok(
      reply.headers
        .get('location')
        .endsWith(`${mount}/classes/_Installation/${reply.body.objectId}`),
    );
  });
}

test('health needs no key, and serverInfo tells a dashboard what we do', async () => {
  const reply = await fetch(`${service.url}/parse/health`);
  assert.deepEqual(await reply.json(), { status: 'ok' });
  const { body } = await rest('GET', 'serverInfo');
  assert.equal(body.features.push.immediatePush, true);
  assert.equal(body.features.push.scheduledPush, true);
  assert.equal(body.features.push.pushAudiences, true);
  assert.ok(body.parseServerVersion);
  assert.equal((await rest('GET', 'serverInfo', { key: 'rest' })).status, 403);
});

test('HTTP Basic carries the keys', async () => {
  const basic = password => ({
    Authorization: `Basic ${btoa(`${service.applicationId}:${password}`)}`,
  });
  const ask = password => fetch(`${service.url}/parse/installations`, { headers: basic(password) });
  assert.equal((await ask(service.master)).status, 200);
  const client = await ask(`javascript-key=${service.javascript}`);
  assert.equal(
    (await client.json()).code,
    Parse.Error.OPERATION_FORBIDDEN,
    'a client, who may not find',
  );
  assert.equal((await ask('wrong')).status, 403);
});

test('a form carries JSON values, keys and a method', async () => {
  const fields = ios({ channels: ['form'], level: 3 });
  const form = new URLSearchParams({
    _ApplicationId: service.applicationId,
    _MasterKey: service.master,
  });
  for (const [name, value] of Object.entries(fields)) {
    form.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  const made = await fetch(`${service.url}/parse/installations`, { method: 'POST', body: form });
  assert.equal(made.status, 201, await made.clone().text());
  const { objectId } = await made.json();
  const found = await installations().get(objectId, MASTER);
  assert.deepEqual([found.get('channels'), found.get('level')], [['form'], 3]);
});

test('a body is JSON whatever its type is said to be, and its method is in it', async () => {
  const [object] = await installed(ios({ note: 1 }));
  const reply = await rest('POST', `installations/${object.id}`, {
    headers: { 'Content-Type': 'text/plain' },
    body: { _method: 'put', note: 2 },
  });
  assert.equal(reply.status, 200);
  assert.equal((await object.fetch(MASTER)).get('note'), 2);
});

test('what is no JSON is 400 without a code', async () => {
  const reply = await rest('POST', 'push', { body: '{"where":' });
  assert.equal(reply.status, 400);
  assert.equal('code' in reply.body, false);
});

test('a master key in the body counts for nothing beside keys in headers', async () => {
  const reply = await rest('POST', 'push', {
    key: 'rest',
    body: { _MasterKey: service.master, where: {}, data: { alert: 'x' } },
  });
  assert.equal(reply.status, 403);
});

test('browsers may ask, and read the id of a push', async () => {
  const preflight = await fetch(`${service.url}/parse/push`, { method: 'OPTIONS' });
  assert.equal(preflight.status, 200);
  assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
  assert.match(preflight.headers.get('access-control-allow-headers'), /X-Parse-Master-Key/);
  const reply = await rest('POST', 'push', {
    body: { channels: ['nobody'], data: { alert: 'x' } },
  });
  assert.deepEqual(reply.body, { result: true });
  const exposed = reply.headers.get('access-control-expose-headers').split(', ');
  assert.ok(exposed.includes('X-Parse-Push-Status-Id'));
  assert.match(reply.headers.get('x-parse-push-status-id'), /^[A-Za-z0-9]{10}$/);
});

test('a request that is tried again never pushes twice', async () => {
  const device = ios({ channels: [word('retry')], badge: 0 });
  const [object] = await installed(device);
  const push = { channels: device.channels, data: { alert: word(), badge: 'Increment' } };
  const headers = { 'X-Parse-Request-Id': randomUUID() };
  const replies = await Promise.all(
    Array.from({ length: 5 }, () => rest('POST', 'push', { body: push, headers })),
  );
  replies.push(await rest('POST', 'push', { body: push, headers }));
  for (const reply of replies) assert.equal(reply.status, 200, JSON.stringify(reply.body));
  const [id, ...others] = new Set(
    replies.map(reply => reply.headers.get('x-parse-push-status-id')),
  );
  assert.deepEqual(others, []);
  await closed(id);
  assert.deepEqual(await alerts(device), [push.data.alert]);
  assert.equal((await object.fetch(MASTER)).get('badge'), 1);
  await rejects(
    rest('POST', 'push', { body: { ...push, data: { alert: 'another' } }, headers }),
    159,
  );
});

test('a batch answers each request in its place', async () => {
  const path = '/parse/classes/_Installation';
  const reply = await rest('POST', 'batch', {
    body: {
      requests: [
        { method: 'POST', path, body: ios() },
        { method: 'POST', path, body: { deviceType: 'ios' } },
        { method: 'GET', path: `${path}/abcdefghij` },
        { method: 'POST', path, body: android() },
      ],
    },
  });
  assert.equal(reply.status, 200);
  const codes = reply.body.map(one => one.error?.code ?? 'ok');
  assert.deepEqual(codes, ['ok', 135, Parse.Error.OBJECT_NOT_FOUND, 'ok']);
  assert.match(reply.body[0].success.objectId, /^[A-Za-z0-9]{10}$/);
});

test('a batch that cannot be routed is refused as a whole', async () => {
  const batch = requests => rest('POST', 'batch', { body: { requests } });
  await rejects(batch('none'), Parse.Error.INVALID_JSON, 'requests must be an array');
  await rejects(
    batch([{ method: 'GET', path: '/elsewhere/classes/Team' }]),
    Parse.Error.INVALID_JSON,
    'cannot route batch path /elsewhere/classes/Team',
  );
  await rejects(
    batch([{ method: 'POST', path: '/parse/batch', body: { requests: [] } }]),
    Parse.Error.INVALID_JSON,
    'nested batch requests are not allowed',
  );
});

test('an unknown path is 404, in JSON', async () => {
  const reply = await rest('GET', 'no/such/path');
  assert.equal(reply.status, 404);
  assert.ok(reply.body.error);
});

test('an app that opens from a push is counted, by REST and by the SDK', async () => {
  await Parse.Analytics.track('AppOpened', { push_hash: 'd41d8cd98f00b204e9800998ecf8427e' });
  const reply = await rest('POST', 'events/AppOpened', {
    key: 'client',
    body: {
      at: { __type: 'Date', iso: new Date().toISOString() },
      push_hash: 'd41d8cd98f00b204e9800998ecf8427e',
    },
  });
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  assert.deepEqual(reply.body, {});
});
