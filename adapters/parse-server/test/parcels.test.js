'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { PushsvcAdapter } = require('../lib/adapter');
const { Parcels } = require('../lib/parcels');
const { SENT, all, json, serving } = require('./stage');

const PUSH = { data: { alert: 'Goal' } };

const page = (name, size = 3) =>
  Array.from({ length: size }, (_, place) => ({
    objectId: `${name}${place}`,
    deviceType: 'ios',
    deviceToken: `${name}${place}`.padEnd(64, '0'),
  }));

/** Its calls go one after the other. */
function adapterTo(t, url) {
  const adapter = new PushsvcAdapter({ serverURL: url, apiKey: 'key', connections: 1 });
  t.after(() => adapter.close());
  return adapter;
}

const sizes = requests => requests.map(({ text }) => JSON.parse(text).recipients.length);

describe('pages of a push', () => {
  test('that wait for their turn go together, and each has its own rows', async t => {
    const server = await serving(t, all(SENT));
    const adapter = adapterTo(t, server.url);
    const pages = ['a', 'b', 'c', 'd'].map(name => page(name));
    const rows = await Promise.all(pages.map(rows => adapter.send(PUSH, rows, 'status')));
    assert.deepEqual(sizes(server.requests), [3, 9]);
    const tokens = rows.map(each => each.map(({ device }) => device.deviceToken));
    assert.deepEqual(tokens, pages.map(each => each.map(({ deviceToken }) => deviceToken)));
    assert.ok(rows.flat().every(({ transmitted }) => transmitted));
  });

  test('with another content, of another push, or of none go by themselves', async t => {
    const server = await serving(t, all(SENT));
    const adapter = adapterTo(t, server.url);
    const badge = { data: { ...PUSH.data, badge: 2 } };
    await Promise.all([
      adapter.send(PUSH, page('a'), 'status'),
      adapter.send(badge, page('b'), 'status'),
      adapter.send(PUSH, page('c'), 'other'),
      adapter.send(PUSH, page('d')),
      adapter.send(PUSH, page('d')),
    ]);
    assert.deepEqual(sizes(server.requests), [3, 3, 3, 3, 3]);
  });

  test('hear nothing of what is refused of another', async t => {
    const errors = [{ pointer: '/recipients/4', code: 'invalid', detail: 'too odd' }];
    const refusal = json({ code: 'invalid_request', detail: 'it is invalid', errors }, 400);
    const server = await serving(t, all(SENT), refusal, all(SENT));
    const adapter = adapterTo(t, server.url);
    const sends = ['a', 'b', 'c'].map(name => adapter.send(PUSH, page(name), 'status'));
    const [first, second, third] = await Promise.all(sends);
    assert.deepEqual(sizes(server.requests), [3, 6, 5]);
    assert.ok([...first, ...second].every(({ transmitted }) => transmitted));
    assert.deepEqual(third.map(({ transmitted }) => transmitted), [true, false, true]);
  });

  test('are no more in a parcel than it may hold', async () => {
    const begun = [];
    const parcels = new Parcels({
      most: 5,
      atATime: 1,
      carry: async ({ devices }) => {
        await null;
        begun.push(devices.length);
        return new Map();
      },
    });
    await Promise.all(['a', 'b', 'c'].map(name => parcels.add(PUSH, page(name, 2))));
    assert.deepEqual(begun, [4, 2]);
  });
});
