'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { readBody, setsBadge } = require('../lib/content');

test('a body becomes content, without what is between Parse Server and its callers', () => {
  const content = {
    data: { alert: 'Hello', badge: 4 },
    notification: { title: 'T' },
    rawPayload: { android: {} },
    collapse_id: 'c',
    push_type: 'background',
    priority: 5,
    android: { ttl: '5s' },
    webpush: {},
    wns: {},
    truncate: true,
    variables: { name: 'you' },
    template: 'welcome',
  };
  const others = {
    where: { secret: true },
    channels: ['a'],
    push_time: '2030-01-01T00:00:00.000Z',
    audience_id: 'x',
    expiration_interval: undefined,
    expiration_time: null,
  };
  assert.deepEqual(readBody({ ...content, ...others }), { content });
});

test('a body without data has none', () => {
  assert.deepEqual(readBody({}), { content: {} });
  assert.deepEqual(readBody({ data: null, where: {} }), { content: {} });
});

test('the expiry that Parse Server has worked out wins over the interval it came from', () => {
  const expiry = body => {
    const { content, ...times } = readBody(body);
    assert.deepEqual(content, {});
    return times;
  };
  const iso = '2030-01-01T00:00:00.500Z';
  const ms = Date.parse(iso);
  assert.deepEqual(expiry({ expiration_time: ms }), { expiration_time: iso });
  assert.deepEqual(expiry({ expiration_time: iso }), { expiration_time: iso });
  // Of who gave milliseconds where Parse Server takes seconds.
  const never = { expiration_time: '9999-12-31T23:59:59.999Z' };
  assert.deepEqual(expiry({ expiration_time: ms * 1_000 }), never);
  assert.deepEqual(expiry({ expiration_time: ms, expiration_interval: 5 }), {
    expiration_time: iso,
  });
  assert.deepEqual(expiry({ expiration_interval: 60 }), { expiration_interval: 60 });
  for (const wrong of ['soon', Infinity, 9e15, {}]) {
    assert.throws(() => readBody({ expiration_time: wrong }), /expiration_time must be a time/);
  }
});

test('a body that is none is refused', () => {
  for (const body of [null, undefined, 'text', 7]) {
    assert.throws(() => readBody(body), /the push must be an object/);
  }
});

test('a badge of any kind has made all installations new', () => {
  for (const badge of [0, 5, 'Increment', { __op: 'Increment', amount: 2 }]) {
    assert.ok(setsBadge({ data: { badge } }));
  }
  const throwing = { get data() { throw new Error('no'); } };
  for (const body of [{ data: {} }, { data: { badge: null } }, {}, null, undefined, throwing]) {
    assert.ok(!setsBadge(body));
  }
});
