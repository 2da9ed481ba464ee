'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const PushsvcAdapter = require('..');
const { failedRow } = require('../lib/rows');
const { Warnings } = require('../lib/warnings');
const { OPEN, SENT, delivery, json, nowhere, serving, until } = require('./stage');

const DEVICE = { deviceToken: 'secret-token', deviceType: 'ios' };
const failures = (count, sentence) =>
  Array.from({ length: count }, () => failedRow(DEVICE, sentence));

/** Warnings whose lines are kept; the minute is so many milliseconds. */
function warning(t, everyMs = 60_000) {
  const lines = [];
  const warnings = new Warnings({ everyMs, warn: line => lines.push(line) });
  t.after(() => warnings.close());
  return { lines, warnings };
}

test('each kind of failure is told at once, with how many devices it is about', t => {
  const { lines, warnings } = warning(t);
  const rows = [
    ...failures(2, 'ServiceRefused: the service answered 401 unauthorized: no; set apiKey'),
    ...failures(1, 'PayloadTooLarge: shorten it'),
    { device: DEVICE, transmitted: true },
    { device: DEVICE, transmitted: false, response: { error: 'Unregistered' } },
  ];
  warnings.failed(rows, { group: 'k3JxQ', deliveryAt: place => (place === 2 ? 'Qk3' : undefined) });
  const refused = 'ServiceRefused: the service answered 401 unauthorized: no; set apiKey';
  assert.deepEqual(lines, [
    `pushsvc: 2 devices of push k3JxQ count as failed: ${refused}`,
    'pushsvc: 1 device of push k3JxQ (delivery Qk3) counts as failed: PayloadTooLarge: shorten it',
  ]);
});

test('what follows of a kind is told when the minute is over, in one line', async t => {
  const { lines, warnings } = warning(t, 20);
  for (const count of [1, 20, 300]) warnings.failed(failures(count, 'BadTopic: x'));
  assert.equal(lines.length, 1);
  await until(() => lines.length > 1, 'the second line');
  assert.equal(lines[1], 'pushsvc: 320 more devices count as failed: BadTopic: x');
});

test('what was not told yet is told in the end', t => {
  const { lines, warnings } = warning(t);
  for (const count of [1, 2]) warnings.failed(failures(count, 'BadTopic: x'));
  warnings.close();
  warnings.failed(failures(1, 'ServiceUnavailable: the adapter was closed'));
  assert.deepEqual(lines.slice(1), ['pushsvc: 2 more devices count as failed: BadTopic: x']);
});

test('a thousand kinds are some fifty lines, and long ones are cut', t => {
  const { lines, warnings } = warning(t);
  for (let kind = 0; kind < 1_000; kind += 1) {
    warnings.failed(failures(1, `Kind${kind}: ${'x'.repeat(9_999)}`));
  }
  assert.ok(lines.length <= 51, `${lines.length} lines`);
  assert.ok(lines.every(line => line.length < 600));
});

test('an adapter tells its failures on the console, without tokens or its key', async t => {
  const { mock } = t.mock.method(console, 'warn', () => {});
  const lines = () => mock.calls.map(call => call.arguments.join(' '));
  const send = async url => {
    const adapter = new PushsvcAdapter({ serverURL: url, apiKey: 'secret-key', timeoutMs: 1_000 });
    t.after(() => adapter.close());
    await adapter.send({ data: {} }, [DEVICE, { ...DEVICE, deviceToken: 'other' }], 'k3JxQ');
  };
  const refused = { outcome: 'failed', class: 'request_bad', reason: 'PayloadTooLarge' };
  await send((await serving(t, json(delivery([SENT, refused])))).url);
  await send(await nowhere());
  await send((await serving(t, json(delivery([OPEN, SENT]), 202), json({}, 404))).url);
  const about = lines().map(line => /^pushsvc: (.*) counts? as failed: (\w+):/.exec(line).slice(1));
  assert.deepEqual(about, [
    ['1 device of push k3JxQ (delivery Qk3)', 'PayloadTooLarge'],
    ['2 devices of push k3JxQ', 'ServiceUnavailable'],
    ['1 device of push k3JxQ (delivery Qk3)', 'NoOutcomeYet'],
  ]);
  assert.ok(!lines().join().includes('secret'));
});

for (const [how, fail] of [
  ['throws', () => { throw new Error('no'); }],
  ['promises and fails', async () => { throw new Error('no'); }],
]) {
  test(`a push does not fail because the console ${how}`, async t => {
    t.mock.method(console, 'warn', fail);
    const url = await nowhere();
    const parse = { serverURL: url, applicationId: 'app', masterKey: 'key' };
    for (const mode of ['wait', 'accept']) {
      const adapter = new PushsvcAdapter({ serverURL: url, apiKey: 'key', mode, parse });
      t.after(() => adapter.close());
      const [row] = await adapter.send({ data: {} }, [{ deviceType: 'expo' }], 'status');
      assert.match(row.response.error, /^pushsvc: ExpoToken: /);
    }
  });
}

test('what is summed up names a push and a delivery only where they are the same', t => {
  const { lines, warnings } = warning(t);
  const fail = (count, group, id) =>
    warnings.failed(failures(count, 'Odd: no'), { group, deliveryAt: () => id });
  fail(1, 'a', 'd1');
  fail(100, 'a', 'd2');
  fail(5, 'a', 'd3');
  warnings.close();
  assert.equal(lines[1], 'pushsvc: 105 more devices of push a count as failed: Odd: no');
});

test('a line is one line, whatever the push is called', t => {
  const { lines, warnings } = warning(t);
  warnings.failed(failures(1, 'Odd: no'), { group: `g\nforged ${'x'.repeat(1_000)}` });
  assert.match(lines[0], /^pushsvc: 1 device of push g forged x+$/);
  assert.equal(lines[0].length, 500);
});
