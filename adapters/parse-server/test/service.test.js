'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const {
  MISBEHAVIOURS, OPEN, SENT, all, client, delivery, failing, json, nowhere, serving,
} = require('./stage');

const REQUEST = {
  group: 'k3JxQ',
  content: { data: { alert: 'Hello' } },
  recipients: [{ id: 'a', device_type: 'ios', token: 'aa' }],
};

const keys = requests => requests.map(request => request.headers['idempotency-key']);

describe('a call', { concurrency: true }, () => {
  for (const [what, misbehaves] of Object.entries(MISBEHAVIOURS)) {
    if (misbehaves === MISBEHAVIOURS['does not answer']) continue;
    test(`is made again with the same key and body when the service ${what}`, async t => {
      const server = await serving(t, misbehaves, misbehaves, all(SENT));
      const { results } = await client(t, server.url).deliver(REQUEST);
      assert.equal(results[0].outcome, 'sent');
      assert.equal(new Set(keys(server.requests)).size, 1);
      assert.deepEqual(server.requests.map(request => request.text).slice(1), [
        server.requests[0].text,
        server.requests[0].text,
      ]);
    });
  }

  test('is made with the key of the app, and says how long to wait', async t => {
    const server = await serving(t, all(SENT));
    await client(t, server.url).deliver(REQUEST);
    const [{ method, url, headers, text }] = server.requests;
    assert.deepEqual([method, url], ['POST', '/v1/deliveries']);
    assert.equal(headers.authorization, 'Bearer key');
    assert.deepEqual(JSON.parse(text), { ...REQUEST, wait_seconds: 4 });
  });

  test('ends at its deadline, where there is no answer', async t => {
    const server = await serving(t, MISBEHAVIOURS['does not answer']);
    const started = performance.now();
    await assert.rejects(client(t, server.url, { timeoutMs: 300 }).deliver(REQUEST), /no answer/);
    assert.ok(performance.now() - started < 2_000);
  });

  test('ends at its deadline, where nobody listens', async t => {
    const service = client(t, await nowhere(), { timeoutMs: 500 });
    await assert.rejects(service.deliver(REQUEST), /the service did not answer: .*ECONNREFUSED/);
  });

  test('is not made again when the service refuses it', async t => {
    for (const status of [400, 401, 403, 404, 409, 413, 422]) {
      const server = await serving(t, failing(status));
      await assert.rejects(client(t, server.url).deliver(REQUEST), error => {
        assert.deepEqual([error.status, error.code], [status, 'failing']);
        assert.match(error.message, /it fails/);
        return true;
      });
      assert.equal(server.requests.length, 1);
    }
  });

  test('names the fields that the service refuses', async t => {
    const errors = [{ pointer: '/content/data', code: 'missing', detail: 'set data' }];
    const server = await serving(t, json({ code: 'invalid_request', errors }, 400));
    const told = { message: /400 invalid_request: \/content\/data: set data/, errors };
    await assert.rejects(client(t, server.url).deliver(REQUEST), told);
  });

  test('says nothing twice, and what to do about a key', async t => {
    const detail = '/group: at most 255 characters.';
    const at = pointer => ({ pointer, code: 'invalid', detail: `${pointer}: no.` });
    const answers = [
      [{ detail, errors: [{ pointer: '/group', detail }] }, 400, /400: \/group: at most 255 \w+$/],
      [{ detail: 'No.', errors: [at('/a'), at('/b')] }, 400, /400: No; \/a: no; \/b: no$/],
      [{ code: 'unauthorized', detail: 'Revoked.' }, 401, /401 unauthorized: Revoked; set apiKey/],
      [{ error: 'unauthorized' }, 403, /403; set apiKey .*; is serverURL the root of pushsvc\?$/],
    ];
    for (const [document, status, message] of answers) {
      const server = await serving(t, json(document, status));
      const refused = { message, reason: 'ServiceRefused' };
      await assert.rejects(client(t, server.url).deliver(REQUEST), refused);
    }
  });

  test('is made again when Retry-After is over, and not before', async t => {
    const server = await serving(t, failing(429, { 'retry-after': '1' }), all(SENT));
    const started = performance.now();
    await client(t, server.url).deliver(REQUEST);
    assert.ok(performance.now() - started >= 999);
    assert.equal(new Set(keys(server.requests)).size, 1);
  });

  test('is made again after a pause, though Retry-After asks for none', async t => {
    const server = await serving(t, failing(503, { 'retry-after': '0' }));
    const service = client(t, server.url, { timeoutMs: 500 });
    await assert.rejects(service.deliver(REQUEST), { status: 503, inDoubt: true });
    assert.ok(server.requests.length < 6, `${server.requests.length} tries`);
  });

  test('fails, and is not made again, when its client is closed', async t => {
    const server = await serving(t, request => {
      service.close();
      request.socket.destroy();
    });
    const service = client(t, server.url);
    const calls = [service.deliver(REQUEST), service.deliver(REQUEST)];
    await Promise.all(calls.map(call => assert.rejects(call, /closed/)));
    assert.ok(server.requests.length <= 2);
    await assert.rejects(service.deliver(REQUEST), /closed/);
  });

  test('gives up at once when Retry-After is beyond its deadline', async t => {
    const server = await serving(t, failing(503, { 'retry-after': '3600' }));
    await assert.rejects(client(t, server.url).deliver(REQUEST), { status: 503 });
    assert.equal(server.requests.length, 1);
  });

  test('is made again at once when a kept connection was closed', async t => {
    const closing = request => request.socket.destroy();
    const server = await serving(t, all(SENT), closing, all(SENT));
    const service = client(t, server.url);
    await service.deliver(REQUEST);
    await service.deliver(REQUEST);
    assert.equal(server.requests.length, 3);
  });

  test('asks on until what was pending has its outcome', async t => {
    const server = await serving(
      t,
      json(delivery([OPEN], { state: 'sending' }), 202),
      json(delivery([OPEN], { state: 'sending' }), 202),
      failing(500),
      json(delivery([SENT])),
    );
    const { results } = await client(t, server.url).deliver(REQUEST);
    assert.equal(results[0].outcome, 'sent');
    const asked = server.requests.slice(1).map(({ method, url }) => `${method} ${url}`);
    assert.ok(asked.every(each => each.startsWith('GET /v1/deliveries/Qk3?wait_seconds=')));
  });

  test('returns what is known at its deadline', async t => {
    const server = await serving(t, json(delivery([OPEN, SENT], { state: 'sending' }), 202));
    const service = client(t, server.url, { timeoutMs: 1_000 });
    const started = performance.now();
    const { pending, results } = await service.deliver({ ...REQUEST, recipients: [{}, {}] });
    assert.ok(performance.now() - started >= 750);
    assert.equal(pending, 1);
    assert.equal(results[1].outcome, 'sent');
  });

  test('returns what was accepted when nothing more can be heard of it', async t => {
    const server = await serving(t, json(delivery([OPEN]), 202), failing(404));
    const { id, pending } = await client(t, server.url).deliver(REQUEST);
    assert.deepEqual([id, pending], ['Qk3', 1]);
  });

  test('that does not wait is over when it was accepted', async t => {
    const server = await serving(t, json(delivery([OPEN]), 202));
    await client(t, server.url).deliver(REQUEST, { wait: false });
    assert.deepEqual(server.requests.map(({ text }) => JSON.parse(text).wait_seconds), [0]);
  });

  test('is compressed when it is large and goes over a network', async t => {
    const server = await serving(t, all(SENT));
    const large = { ...REQUEST, content: { data: { alert: 'ü'.repeat(4_000) } } };
    // Loopback, by an address that is not known as such.
    const elsewhere = client(t, server.url.replace('127.0.0.1', '0.0.0.0'));
    for (const request of [large, REQUEST]) await elsewhere.deliver(request);
    await client(t, server.url).deliver(large);
    const encodings = server.requests.map(({ headers }) => headers['content-encoding']);
    assert.deepEqual(encodings, ['gzip', undefined, undefined]);
    assert.equal(JSON.parse(server.requests[0].text).content.data.alert, 'ü'.repeat(4_000));
  });

  test('waits for its turn, and is no text before', async t => {
    let [written, answered] = [0, 0];
    const server = await serving(t, (request, response) => {
      assert.ok(written <= answered + 2, `${written} are text, ${answered} have an answer`);
      answered += 1;
      all(SENT)(request, response);
    });
    const recipient = { toJSON: () => ({ id: String((written += 1)) }) };
    const service = client(t, server.url, { connections: 2 });
    const calls = Array.from({ length: 7 }, () => service.deliver({ recipients: [recipient] }));
    await Promise.all(calls);
    assert.deepEqual([written, answered], [7, 7]);
  });

  test('has one short try when the service has long been away', async t => {
    const server = await serving(t, failing(500));
    const service = client(t, server.url, { timeoutMs: 400, connections: 1 });
    const calls = Array.from({ length: 20 }, () => service.deliver(REQUEST));
    const ends = await Promise.allSettled(calls);
    assert.ok(ends.every(end => end.reason.status === 500));
    const tries = server.requests.length;
    assert.ok(tries >= 20 && tries < 30, `${tries} tries`);
  });

  test('is patient again when the service was there once', async t => {
    const out = Array.from({ length: 40 }, () => failing(500));
    const server = await serving(t, ...out, all(SENT), failing(500), all(SENT));
    const service = client(t, server.url, { timeoutMs: 400, connections: 1 });
    const once = () => service.deliver(REQUEST).then(() => 'sent', () => 'failed');
    while ((await once()) !== 'sent');
    assert.equal(await once(), 'sent');
  });
});

