'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { KILLED, NOW, STATUSES } = require('./scheduler_stage');
const { device, ended, scheduled, until, world } = require('./scheduler_stage');
const { json, serving } = require('./stage');

test('a due push goes to each of its devices, once, and its row has the counts', async t => {
  const at = await world(t, {}, [{}, {}, {}, { deviceType: 'android' }, { channels: ['other'] }]);
  at.run();
  const row = await ended(at);
  assert.deepEqual(at.service.ledger(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(
    [row.status, row.numSent, row.numFailed, row.sentPerType, row.failedPerType, row.count],
    ['succeeded', 4, 0, { ios: 3, android: 1 }, {}, 1],
  );
});

test('pushsvc gets the payload as it is stored, with the group, locales and expiry', async t => {
  const payload = { alert: 'hello', 'alert-fr': 'salut', badge: { __op: 'Increment', amount: 2 } };
  const fields = { payload: JSON.stringify(payload), expiry: NOW + 60_000 };
  const at = await world(t, fields, [{ badge: 7, localeIdentifier: 'fr-CA' }]);
  at.run();
  await ended(at);
  const [{ recipient, at: sentAt, ...sent }] = at.service.ledger(each => each);
  assert.deepEqual(sent.content, { data: { ...payload, badge: 'Increment' } });
  assert.equal(sent.group, 'push000001');
  assert.equal(sent.expiration_time, new Date(NOW + 60_000).toISOString());
  assert.deepEqual([recipient.badge, recipient.locale], [7, 'fr-CA']);
  assert.equal(recipient.registered_at, new Date(NOW).toISOString());
  assert.ok(sentAt >= NOW);
});

test('a log that fails is no reason for the scheduler to, and its lines are not lost', async t => {
  const at = await world(t);
  const { mock } = t.mock.method(process.stderr, 'write', () => true);
  const fails = [
    () => {
      throw new Error('no');
    },
    () => Promise.reject(new Error('no')),
  ];
  for (const log of fails) assert.equal(await at.run({ once: true, log }).done, true);
  assert.equal(at.parse.status().status, 'succeeded');
  assert.match(mock.calls.map(call => call.arguments[0]).join(''), /push000001: succeeded, 5 sent/);
});

test('nothing is sent before it is due, by the clock of Parse Server', async t => {
  const at = await world(t, { pushTime: '2030-03-01T12:00:01.000Z' });
  at.run({ pollMs: 3_600_000 });
  await ended(at);
  const times = at.service.ledger(each => each.at);
  assert.equal(times.length, 5);
  assert.ok(times.every(time => time >= NOW + 1_000 && time < NOW + 3_000), times);
});

test('in local time each zone is sent to at its own moment, registered by then or not', async t => {
  const zones = ['Asia/Tokyo', 'Europe/Paris', 'America/New_York', undefined, 'Mars/Phobos'];
  const devices = zones.map(timeZone => ({ timeZone }));
  const at = await world(t, { pushTime: '2030-03-02T09:00:00.000' }, devices);
  at.run();
  const reached = async (time, ids) => {
    at.parse.now = Date.parse(time);
    await until(() => at.service.ledger().length === ids.length, `${ids} were sent to`);
    assert.deepEqual(at.service.ledger(), ids);
    const slots = () => Object.values(at.parse.status().failedPerUTCOffset);
    await until(() => slots().every(({ free }) => free), 'the moment is over');
  };
  await reached('2030-03-02T00:00:00Z', ['a']);
  assert.equal(at.parse.status().status, 'running');
  // The first is too late for its zone, the second is not.
  at.parse.save('_Installation', device(5, { timeZone: 'Asia/Seoul' }));
  at.parse.save('_Installation', device(6, { timeZone: 'US/Pacific' }));
  await reached('2030-03-02T08:00:00Z', ['a', 'b']);
  await reached('2030-03-02T14:00:00Z', ['a', 'b', 'c']);
  await reached('2030-03-02T17:00:00Z', ['a', 'b', 'c', 'g']);
  assert.equal(at.parse.status().status, 'running');
  at.parse.now = Date.parse('2030-03-02T21:00:00Z');
  assert.deepEqual((await ended(at)).numSent, 4);
});

test('an interval of expiry counts from the moment of each zone', async t => {
  const devices = ['Europe/Paris', 'UTC'].map(timeZone => ({ timeZone }));
  const fields = { pushTime: '2030-03-01T12:00:00.000', expiration_interval: 1_800 };
  const at = await world(t, fields, devices);
  at.run();
  await until(() => at.service.ledger().length === 1, 'UTC was sent to');
  const [{ recipient, expiration_time: expiry }] = at.service.ledger(each => each);
  assert.deepEqual([recipient.id, expiry], ['b', '2030-03-01T12:30:00.000Z']);
});

for (const [what, fields, why] of [
  ['its query is not JSON', { query: '{' }, /^query is not a JSON object/],
  ['its payload is not JSON', { payload: 'null' }, /^payload is not a JSON object/],
  ['its time is none', { pushTime: '2030-02-30T09:00:00.000' }, /^pushTime is not a time/],
  ['it is from last year', { pushTime: '2029-03-01T12:00:00.000Z' }, /too long ago/],
  ['it has expired', { expiry: NOW - 1 }, /had expired/],
]) {
  test(`a push fails, and is sent to nobody, where ${what}`, async t => {
    const at = await world(t, fields);
    at.run();
    const row = await ended(at);
    assert.equal(row.status, 'failed');
    assert.match(row.errorMessage.message, why);
    assert.deepEqual([at.service.ledger(), row.numSent, row.numFailed], [[], 0, 0]);
  });
}

test('what cannot be sent to is counted as failed', async t => {
  const at = await world(t, {}, [{}, { deviceType: 'toaster' }, { deviceToken: 7 }]);
  at.run();
  const row = await ended(at);
  assert.deepEqual([row.status, row.numSent, row.numFailed], ['succeeded', 1, 2]);
  assert.deepEqual(row.failedPerType, { toaster: 1, ios: 1 });
});

test('a query that Parse Server refuses fails the push, in its words', async t => {
  const at = await world(t, { query: '{"channels":{"$bad":1}}' });
  at.run();
  const row = await ended(at);
  assert.equal(row.status, 'failed');
  assert.match(row.errorMessage.message, /query was refused: .*bad constraint: \$bad/);
});

test('a deleted or cancelled push is not sent', async t => {
  const soon = { pushTime: '2030-03-01T12:00:01.000Z' };
  const at = await world(t, soon);
  const rows = at.parse.tables[STATUSES];
  at.parse.save(STATUSES, scheduled({ ...soon, objectId: 'p2' }));
  at.parse.save(STATUSES, scheduled({ objectId: 'p3', query: '{"channels":"none"}' }));
  at.parse.gate = async (when, { method, parts }) => {
    // Between the claim and the first page.
    if (when !== 'before' || method !== 'POST' || parts[1] !== '_Installation') return;
    if (parts[2] === undefined && rows.get('p2')?.count) rows.delete('p2');
    if (rows.get('push000001').count) rows.get('push000001').status = 'cancelled';
  };
  at.run();
  at.parse.now += 5_000;
  await until(() => !rows.has('p2') && at.parse.status().status === 'cancelled', 'both are off');
  await ended(at, 'p3');
  assert.deepEqual(at.service.ledger(), []);
  assert.equal(at.parse.status().status, 'cancelled');
});

test('it waits for a pushsvc and a Parse Server that are away, and goes on', async t => {
  const at = await world(t);
  for (const server of [at.parse, at.service]) {
    server.gate = async () => {
      server.gate = async () => {};
      throw KILLED;
    };
  }
  at.run();
  await ended(at);
  assert.deepEqual(at.service.ledger(), ['a', 'b', 'c', 'd', 'e']);
});

test('a Parse Server that was away for a moment does not cost a lease', async t => {
  const at = await world(t);
  let failures = 3;
  at.service.gate = async () => {
    at.parse.gate = async () => {
      failures -= 1;
      if (failures >= 0) throw KILLED;
    };
    at.service.gate = async () => {};
  };
  at.run({ leaseMs: 3_600_000 });
  assert.equal((await ended(at)).numSent, 5);
  assert.ok(failures < 0);
  assert.deepEqual(at.service.ledger(), ['a', 'b', 'c', 'd', 'e']);
});

test('a page that is too large for a proxy is cut, down to one device', async t => {
  const at = await world(t, {}, [{}, {}, { deviceToken: 'x'.repeat(2_000) }, {}, {}]);
  const proxy = await serving(t, (request, response) => {
    if (request.text.length > 700) json({}, 413)(request, response);
    else at.service.answer(request, response);
  });
  at.run({ serverURL: proxy.url, pageSize: 5 });
  const row = await ended(at);
  assert.deepEqual(at.service.ledger(), ['a', 'b', 'd', 'e']);
  assert.deepEqual([row.numSent, row.numFailed], [4, 1]);
});

test('counts are written when pushsvc has an outcome of all', async t => {
  const at = await world(t);
  at.service.open = 1;
  at.run();
  await until(() => at.service.ledger().length === 5, 'all were handed over');
  assert.equal(at.parse.status().status, 'running');
  at.service.open = 0;
  assert.equal((await ended(at)).numSent, 5);
});

test('once does what is due, and ends', async t => {
  const at = await world(t);
  // A look begins while the push is sent, and ends when it is left, and to be settled.
  let looks = 0;
  at.service.gate = () => until(() => looks > 1, 'a look meanwhile');
  at.parse.gate = async (when, { query }) => {
    if (when === 'after' || !query.where?.objectId) return;
    looks += 1;
    if (looks === 1) return;
    await until(() => at.parse.status().failedPerUTCOffset.pushsvc1.free, 'it was left');
    await new Promise(on => setTimeout(on, 20));
  };
  at.parse.save(STATUSES, scheduled({ objectId: 'p2', pushTime: '2030-03-02T12:00:00Z' }));
  assert.equal(await at.run({ once: true }).done, true);
  assert.equal((await ended(at)).numSent, 5);
  assert.equal(at.parse.status('p2').status, 'scheduled');
});

test('once ends with a failure where pushsvc refuses the key', async t => {
  const at = await world(t);
  const refusing = await serving(t, json({}, 401));
  assert.equal(await at.run({ once: true, serverURL: refusing.url }).done, false);
  assert.match(at.log.join('\n'), /scope send/);
  const [left] = Object.values(at.parse.status().failedPerUTCOffset);
  assert.equal(left.free, true);
  assert.match(left.trouble, /401/);
});

test('it stops in the middle of a push within a moment, and another goes on', async t => {
  const at = await world(t);
  let first;
  at.service.gate = async (when, { runner }) => {
    if (when === 'after' && runner === 'first') first.stop();
  };
  first = at.run({}, 'first');
  await first.done;
  assert.equal(at.service.ledger().length, 2);
  at.run({ leaseMs: 3_600_000 }, 'second');
  assert.equal((await ended(at)).numSent, 5);
  assert.deepEqual(at.service.ledger(), ['a', 'b', 'c', 'd', 'e']);
});
