'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const PushsvcAdapter = require('..');
const {
  MISBEHAVIOURS, OPEN, PRUNING, SENT, all, delivery, failing, isOpen, json, nowhere, serving,
  servingParse,
} = require('./stage');

const BODY = { data: { alert: 'Hello' }, where: { secret: true } };
const ios = token => ({ objectId: `o${token}`, deviceType: 'ios', deviceToken: token });

function made(t, url, options = {}) {
  const adapter = new PushsvcAdapter({ serverURL: url, apiKey: 'key', ...options });
  t.after(() => adapter.close());
  return adapter;
}

const sentTo = server => server.requests.map(({ text }) => JSON.parse(text));

describe('send', { concurrency: true }, () => {
  test('has one row for each device, in their order', async t => {
    const server = await serving(t, json(delivery([
      SENT,
      { outcome: 'failed', class: 'token_dead', reason: 'Unregistered' },
    ])));
    const rows = await made(t, server.url).send(
      BODY, [ios('aa'), { deviceType: 'expo' }, ios('bb'), null], 'k3JxQ',
    );
    assert.deepEqual(rows.map(row => [row.device.deviceToken, row.transmitted]), [
      ['aa', true], [undefined, false], ['bb', false], [undefined, false],
    ]);
    assert.equal(rows[2].response.error, 'Unregistered');
    const [{ group, content, recipients }] = sentTo(server);
    assert.deepEqual([group, content], ['k3JxQ', { data: BODY.data }]);
    assert.deepEqual(recipients.map(recipient => recipient.token), ['aa', 'bb']);
  });

  const trouble = { ...MISBEHAVIOURS, 'refuses the key': json({ code: 'x' }, 401) };
  for (const [what, misbehaves] of Object.entries(trouble)) {
    test(`resolves with rows that give up no token when the service ${what}`, async t => {
      const server = await serving(t, misbehaves);
      const adapter = made(t, server.url, { timeoutMs: 1_000 });
      await failsHarmlessly(adapter);
    });
  }

  test('resolves with rows that give up no token when the service is down', async t => {
    await failsHarmlessly(made(t, await nowhere(), { timeoutMs: 1_000 }));
  });

  test('resolves when there is nothing to send, and asks nobody', async t => {
    const adapter = made(t, await nowhere());
    for (const none of [[], undefined, null, 'text', 7]) {
      assert.deepEqual(await adapter.send(BODY, none, 'k3JxQ'), []);
    }
  });

  test('resolves whatever the body is', async t => {
    const server = await serving(t, all(SENT));
    const adapter = made(t, server.url);
    const circle = {};
    circle.data = circle;
    const bodies = [
      null,
      undefined,
      'text',
      circle,
      { data: { n: 1n } },
      { data: { toJSON() { throw new Error('no'); } } },
      { get data() { throw new Error('no'); } },
      { get data() { throw null; } },
      { data: {}, expiration_time: 'soon' },
    ];
    for (const body of bodies) {
      const rows = await adapter.send(body, [ios('aa')], 'k3JxQ');
      assert.deepEqual(rows.map(row => row.transmitted), [false]);
      assert.match(rows[0].response.error, /^pushsvc: InvalidPush: \P{Cc}+$/u);
    }
    assert.equal(server.requests.length, 0);
    assert.ok((await adapter.send({}, [ios('aa')]))[0].transmitted);
  });

  test('resolves whatever the list of installations is', async t => {
    const adapter = made(t, await nowhere());
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    const broken = [ios('aa')];
    Object.defineProperty(broken, 0, { get() { throw new Error('no'); } });
    for (const list of [proxy, broken]) assert.deepEqual(await adapter.send(BODY, list, 's'), []);
  });

  test('resolves whatever is thrown', async t => {
    const adapter = made(t, await nowhere());
    const odd = Object.assign(new Error('no'), { message: Symbol('no') });
    const worse = Object.defineProperty(new Error('no'), 'message', { get() { throw odd; } });
    for (const thrown of [null, undefined, 7, odd, worse, Object.create(null)]) {
      const body = { data: { toJSON() { throw thrown; } } };
      const [row] = await adapter.send(body, [ios('aa')], 'k3JxQ');
      assert.match(row.response.error, /^pushsvc: InvalidPush: an error that says nothing$/);
    }
  });

  test('passes on any text as it is', async t => {
    const server = await serving(t, all(SENT));
    const half = String.fromCharCode(0xd800);
    const alert = `${'👩‍👩‍👧‍👦'.repeat(2_000)}\u0000\u2028"\\${half}ف`;
    await made(t, server.url).send({ data: { alert } }, [ios('aa')], 'k3JxQ');
    assert.equal(sentTo(server)[0].content.data.alert, alert);
  });

  test('makes several calls for more than 5,000 devices', async t => {
    const server = await serving(t, all(SENT));
    const many = Array.from({ length: 5_001 }, (_, n) => ios(String(n)));
    const rows = await made(t, server.url).send(BODY, many, 'k3JxQ');
    assert.deepEqual(rows.map(row => row.device.deviceToken), many.map(row => row.deviceToken));
    assert.ok(rows.every(row => row.transmitted));
    assert.deepEqual(sentTo(server).map(body => body.recipients.length).sort(), [1, 5_000]);
  });

  test('makes smaller calls when one is too large for what is between', async t => {
    const server = await serving(t, (request, response) => {
      const large = JSON.parse(request.text).recipients.length > 20;
      (large ? failing(413) : all(SENT))(request, response);
    });
    const devices = Array.from({ length: 65 }, (_, n) => ios(`t${n}`));
    const rows = await made(t, server.url).send(BODY, devices);
    assert.ok(rows.every(row => row.transmitted));
    const tiny = await serving(t, failing(413));
    const [row] = await made(t, tiny.url).send(BODY, [ios('aa')]);
    assert.match(row.response.error, /^pushsvc: ServiceRefused: the service answered 413/);
  });

  test('sends to the others when the service refuses some recipients', async t => {
    const errors = [
      { pointer: '/recipients/1/time_zone', code: 'invalid', detail: 'no such zone' },
    ];
    const server = await serving(t, json({ code: 'invalid_request', errors }, 400), all(SENT));
    const rows = await made(t, server.url).send(BODY, ['a', 'b', 'c'].map(ios), 'k3JxQ');
    assert.deepEqual(rows.map(row => row.transmitted), [true, false, true]);
    assert.equal(rows[1].response.error, 'pushsvc: Refused: no such zone');
    assert.equal(server.requests.length, 2);
  });

  test('fails for all when the service refuses the content, or goes on refusing', async t => {
    for (const [pointer, calls] of [['/content/data', 1], ['/recipients/0/id', 5]]) {
      const server = await serving(t, json({ errors: [{ pointer, detail: 'no' }] }, 400));
      const devices = Array.from({ length: 9 }, (_, n) => ios(String(n)));
      const rows = await made(t, server.url).send(BODY, devices, 'k3JxQ');
      assert.equal(rows.length, 9);
      assert.ok(rows.every(row => !row.transmitted));
      assert.equal(server.requests.length, calls);
    }
  });

  test('says how much of it has no outcome at the deadline', async t => {
    const server = await serving(t, json(delivery([OPEN], { state: 'sending' }), 202));
    const rows = await made(t, server.url, { timeoutMs: 1_000 }).send(BODY, [ios('a')], 'k3JxQ');
    assert.match(rows[0].response.error, /^pushsvc: NoOutcomeYet: GET \/v1\/deliveries\/Qk3/);
  });

  test('says what to do with what may have arrived, where it is told', async t => {
    const server = await serving(t, all(SENT));
    await made(t, server.url, { onUnknown: 'drop' }).send(BODY, [ios('a')]);
    await made(t, server.url).send(BODY, [ios('a')]);
    assert.deepEqual(sentTo(server).map(body => body.on_unknown), ['drop', undefined]);
  });
});

