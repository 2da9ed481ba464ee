'use strict';

// What the scheduler decides without I/O: times, zones, rows, claims, next steps, the command line.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { FRESH, Watch, endOf, readHeld } = require('../lib/scheduler/claims');
const { ServerClock } = require('../lib/scheduler/clock');
const { helpText, readCommand } = require('../lib/scheduler/command');
const { nearWithoutOrder } = require('../lib/scheduler/near');
const { actionOf, endingOf, momentsFor, nextStep } = require('../lib/scheduler/plan');
const { expiryOf, keyOf, readPush, whereOf } = require('../lib/scheduler/push');
const { dueBelow, readPushTime } = require('../lib/scheduler/times');
const { everyZone, momentsOf, offsetOf } = require('../lib/scheduler/zones');
const { scheduled } = require('./scheduler_stage');

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const at = text => Date.parse(text);
const iso = time => new Date(time).toISOString();

// ---- times

test('a time with a zone is an instant, one without is what each clock shows', () => {
  const noon = at('2030-03-01T12:00:00Z');
  const cases = {
    '2030-03-01T12:00:00.000Z': { at: noon },
    '2030-03-01T14:00:00+02:00': { at: noon },
    '2030-03-01T12:00:00.000': { wall: noon },
    '2030-03-01T12:00': { wall: noon },
    '2030-03-01': { wall: noon - 12 * HOUR },
  };
  for (const [text, time] of Object.entries(cases)) {
    assert.deepEqual(readPushTime(text), time, text);
  }
  assert.deepEqual(readPushTime({ __type: 'Date', iso: '2030-03-01T12:00:00.000Z' }), { at: noon });
  const none = ['', 'soon', '2030-02-30T12:00:00Z', '2030-13-01', '2030-03-01T25:00', 1, null, {}];
  for (const value of none) assert.equal(readPushTime(value), null, String(value));
});

test('what is due anywhere lies below the text that rows are asked by', () => {
  const now = at('2030-03-01T12:00:00Z');
  assert.ok('2030-03-02T01:59:59.000' < dueBelow(now));
  assert.ok('2030-03-02T01:59:59.000+14:00' < dueBelow(now));
});

/** All instants at which the zone's clocks show the wall time, found one by one. */
function shownAt(wall, offset) {
  const found = [];
  for (let quarter = -14 * 4; quarter <= 14 * 4; quarter += 1) {
    const time = wall + (quarter * HOUR) / 4;
    if (time + offset(time) === wall) found.push(time);
  }
  return found;
}

