'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { readOptions } = require('../lib/options');
const { Outage, pauseMs, retryAfterMs } = require('../lib/patience');
const { besideOf, differing, dotted, noteKey, notesOf, tallyOf } = require('../lib/tally');

describe('options', () => {
  const OPTIONS = { serverURL: 'https://push.example.com/base/', apiKey: 'key' };
  const PARSE = { serverURL: 'http://localhost:1337/parse', applicationId: 'app', masterKey: 'm' };

  test('have defaults, and leave alone what is Parse Server\'s', () => {
    const others = { adapter: 'x', ios: {}, apikey: 'x' };
    const push = { ...OPTIONS, ...others, mode: null, timeoutMs: undefined };
    assert.deepEqual(readOptions(push), {
      serverURL: 'https://push.example.com/base',
      apiKey: 'key',
      timeoutMs: 60_000,
      mode: 'wait',
      connections: 16,
      onUnknown: undefined,
      parse: undefined,
    });
    assert.deepEqual(readOptions({ ...OPTIONS, mode: 'accept', parse: PARSE }).parse, PARSE);
  });

  test('that are wrong are named, with what to write', () => {
    const cases = [
      [undefined, /options must be an object/],
      [{ apiKey: 'key' }, /serverURL must be an address such as http:\/\/localhost:8420$/],
      [{ ...OPTIONS, serverURL: 'https://x/base/v1/' }, /serverURL must be the root .*\/v1 at/],
      [{ ...OPTIONS, serverURL: 'https://x/parse' }, /serverURL must be the root .*\/parse at/],
      [{ serverUrl: 'https://x', apiKey: 'key' }, /serverUrl must be spelled serverURL$/],
      [{ ...OPTIONS, timeout: 5_000 }, /timeout must be spelled timeoutMs$/],
      [{ ...OPTIONS, onunknown: 'drop' }, /onunknown must be spelled onUnknown$/],
      [{ ...OPTIONS, serverURL: 'ftp://x' }, /serverURL must be an http or https address/],
      [{ ...OPTIONS, serverURL: 'https://me:word@x' }, /serverURL must be/],
      [{ serverURL: OPTIONS.serverURL }, /apiKey must be set: .*pushsvc key create/],
      [{ ...OPTIONS, apiKey: 'a\r\nb: c' }, /apiKey must be a text/],
      [{ ...OPTIONS, timeoutMs: 5 }, /timeoutMs must be a whole number from 1000 to 600000/],
      [{ ...OPTIONS, connections: 0 }, /connections must be a whole number/],
      [{ ...OPTIONS, mode: 'fast' }, /mode must be 'wait' or 'accept'/],
      [{ ...OPTIONS, onUnknown: 'x' }, /onUnknown must be 'resend' or 'drop'/],
      [{ ...OPTIONS, parse: { ...PARSE, serverURL: 'x' } }, /as http:\/\/localhost:1337\/parse$/],
      [{ ...OPTIONS, mode: 'accept' }, /parse must be { serverURL/],
      [{ ...OPTIONS, parse: { ...PARSE, masterKey: '' } }, /parse\.masterKey must be/],
    ];
    for (const [options, told] of cases) {
      assert.throws(() => readOptions(options), error => {
        assert.match(error.message, told);
        return error instanceof TypeError;
      });
    }
  });
});

describe('patience', () => {
  test('has pauses that grow, and differ', () => {
    const least = [1, 2, 3, 4].map(tries => pauseMs(tries, { chance: () => 0 }));
    assert.deepEqual(least, [100, 200, 400, 800]);
    assert.equal(pauseMs(1, { chance: () => 1 }), 200);
    assert.equal(pauseMs(99, { chance: () => 1 }), 5_000);
  });

  test('reads Retry-After in both of its forms', () => {
    const now = Date.parse('2030-01-01T00:00:00Z');
    assert.equal(retryAfterMs('3', now), 3_000);
    assert.equal(retryAfterMs('Tue, 01 Jan 2030 00:00:02 GMT', now), 2_000);
    assert.equal(retryAfterMs('Mon, 31 Dec 2029 00:00:00 GMT', now), 0);
    for (const header of [undefined, 'soon', '']) assert.equal(retryAfterMs(header, now), null);
  });

  test('ends when there were only failures for so long, and is back with an answer', () => {
    const outage = new Outage(1_000);
    assert.ok(!outage.isLong(0));
    outage.failed(0);
    outage.failed(900);
    assert.ok(!outage.isLong(999));
    assert.ok(outage.isLong(1_000));
    outage.answered();
    assert.ok(!outage.isLong(1_000));
  });

  test('has one call at times wait for an answer, so that a slow service is found', () => {
    const outage = new Outage(1_000);
    const probes = [0, 1, 29_999, 30_000, 30_001].filter(now => outage.isToBeProbed(now));
    assert.deepEqual(probes, [0, 30_000]);
  });

  test('is back when nobody has asked for a while', () => {
    const outage = new Outage(1_000);
    outage.failed(0);
    outage.failed(1_500);
    assert.ok(outage.isLong(60_000));
    assert.ok(!outage.isLong(70_000));
    outage.failed(70_000);
    assert.ok(!outage.isLong(70_500));
  });
});

describe('the tally of a push', () => {
  test('counts doubles as sent, and whatever else was not sent as failed', () => {
    const group = {
      by_device_type: {
        ios: { sent: 5, deduplicated: 1, failed: 2, unknown: 1, expired: 0, pending: 9 },
        winrt: { cancelled: 4, validated: 3 },
        web: { sent: 0 },
      },
    };
    const notes = { pushsvcwa_ios: 10, pushsvcwb_ios: 1, pushsvcwb_other: 2 };
    assert.deepEqual(tallyOf(group, besideOf(notes)), {
      numSent: 6,
      numFailed: 20,
      sentPerType: { ios: 6 },
      failedPerType: { ios: 14, winrt: 4, other: 2 },
    });
  });

  test('names what was refused by who writes it and by type', () => {
    assert.equal(noteKey('w', 'a', 'ios'), 'pushsvcwa_ios');
  });

  test('counts what was in doubt once: as what came of it, or as failed', () => {
    const group = { by_device_type: { ios: { sent: 7, failed: 1 } } };
    const failed = (doubted, accepted) => {
      const beside = { doubted: { ios: doubted }, accepted: { ios: accepted } };
      return tallyOf(group, { ...beside, refused: { ios: 1 } }).numFailed;
    };
    // One of the group, one refused; and of those in doubt who is not in the group.
    assert.deepEqual([failed(3, 8), failed(3, 5), failed(3, 6), failed(3, 0)], [5, 2, 3, 2]);
    assert.equal(tallyOf({ by_device_type: {} }, { doubted: { ios: 3 } }).numFailed, 3);
  });

  test('keeps what is not its own in the object that it has notes in', () => {
    const errorMessage = { message: 'text', pushsvcOpen: 'yes', pushsvcwa_ios: 2 };
    assert.deepEqual(notesOf({ errorMessage }), { isOpen: true, counted: { pushsvcwa_ios: 2 } });
    assert.deepEqual(notesOf({}), { isOpen: false, counted: {} });
    assert.deepEqual(dotted({ pushsvcwa_ios: 2 }), { 'errorMessage.pushsvcwa_ios': 2 });
  });

  test('is written only where the row differs', () => {
    const row = { numSent: 1, sentPerType: { ios: 1 } };
    const equal = { numSent: 1, sentPerType: { ios: 1 }, failedPerType: {} };
    assert.deepEqual(differing(row, equal), {});
    assert.deepEqual(differing(row, { numSent: 2, sentPerType: { tvos: 1 }, numFailed: 0 }), {
      numSent: 2,
      sentPerType: { tvos: 1 },
      numFailed: 0,
    });
  });
});