async function failsHarmlessly(adapter) {
  const rows = await adapter.send(BODY, [ios('aa'), ios('bb')], 'k3JxQ');
  assert.deepEqual(rows.map(row => row.device), [
    { deviceToken: 'aa', deviceType: 'ios' },
    { deviceToken: 'bb', deviceType: 'ios' },
  ]);
  for (const { transmitted, response } of rows) {
    assert.equal(transmitted, false);
    assert.match(response.error, /^pushsvc: Service(Refused|Unavailable): the service \S/);
    assert.ok(!PRUNING.includes(response.error));
  }
}

describe('mode accept', () => {
  const accepting = async (t, serverURL, ...statuses) => {
    const parse = await servingParse(t, ...statuses);
    const keys = { applicationId: 'app', masterKey: 'master' };
    const options = { timeoutMs: 1_000, mode: 'accept', parse: { serverURL: parse.url, ...keys } };
    return { parse, adapter: made(t, serverURL, options) };
  };

  test('resolves without rows for what is accepted, when the status is marked', async t => {
    const server = await serving(t, all(OPEN, { state: 'sending' }));
    const { parse, adapter } = await accepting(t, server.url, { objectId: 's1' });
    assert.deepEqual(await adapter.send(BODY, [ios('aa')], 's1'), []);
    assert.equal(sentTo(server)[0].wait_seconds, 0);
    assert.equal(server.requests.length, 1);
    assert.ok(isOpen(parse.rows.get('s1')));
  });

  test('has rows for what is not accepted, and keeps them in the status', async t => {
    const { parse, adapter } = await accepting(t, await nowhere(), { objectId: 's1' });
    const rows = await adapter.send(BODY, [ios('aa'), { deviceType: 'expo' }], 's1');
    assert.deepEqual(rows.map(row => row.transmitted), [false, false]);
    const { pushsvcOpen, ...refused } = parse.rows.get('s1').errorMessage;
    assert.equal(pushsvcOpen, 'yes');
    const kept = Object.entries(refused).map(([key, n]) => [key.split('_')[1], n]);
    assert.deepEqual(kept.sort(), [['expo', 1], ['ios', 1]]);
    // Nobody answered, which is not a refusal: only the iPhone may be in the group.
    const doubted = Object.keys(refused).filter(key => key.startsWith('pushsvcd'));
    assert.match(doubted.join(), /^pushsvcd\w+_ios$/);
  });

  test('sends though Parse Server refuses to be written to', async t => {
    const server = await serving(t, all(OPEN));
    const { adapter } = await accepting(t, server.url);
    assert.deepEqual(await adapter.send(BODY, [ios('aa')], 'gone'), []);
    assert.deepEqual(await adapter.send(BODY, [ios('aa')]), []);
    assert.equal(server.requests.length, 2);
  });
});