test('a wall time is the first instant at which a zone shows it, all over the world', () => {
  const zones = everyZone().filter((_, place) => place % 7 === 0);
  let seed = 8;
  const random = below => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (const zone of [...zones, 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu']) {
    const offset = offsetOf(zone);
    for (let tried = 0; tried < 4; tried += 1) {
      const wall = at('2011-01-01T00:00:00Z') + random(20 * 366 * 96) * (HOUR / 4);
      const [{ at: instant }] = momentsOf(wall, [zone]);
      const shown = shownAt(wall, offset);
      const wanted = shown.length > 0 ? shown[0] : wall - offset(wall - DAY);
      assert.equal(iso(instant), iso(wanted), `${zone} ${iso(wall)}`);
    }
  }
});

test('in a gap the offset before it holds, in a fold the first of the two', () => {
  const cases = [
    ['Europe/Paris', '2030-03-31T02:30', '2030-03-31T01:30Z'],
    ['Europe/Paris', '2030-10-27T02:30', '2030-10-27T00:30Z'],
    ['America/New_York', '2030-03-10T02:30', '2030-03-10T07:30Z'],
    ['America/New_York', '2030-11-03T01:30', '2030-11-03T05:30Z'],
    ['Australia/Lord_Howe', '2030-10-06T02:15', '2030-10-05T15:45Z'],
    ['Pacific/Apia', '2011-12-30T12:00', '2011-12-30T22:00Z'],
    ['Asia/Kathmandu', '2030-01-01T00:00', '2029-12-31T18:15Z'],
  ];
  for (const [zone, wall, instant] of cases) {
    const [moment] = momentsOf(readPushTime(wall).wall, [zone]);
    assert.equal(iso(moment.at), iso(at(instant)), `${zone} ${wall}`);
  }
});

test('zones of all names are known, of old and new, and nothing else is', () => {
  const zones = everyZone();
  for (const zone of ['Asia/Calcutta', 'Asia/Kolkata', 'US/Pacific', 'Etc/GMT+12', 'UTC']) {
    assert.ok(zones.includes(zone), zone);
  }
  assert.deepEqual(zones.filter(zone => offsetOf(zone) === null), []);
  assert.deepEqual(momentsOf(0, ['Mars/Phobos', '']), []);
});

test('a local time has its moments from the first zone of the world to the last', () => {
  const wall = at('2030-07-01T09:00:00Z');
  const moments = momentsFor({ wall });
  assert.equal(moments[0].at, wall - 14 * HOUR);
  assert.equal(moments.at(-1).at, wall + 12 * HOUR);
  const zones = moments.flatMap(each => each.zones);
  assert.deepEqual(zones.sort(), everyZone().sort());
  assert.deepEqual(momentsFor({ at: 5 }), [{ at: 5, zones: null }]);
});

// ---- rows

test('the clause of a page has what Parse Server would add, and its bounds', () => {
  const push = readPush(scheduled({ query: '{"channels":"a"}' }));
  const first = { after: '', upto: null, zones: null };
  const token = { deviceToken: { $exists: true } };
  assert.deepEqual(whereOf(push, first), { channels: 'a', ...token });
  assert.deepEqual(whereOf(push, { after: 'b', upto: 'd', zones: ['UTC'] }), {
    channels: 'a',
    ...token,
    objectId: { $gt: 'b', $lte: 'd' },
    timeZone: { $in: ['UTC'] },
  });
});

test('a query with a word of its own on tokens, ids or zones keeps it', () => {
  const query = { deviceToken: 'x', objectId: { $in: ['a'] } };
  const push = readPush(scheduled({ query: JSON.stringify(query) }));
  assert.deepEqual(whereOf(push, { after: 'b', upto: null, zones: null }), {
    $and: [query, { objectId: { $gt: 'b' } }],
  });
});

test('near is within: pages go by id, and not by distance', () => {
  const place = { __type: 'GeoPoint', latitude: 1, longitude: 2 };
  const far = { $nearSphere: place, $maxDistanceInRadians: 1 };
  const near = nearWithoutOrder({
    home: { $nearSphere: place, $maxDistanceInKilometers: 63.71 },
    $and: [{ work: { $nearSphere: place } }, { shop: far }],
  });
  assert.deepEqual(near, {
    home: { $geoWithin: { $centerSphere: [place, 0.01] } },
    $and: [{ work: { $exists: true } }, { shop: { $geoWithin: { $centerSphere: [place, 1] } } }],
  });
});

test('every form of Increment is sent as each device has it; other badges as they are', () => {
  const badgeOf = badge => readPush(scheduled({ payload: JSON.stringify({ badge }) })).data.badge;
  for (const badge of ['Increment', 'increment', { __op: 'Increment', amount: 3 }]) {
    assert.equal(badgeOf(badge), 'Increment');
  }
  assert.equal(badgeOf(5), 5);
});

test('of two expiries the earlier one holds, and an interval counts from the moment', () => {
  const push = readPush(scheduled({ expiry: 5_000, expiration_interval: 2 }));
  assert.equal(expiryOf(push, 1_000), 3_000);
  assert.equal(expiryOf(push, 4_000), 5_000);
  assert.equal(expiryOf(readPush(scheduled()), 0), null);
  const never = readPush(scheduled({ expiration_interval: 1e300 }));
  assert.equal(iso(expiryOf(never, 0)), '9999-12-31T00:00:00.000Z');
});

test('a page has one key, however long it is, and no other page has it', () => {
  const page = { moment: 1, after: 'a', upto: 'b' };
  const pages = [page, { ...page, moment: 2 }, { ...page, after: 'b' }];
  const keys = pages.map(each => keyOf('p', each));
  assert.equal(new Set([...keys, keyOf('q', page)]).size, 4);
  assert.equal(keyOf('p', { ...page, upto: 'c' }), keys[0]);
  assert.ok(keys[0].length <= 255);
});

// ---- claims

test('the owner is the highest slot, the state that of the highest that has one', () => {
  const row = {
    count: 3,
    failedPerUTCOffset: {
      pushsvc2: { moment: 5, after: 'b', over: false },
      pushsvc10: { claimed: true },
      pushsvc1: { moment: 4, free: true },
      pushsvcx: {},
      120: 7,
    },
  };
  const { claims, owner, state, free } = readHeld(row);
  assert.deepEqual([claims, owner, free], [3, 10, false]);
  assert.deepEqual(state, { ...FRESH, moment: 5, after: 'b', over: false });
  const none = readHeld({});
  assert.deepEqual([none.claims, none.owner, none.state, none.free], [0, 0, null, true]);
});

test('the end of a push writes the slot of its owner, and leaves the counter as it is', () => {
  const slots = { pushsvc1: { claimed: true }, pushsvc2: { moment: 5 } };
  const changes = endOf(readHeld({ count: 2, failedPerUTCOffset: slots }), { status: 'failed' });
  assert.deepEqual(changes['failedPerUTCOffset.pushsvc1'], { __op: 'Delete' });
  assert.equal(changes['failedPerUTCOffset.pushsvc2'].done, true);
  assert.deepEqual([changes.status, 'count' in changes], ['failed', false]);
});

test('a claim of another is given up when nothing has changed for the lease', () => {
  const watch = new Watch(100);
  const held = after => readHeld({ failedPerUTCOffset: slots(after) });
  const slots = after => ({ pushsvc1: { ...FRESH, after } });
  assert.equal(watch.look('p', held('a'), 0), 'watched');
  assert.equal(watch.look('p', held('a'), 99), 'watched');
  assert.equal(watch.look('p', held('b'), 99), 'alive');
  assert.equal(watch.look('p', held('b'), 198), 'watched');
  assert.equal(watch.look('p', held('b'), 199), 'free');
  watch.keep(new Set());
  assert.equal(watch.look('p', held('b'), 500), 'watched');
  watch.gaveUp('p', 1);
  assert.equal(watch.look('p', held('b'), 500), 'free');
  assert.equal(watch.look('q', readHeld({}), 0), 'free');
});

// ---- next steps

const step = (state, { push = readPush(scheduled()), now, lateMs = DAY }) =>
  nextStep(push, { instants: [1_000, 2_000], state: { ...FRESH, ...state }, now, lateMs });

test('moments are sent one after the other, when they have come', () => {
  assert.deepEqual([step({}, { now: 999 }).step, step({}, { now: 999 }).until], ['wait', 1_000]);
  assert.equal(step({}, { now: 1_000 }).state.moment, 1_000);
  assert.equal(step({ moment: 1_000, over: true }, { now: 2_000 }).state.moment, 2_000);
  assert.equal(step({ moment: 2_000, over: true }, { now: 2_000 }).step, 'settle');
  const begun = { moment: 1_000, over: false, after: 'b', upto: 'c' };
  assert.deepEqual(step(begun, { now: 3_000 }).state, { ...FRESH, ...begun });
});

test('what is too late or has expired is skipped, and counted', () => {
  const late = step({}, { now: 2_500, lateMs: 1_000 });
  assert.deepEqual([late.step, late.state.late, late.state.moment], ['send', 1, 2_000]);
  const push = readPush(scheduled({ expiration_interval: 1 }));
  const expired = step({}, { push, now: 3_000 });
  assert.deepEqual([expired.step, expired.state.expired], ['settle', 2]);
  const begun = { moment: 1_000, over: false, after: 'b' };
  assert.equal(step(begun, { now: 1_500, lateMs: 0 }).state.late, 0);
  assert.equal(step(begun, { now: 1_001 + DAY, lateMs: 0 }).state.late, 2);
});

test('of rows that Parse Server is sending itself nothing is touched', () => {
  const known = { push: readPush(scheduled()), instants: () => [0], now: 1, lateMs: DAY };
  const look = row => actionOf(row, { ...known, held: readHeld(row) }).action;
  assert.equal(look({ status: 'running', failedPerUTCOffset: { 120: 3 } }), 'none');
  assert.equal(look({ status: 'scheduled' }), 'send');
  const over = { ...FRESH, moment: 0, over: true };
  assert.equal(look({ status: 'running', ...saved({ ...over, free: true }) }), 'settle');
  assert.equal(look({ status: 'running', ...saved(over) }), 'send');
  assert.equal(look({ status: 'running', ...saved({ ...over, done: true }) }), 'settle');
});

const saved = state => ({ failedPerUTCOffset: { pushsvc1: state } });

test('a push that was handed over has succeeded, whatever came of its devices', () => {
  const by = { ios: { sent: 3, failed: 1, unknown: 1, pending: 0 } };
  const group = { open: 0, pending: 0, by_device_type: by };
  const state = { ...FRESH, accepted: 5, refused: { ios: 2, toaster: 1 } };
  assert.deepEqual(endingOf({ ...state, late: 2 }, group, 3), {
    status: 'succeeded',
    numSent: 3,
    numFailed: 5,
    sentPerType: { ios: 3 },
    failedPerType: { ios: 4, toaster: 1 },
  });
  assert.equal(endingOf(FRESH, null, 1).status, 'succeeded');
  const failed = (fields, end, moments) =>
    endingOf({ ...state, ...fields }, end, moments).errorMessage.message;
  assert.equal(failed({ fault: 'no' }, group, 3), 'no');
  assert.equal(endingOf({ ...state, expired: 3 }, group, 3).status, 'succeeded');
  assert.match(failed({}, null, 3), /knows nothing/);
  assert.match(failed({ accepted: 0, late: 1, expired: 2 }, null, 3), /too long ago/);
});

test('the time is that of Parse Server, whatever the host says', () => {
  let elapsed = 0;
  const clock = new ServerClock({ monotonic: () => elapsed, wall: () => 5 });
  assert.equal(clock.now(), 5);
  clock.heard('Fri, 01 Mar 2030 12:00:00 GMT');
  elapsed = 400;
  clock.heard('Fri, 01 Mar 2030 12:00:00 GMT');
  clock.heard(undefined);
  assert.equal(clock.now(), at('2030-03-01T12:00:00.400Z'));
  for (let answers = 0; answers < 32; answers += 1) clock.heard('Fri, 01 Mar 2030 11:00:00 GMT');
  assert.equal(clock.now(), at('2030-03-01T11:00:00Z'));
});

// ---- the command line

test('flags go before the environment, and mistakes are named', () => {
  const environment = {
    PARSE_PUSHSVC_API_KEY: 'e', PARSE_SERVER_MASTER_KEY: 'm', PARSE_PUSHSVC_LATE_MS: '',
  };
  const { options } = readCommand(['--api-key', 'f', '--late-ms', '60000', '--once'], environment);
  const wanted = { parse: { masterKey: 'm' }, apiKey: 'f', lateMs: 60_000, once: true };
  assert.deepEqual(options, wanted);
  assert.throws(() => readCommand(['--later'], {}), /--later/);
  assert.throws(() => readCommand(['--late-ms', '1h'], {}), /--late-ms must be a whole number/);
  assert.match(helpText(), /--master-key +Parse Server's master key \(PARSE_SERVER_MASTER_KEY\)/);
});
