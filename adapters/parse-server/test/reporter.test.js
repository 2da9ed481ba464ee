'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { ParseAPI } = require('../lib/parse');
const { Reporter } = require('../lib/reporter');
const { client, failing, isOpen, json, serving, servingParse, until } = require('./stage');

const SOON = {
  look: 5, longestLook: 10, settle: 20, unknown: 20, giveUp: 60_000, adopt: 20, firstAdopt: 0,
};
const LONG_AGO = '2026-01-01T00:00:00.000Z';

const group = (outcomes, rest = {}) => ({
  group: 's1', deliveries: 1, devices: 9, open: 0, pending: 0, by_device_type: outcomes, ...rest,
});

/** A reporter between a service that has these answers and a Parse Server that has these rows. */
async function reporting(t, { answers, rows, times = SOON }) {
  const started = [];
  // Before the servers are closed that it asks.
  t.after(() => started.forEach(reporter => reporter.close()));
  const server = await serving(t, ...answers);
  const parse = await servingParse(t, ...rows);
  const options = { serverURL: parse.url, applicationId: 'app', masterKey: 'master' };
  const start = () => {
    const service = client(t, server.url, { timeoutMs: 200 });
    const reporter = new Reporter({ service, parse: new ParseAPI(options), times });
    started.push(reporter);
    return reporter;
  };
  return { reporter: start(), start, row: parse.rows.get('s1'), parse };
}

const isFinal = row => () => !isOpen(row) && row.numSent !== undefined;

test('counts are written as they come, and are final when nothing is open', async t => {
  const { reporter, row } = await reporting(t, {
    answers: [
      json(group({ ios: { sent: 3 } }, { open: 1, pending: 6 })),
      json(group({ ios: { sent: 5, failed: 2 } }, { open: 1, pending: 2 })),
      json(group({ ios: { sent: 5, failed: 2 }, winrt: { sent: 2 } })),
    ],
    rows: [{ objectId: 's1', status: 'succeeded', numSent: 0 }],
  });
  await reporter.opened('s1');
  assert.ok(isOpen(row));
  await until(() => row.numSent === 3, 'first counts');
  await until(isFinal(row), 'final counts');
  const { numSent, numFailed, sentPerType, failedPerType } = row;
  assert.deepEqual({ numSent, numFailed, sentPerType, failedPerType }, {
    numSent: 7,
    numFailed: 2,
    sentPerType: { ios: 5, winrt: 2 },
    failedPerType: { ios: 2 },
  });
});

test('what was never accepted counts once, though Parse Server counts it too', async t => {
  const { reporter, row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 3 } }))],
    rows: [{ objectId: 's1', status: 'succeeded' }],
    times: { ...SOON, settle: 200 },
  });
  await reporter.opened('s1');
  await Promise.all([1, 2, 3].map(() => reporter.refused('s1', [{ deviceType: 'android' }])));
  await until(() => row.numFailed === 3, 'counts');
  // Parse Server adds the rows that it was handed, whenever it comes to it.
  Object.assign(row, { numFailed: 6, failedPerType: { android: 6 } });
  await until(isFinal(row), 'final counts');
  assert.deepEqual([row.numSent, row.numFailed], [3, 3]);
  assert.deepEqual(row.failedPerType, { android: 3 });
});

test('what was in doubt, and is in the group, counts once, also by several', async t => {
  const { reporter, start, row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 8 } }))],
    rows: [{ objectId: 's1', status: 'succeeded' }],
    times: { ...SOON, settle: 200 },
  });
  const iphones = (length, rest) => Array.from({ length }, () => ({ deviceType: 'ios', ...rest }));
  const other = start();
  await other.opened('s1');
  other.accepted('s1', iphones(4));
  reporter.accepted('s1', iphones(2));
  // Two of them are in the group, though no answer said so.
  await reporter.refused('s1', iphones(5, { isInDoubt: true }));
  await until(isFinal(row), 'final counts');
  assert.deepEqual([row.numSent, row.numFailed], [8, 3]);
});

test('several processes agree on what none of them had accepted', async t => {
  const { reporter, start, row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 1 } }))],
    rows: [{ objectId: 's1', status: 'succeeded' }],
  });
  const other = start();
  await Promise.all([reporter, other].map(each => each.refused('s1', [{ deviceType: 'ios' }])));
  await until(() => row.numFailed === 2, 'the failures of both');
  await until(isFinal(row), 'final counts');
  assert.equal(row.numFailed, 2);
});

test('a process that starts finishes what another one has left, also just now', async t => {
  const notes = { pushsvcOpen: 'yes', pushsvcwdead_ios: 2 };
  const left = { objectId: 's1', status: 'succeeded', errorMessage: notes };
  const { row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 4 } }))],
    rows: [{ ...left, updatedAt: new Date().toISOString() }],
    times: { ...SOON, adopt: 60_000 },
  });
  await until(isFinal(row), 'final counts');
  assert.deepEqual([row.numSent, row.numFailed], [4, 2]);
});

test('a process that goes on finishes what another one has left long ago', async t => {
  const { parse } = await reporting(t, {
    answers: [json(group({ ios: { sent: 4 } }))],
    rows: [],
  });
  await until(() => parse.requests.length > 0, 'the first search');
  const errorMessage = { pushsvcOpen: 'yes' };
  const row = { objectId: 's1', status: 'succeeded', errorMessage, updatedAt: LONG_AGO };
  parse.rows.set('s1', row);
  await until(isFinal(row), 'final counts');
  assert.equal(row.numSent, 4);
});

test('counts come when the service and Parse Server are back', async t => {
  const answers = Array.from({ length: 5 }, () => failing(500));
  const { reporter, row } = await reporting(t, {
    answers: [...answers, json(group({ ios: { sent: 4 } }))],
    rows: [{ objectId: 's1', status: 'succeeded' }],
  });
  await reporter.opened('s1');
  await until(isFinal(row), 'final counts');
  assert.equal(row.numSent, 4);
});

test('counts of Parse Server stay where the service knows of nothing', async t => {
  const { reporter, row } = await reporting(t, {
    answers: [failing(404)],
    rows: [{ objectId: 's1', status: 'succeeded', numSent: 0, numFailed: 5 }],
  });
  await reporter.opened('s1');
  await until(() => row.errorMessage && !isOpen(row), 'the end');
  assert.deepEqual([row.numSent, row.numFailed], [0, 5]);
});

test('a status that Parse Server never ends is given up', async t => {
  const { reporter, row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 1 } }))],
    rows: [{ objectId: 's1', status: 'running' }],
    times: { ...SOON, settle: 60_000, unknown: 60_000, giveUp: 20 },
  });
  await reporter.opened('s1');
  await until(isFinal(row), 'the end');
  assert.equal(row.numSent, 1);
});

test('a status that was deleted is forgotten', async t => {
  const { reporter, parse, row } = await reporting(t, {
    answers: [json(group({ ios: { sent: 1 } }))],
    rows: [{ objectId: 's1', status: 'succeeded' }],
  });
  await reporter.opened('gone');
  await reporter.opened('s1');
  await until(isFinal(row), 'final counts of another');
  const looks = parse.requests.filter(each => each.method === 'GET' && /gone\b/.test(each.url));
  assert.equal(looks.length, 1);
});
