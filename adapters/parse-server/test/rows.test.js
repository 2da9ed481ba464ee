'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { readDevice } = require('../lib/recipients');
const { deliveredRows, failedRow } = require('../lib/rows');
const { OPEN, PRUNING, SENT, delivery } = require('./stage');

const device = (deviceType, deviceToken, rest) =>
  readDevice({ deviceType, deviceToken, ...rest }, { setsBadge: false });
const failed = (kind, reason) => ({ outcome: 'failed', class: kind, reason });
const DEAD = failed('token_dead', 'Unregistered');
const rowsOf = (devices, results, rest) => deliveredRows(devices, delivery(results, rest));
const errorOf = (one, result, rest) => rowsOf([one], [result], rest)[0].response?.error;

describe('a row', () => {
  test('of what was sent has the token and type of its installation', () => {
    assert.deepEqual(rowsOf([device('watchos', 'ab')], [SENT]), [
      { device: { deviceToken: 'ab', deviceType: 'watchos' }, transmitted: true },
    ]);
  });

  test('of a dead token says so in the word of its gateway', () => {
    for (const type of ['ios', 'osx', 'macos', 'tvos', 'watchos']) {
      assert.equal(errorOf(device(type, 'ab'), DEAD), 'Unregistered');
    }
    for (const type of ['android', 'fcm', 'web', 'winrt']) {
      assert.equal(errorOf(device(type, 'f:x'), DEAD), 'NotRegistered');
    }
  });

  test('is no reason to give up a token that its gateway is not believed about', () => {
    const ios = device('ios', 'ab');
    assert.match(errorOf(ios, DEAD, { tokens_held: ['apns'] }), /^pushsvc: .*to be believed/);
    assert.match(errorOf(ios, DEAD, { tokens_held: undefined }), /^pushsvc: /);
    assert.equal(errorOf(ios, DEAD, { tokens_held: ['fcm'] }), 'Unregistered');
    const byFcm = device('ios', 'f:x');
    assert.match(errorOf(byFcm, DEAD, { tokens_held: ['fcm'] }), /^pushsvc: /);
  });

  test('is no reason to give up a token before all outcomes are known', () => {
    const devices = [device('ios', 'ab'), device('ios', 'cd')];
    const [dead] = rowsOf(devices, [DEAD, OPEN]);
    assert.match(dead.response.error, /^pushsvc: TokenInQuestion: .*; others/);
  });

  test('is no reason to give up a token when a channel died', () => {
    const channelUris = { _Default: 'https://db5.notify.windows.com/?token=x' };
    assert.match(errorOf(device('winrt', 'other', { channelUris }), DEAD), /^pushsvc: Unreg.*: /);
    const same = device('winrt', channelUris._Default, { channelUris });
    assert.equal(errorOf(same, DEAD), 'NotRegistered');
  });

  test('of anything else never has a word that gives up a token', () => {
    const kinds = ['token_suspect', 'request_bad', 'credential', 'unknown', undefined];
    for (const kind of kinds) {
      for (const reason of [...PRUNING, null, '', 'BadDeviceToken', 'x'.repeat(9_999)]) {
        for (const outcome of ['failed', 'unknown', 'expired', 'cancelled', 'new']) {
          const told = errorOf(device('ios', 'ab'), { outcome, class: kind, reason });
          assert.match(told, /^pushsvc: \S+: \S/);
          assert.ok(told.length < 300);
        }
      }
    }
    for (const word of PRUNING) {
      assert.equal(failedRow({}, word).response.error, `pushsvc: ${word}`);
    }
    assert.equal(failedRow({}, 'a:\n  b\0').response.error, 'pushsvc: a: b ');
  });

  test('of a reason of our own says what to do', () => {
    const told = (kind, reason) => errorOf(device('ios', 'ab'), failed(kind, reason));
    assert.match(told('credential', 'MissingCredential'), /MissingCredential: .*; add one$/);
    assert.match(told('request_bad', 'WebPushSubscription'), /register it with FCM$/);
    assert.match(told('request_bad', 'UnknownDeviceType'), /no gateway/);
    assert.match(told('credential', 'InvalidProviderToken'), /rejects the credential/);
  });

  test('of what has no outcome yet names the delivery', () => {
    assert.match(errorOf(device('ios', 'ab'), OPEN), /NoOutcomeYet: GET \/v1\/deliveries\/Qk3 /);
    for (const result of [null, undefined, {}, 'text']) {
      const told = delivery([SENT], { results: [result] });
      assert.match(deliveredRows([device('ios', 'a')], told)[0].response.error, /NoOutcomeYet/);
    }
  });

  test('of a double is that of the first with its token', () => {
    const double = { outcome: 'deduplicated', class: 'deduplicated', reason: null };
    const [upper, lower] = ['AB'.repeat(32), 'ab'.repeat(32)];
    const devices = [device('ios', upper), device('ios', 'cc'), device('ios', lower)];
    const errors = results => rowsOf(devices, results).map(row => row.response?.error);
    assert.deepEqual(errors([DEAD, SENT, double]), ['Unregistered', undefined, 'Unregistered']);
    assert.deepEqual(errors([SENT, DEAD, double]), [undefined, 'Unregistered', undefined]);
    assert.deepEqual(errors([double, SENT, double]), [undefined, undefined, undefined]);
  });
});