describe('the key of a call', () => {
  const keyOf = async (t, request) => {
    const server = await serving(t, all(SENT));
    await client(t, server.url).deliver(request);
    return keys(server.requests)[0];
  };

  test('is the same for the same content, in whichever order its keys are', async t => {
    const one = { ...REQUEST, content: { data: { a: 1, b: [{ c: 2, d: 3 }] }, priority: 5 } };
    const two = { ...REQUEST, content: { priority: 5, data: { b: [{ d: 3, c: 2 }], a: 1 } } };
    assert.equal(await keyOf(t, one), await keyOf(t, two));
  });

  test('is another for another group, content, expiry or recipient', async t => {
    const others = [
      {},
      { group: 'other' },
      { content: { data: { alert: 'Bye' } } },
      { expiration_time: '2030-01-01T00:00:00.000Z' },
      { recipients: [{ id: 'b', device_type: 'ios', token: 'aa' }] },
    ];
    const found = await Promise.all(others.map(other => keyOf(t, { ...REQUEST, ...other })));
    assert.equal(new Set(found).size, others.length);
  });

  test('is a new one for each send that belongs to no group', async t => {
    const { group, ...rest } = REQUEST;
    assert.ok(group);
    assert.notEqual(await keyOf(t, rest), await keyOf(t, rest));
  });

  test('is the caller\'s where there is one', async t => {
    const server = await serving(t, all(SENT));
    await client(t, server.url).deliver(REQUEST, { key: 'mine' });
    assert.deepEqual(keys(server.requests), ['mine']);
  });
});

test('a group is asked for by its name, and may not be there', async t => {
  const group = { group: 'a/b', deliveries: 1, open: 0, pending: 0, by_device_type: {} };
  const server = await serving(t, json(group), failing(404));
  const service = client(t, server.url);
  assert.deepEqual(await service.group('a/b'), group);
  assert.equal(server.requests[0].url, '/v1/groups/a%2Fb');
  assert.equal(await service.group('a/b'), null);
});

test('a delivery is asked for by its id', async t => {
  const server = await serving(t, json(delivery([SENT])));
  const { id } = await client(t, server.url).delivery('Qk3', { waitSeconds: 2 });
  assert.equal(id, 'Qk3');
  assert.equal(server.requests[0].url, '/v1/deliveries/Qk3?wait_seconds=2');
});
