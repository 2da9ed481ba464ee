'use strict';

// Runners that are killed, or fall asleep, at any request that they make; and several at once.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { KILLED, NOW, device, ended, until, world } = require('./scheduler_stage');

const AT_ONCE = 8;
// More requests than a runner has for a push of three pages.
const MOST_REQUESTS = 60;

/** While one runner was away, an installation has gone and others have come. */
function changeDevices({ parse }) {
  const rows = parse.tables._Installation;
  rows.delete('c');
  for (const id of ['aa', 'cc', 'e0']) {
    rows.set(id, { ...device(0, {}), objectId: id, deviceToken: `token-${id}` });
  }
}

/** Assert that all that stayed got it, and nobody twice. */
function eachOnce(at, what) {
  const got = at.service.ledger();
  assert.deepEqual(got, [...new Set(got)], `twice, ${what}`);
  for (const id of ['a', 'b', 'd', 'e']) assert.ok(got.includes(id), `${id} is lost, ${what}`);
  const row = at.parse.status();
  assert.deepEqual([row.status, row.numSent], ['succeeded', got.length], what);
}

/** Call back at the n-th request of a runner, and for all that follow. */
function fromRequest(at, name, number, late) {
  let requests = 0;
  for (const server of [at.parse, at.service]) {
    const others = server.gate;
    server.gate = async (when, asked) => {
      if (asked.runner !== name) return others(when, asked);
      if (when === 'before') requests += 1;
      if (requests >= number) await late(when, requests === number);
    };
  }
}

/** Put a runner to sleep at its n-th request. */
function sleepy(at, name, number) {
  const sleeper = { asleep: false };
  const awake = new Promise(resolve => (sleeper.wake = resolve));
  fromRequest(at, name, number, async when => {
    sleeper.asleep = true;
    if (when === 'before') await awake;
  });
  return sleeper;
}

const isOver = at => at.parse.status().status === 'succeeded';

/** A first runner that sleeps at its n-th request, where it has so many; its devices change. */
async function withSleeper(t, number) {
  const at = await world(t);
  const sleeper = sleepy(at, 'first', number);
  const first = at.run({}, 'first');
  await until(() => sleeper.asleep || isOver(at), 'asleep, or over');
  if (sleeper.asleep) changeDevices(at);
  return { at, first, sleeper };
}

/** Try each number of a request, some at a time, until the runner has no more of them. */
async function atEachRequest(t, scenario) {
  let tried = 0;
  let over = false;
  const next = async () => {
    while (!over) {
      tried += 1;
      assert.ok(tried < MOST_REQUESTS, 'a runner asks without end');
      over = !(await scenario(tried)) || over;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  assert.ok(tried > 15, `only ${tried} requests`);
}

for (const done of ['before', 'after']) {
  const title = `killed at any request, ${done} it was done, a runner has another go on from there`;
  test(title, t =>
    atEachRequest(t, async number => {
      const at = await world(t);
      // Less than a page that is repeated may have by then.
      at.parse.maxLimit = 2;
      let dead = false;
      fromRequest(at, 'first', number, async (when, last) => {
        if (!last || when === done) dead = true;
        if (dead) throw KILLED;
      });
      const first = at.run({}, 'first');
      await until(() => dead || isOver(at), 'dead, or over');
      if (!dead) return false;
      first.stop();
      changeDevices(at);
      const second = at.run({}, 'second');
      await ended(at);
      eachOnce(at, `killed ${done} request ${number}`);
      await second.stop();
      return true;
    }));
}

test('asleep at any request, a runner does no harm when it wakes up after another', t =>
  atEachRequest(t, async number => {
    const { at, first, sleeper } = await withSleeper(t, number);
    if (!sleeper.asleep) return false;
    const second = at.run({}, 'second');
    await ended(at);
    sleeper.wake();
    await first.stop();
    // What the sleeper has changed of the row is put right by whoever looks next.
    await until(() => isOver(at), 'it is over again');
    eachOnce(at, `asleep at request ${number}`);
    await second.stop();
    return true;
  }));

test('nor when the other one is in the middle of it, and falls asleep, too', t =>
  atEachRequest(t, async number => {
    const { at, first, sleeper } = await withSleeper(t, number);
    if (!sleeper.asleep) return false;
    // Now here, now there: after two looks, and before the last of its pages.
    const other = sleepy(at, 'second', 8 + ((number * 7) % 20));
    const second = at.run({}, 'second');
    await until(() => other.asleep || isOver(at), 'the other one is asleep, or over');
    at.parse.tables._Installation.delete('cc');
    sleeper.wake();
    await first.stop();
    other.wake();
    await ended(at);
    eachOnce(at, `asleep at request ${number}`);
    await second.stop();
    return true;
  }));

test('several runners at once send each of many pushes once', async t => {
  const at = await world(t);
  const ids = ['push000001'];
  for (let place = 0; place < 12; place += 1) {
    ids.push(at.parse.save('_PushStatus', { ...at.parse.status(), objectId: `more${place}` }));
  }
  // Answers that come late have them meet.
  at.parse.gate = () => new Promise(on => setTimeout(on, Math.random() * 4));
  const runners = ['one', 'two', 'three'].map(name => at.run({ leaseMs: 5_000 }, name));
  for (const id of ids) assert.equal((await ended(at, id)).numSent, 5, id);
  const got = at.service.ledger(({ recipient, group }) => `${group} ${recipient.id}`);
  assert.deepEqual([got.length, new Set(got).size], [ids.length * 5, ids.length * 5]);
  await Promise.all(runners.map(runner => runner.stop()));
});

test('in local time, killed between zones, a runner is followed by another', async t => {
  const devices = ['Asia/Tokyo', 'Europe/Paris', 'UTC'].map(timeZone => ({ timeZone }));
  const at = await world(t, { pushTime: '2030-03-02T09:00:00.000' }, devices);
  at.run({}, 'first');
  at.parse.now = Date.parse('2030-03-02T00:00:00Z');
  await until(() => at.service.ledger().length === 1, 'Tokyo was sent to');
  fromRequest(at, 'first', 0, async () => {
    throw KILLED;
  });
  at.run({}, 'second');
  at.parse.now = Date.parse('2030-03-02T09:00:00Z');
  await until(() => at.service.ledger().length === 3, 'all were sent to');
  at.parse.now = NOW + 48 * 3_600_000;
  assert.equal((await ended(at)).numSent, 3);
});

test('what a killed runner has handed over is counted, though the push has expired', async t => {
  const at = await world(t, { expiry: NOW + 30_000 });
  at.service.gate = async (when, { runner }) => {
    if (when === 'after' && runner === 'first') at.parse.gate = at.service.gate = fatal;
  };
  const fatal = async (when, { runner }) => {
    if (runner === 'first') throw KILLED;
  };
  at.run({}, 'first');
  await until(() => at.service.ledger().length === 2, 'a page was handed over');
  at.parse.now += 60_000;
  at.run({}, 'second');
  const row = await ended(at);
  assert.deepEqual([row.status, row.numSent], ['succeeded', 2]);
});
