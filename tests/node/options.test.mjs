// What a push may ask for beside its audience, and what each gateway got of it.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import {
  MASTER,
  Parse,
  alerts,
  android,
  closed,
  contents,
  installations,
  installed,
  ios,
  messages,
  reaches,
  sent,
  succeeded,
  windows,
  word,
} from './stage.mjs';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const fromNow = ms => new Date(Date.now() + ms);
const seconds = moment => Math.floor(moment / SECOND);
const last = async device => (await messages(device)).at(-1);
const lastContent = async device => (await contents(device)).at(-1);

let iphone, phone, desktop;

before(async () => {
  iphone = ios({ channels: ['all'], badge: 4 });
  phone = android({ channels: ['all'] });
  desktop = windows({ channels: ['all'] });
  await installed(iphone, phone, desktop);
});

const everyone = () => [iphone, phone, desktop];

test('Apple gets alert, sound, category and content-available in aps, and custom keys beside it', async () => {
  const data = {
    alert: 'The Giants scored',
    sound: 'cheering.caf',
    category: 'SCORE',
    'content-available': 1,
    'mutable-content': 1,
    threadId: 'giants',
    match: { id: 7 },
  };
  await sent({ channels: ['all'], data });
  const { alert, sound, category } = data;
  assert.deepEqual(await lastContent(iphone), {
    aps: {
      alert,
      sound,
      category,
      'content-available': 1,
      'mutable-content': 1,
      'thread-id': 'giants',
    },
    match: { id: 7 },
  });
});

test('Android gets the keys of its SDK: alert, title, uri, and custom ones', async () => {
  const data = {
    alert: 'Score!',
    title: 'Giants',
    uri: 'app://match/7',
    action: 'com.example.SCORE',
    score: 3,
  };
  const status = await sent({ channels: ['all'], data });
  assert.deepEqual(await lastContent(phone), data);
  const { message } = JSON.parse((await last(phone)).payload);
  const { push_id: pushId, time } = message.android.data;
  assert.equal(pushId, status.id);
  assert.ok(Math.abs(Date.parse(time) - status.createdAt) < 5 * SECOND, time);
});

test('Windows opens the uri of a toast', async () => {
  await sent({ channels: ['all'], data: { alert: 'Score!', uri: 'app://match/7' } });
  assert.match(
    await lastContent(desktop),
    /^<toast launch="app:\/\/match\/7">.*<text>Score!<\/text>/,
  );
});

test('a badge is incremented on each Apple device from where it stood, and stored', async () => {
  const channel = word('badge');
  const five = ios({ channels: [channel], badge: 5 });
  const none = ios({ channels: [channel], badge: undefined });
  const objects = await installed(five, none);
  const push = badge => sent({ channels: [channel], data: { alert: 'x', badge } });
  const shown = async () =>
    Promise.all([five, none].map(async device => (await lastContent(device)).aps.badge));

  await push('Increment');
  assert.deepEqual(await shown(), [6, 1]);
  await push({ __op: 'Increment', amount: 10 });
  assert.deepEqual(await shown(), [16, 11]);
  await push(3);
  assert.deepEqual(await shown(), [3, 3]);
  await push('increment');
  assert.deepEqual(await shown(), [4, 4]);
  for (const object of objects) {
    await object.fetch(MASTER);
    assert.equal(object.get('badge'), 4);
  }
});

test('each device gets the alert and title of its language, and the rest the ones for all', async () => {
  const channel = word('locale');
  const devices = {
    'fr-FR': ios({ channels: [channel], localeIdentifier: 'fr-FR' }),
    'fr-CA': android({ channels: [channel], localeIdentifier: 'fr-CA' }),
    'es-ES': windows({ channels: [channel], localeIdentifier: 'es-ES' }),
    'en-US': ios({ channels: [channel], localeIdentifier: 'en-US' }),
  };
  await installed(...Object.values(devices));
  const data = {
    alert: 'hello',
    'alert-fr': 'bonjour',
    'alert-es': 'hola',
    title: 'T',
    'title-es': 'E',
  };
  succeeded(await sent({ channels: [channel], data }), 4);
  assert.deepEqual(await lastContent(devices['fr-FR']), {
    aps: { alert: { title: 'T', body: 'bonjour' } },
  });
  assert.deepEqual(await lastContent(devices['fr-CA']), { alert: 'bonjour', title: 'T' });
  assert.match(await lastContent(devices['es-ES']), /<text>E<\/text><text>hola<\/text>/);
  assert.deepEqual(await lastContent(devices['en-US']), {
    aps: { alert: { title: 'T', body: 'hello' } },
  });
});

for (const [form, of] of Object.entries({
  'a Date': x => x,
  'ISO text': x => x.toISOString(),
  'epoch seconds': seconds,
})) {
  test(`expiration_time as ${form} reaches every gateway`, async () => {
    const expiry = fromNow(HOUR);
    const status = await sent({
      channels: ['all'],
      data: { alert: word() },
      expiration_time: of(expiry),
    });
    assert.equal(seconds(status.get('expiry')), seconds(expiry));
    await expires(seconds(expiry));
  });
}

test('expiration_interval counts from the sending', async () => {
  const before = Date.now();
  const status = await sent({
    channels: ['all'],
    data: { alert: word() },
    expiration_interval: 3600,
  });
  assert.equal(status.get('expiration_interval'), 3600);
  await expires(seconds(before + HOUR));
});

/** Each gateway was told that its last message is of no use after this, in epoch seconds. */
async function expires(at) {
  const near = (value, what) =>
    assert.ok(Math.abs(value - at) <= 10, `${what}: ${value}, not about ${at}`);
  near(Number((await last(iphone)).expiration), 'APNs');
  const { ttl } = JSON.parse((await last(phone)).payload).message.android;
  assert.match(ttl, /^\d+s$/);
  near(seconds(Date.now()) + parseInt(ttl, 10), 'FCM');
  near(seconds(Date.now()) + Number((await last(desktop)).fields['x-wns-ttl']), 'WNS');
}

// Side by side, for each has to wait; each with devices of its own.
describe('push_time', { concurrency: true }, () => {
  const SOON = 3 * SECOND;

  for (const [form, of] of Object.entries({
    'a Date': x => x,
    'ISO text': x => x.toISOString(),
    'epoch seconds': x => +x / SECOND,
  })) {
    test(`as ${form}: nothing goes before it, everything after`, async () => {
      const device = ios({ channels: [word('soon')] });
      await installed(device);
      const due = fromNow(SOON);
      const push = { channels: device.channels, data: { alert: 'now' }, push_time: of(due) };
      const id = await Parse.Push.send(push);
      const waiting = await Parse.Push.getPushStatus(id);
      assert.equal(waiting.get('status'), 'scheduled');
      assert.equal(Date.parse(waiting.get('pushTime')), +due);
      succeeded(await closed(id), 1);
      const [entry, ...more] = await messages(device);
      assert.deepEqual(more, []);
      assert.ok(entry.time * SECOND >= +due, 'the gateway got it too early');
    });
  }

  test('without a zone: it waits for the clocks of the devices', async () => {
    const local = fromNow(2 * DAY).toISOString().slice(0, -1);
    const push = { channels: [word('soon')], data: { alert: 'local' }, push_time: local };
    const waiting = await Parse.Push.getPushStatus(await Parse.Push.send(push));
    assert.equal(waiting.get('status'), 'scheduled');
    assert.equal(waiting.get('pushTime'), local);
    assert.equal(waiting.get('sentPerUTCOffset'), undefined);
  });

  test('with expiration_interval: the expiry counts from it', async () => {
    const device = ios({ channels: [word('soon')] });
    await installed(device);
    const due = fromNow(SOON);
    const times = { push_time: due, expiration_interval: 3600 };
    const push = { channels: device.channels, data: { alert: 'now' }, ...times };
    succeeded(await closed(await Parse.Push.send(push)), 1);
    assert.equal(Number((await last(device)).expiration), seconds(+due + HOUR));
  });
});

test('collapse_id, push_type and priority beside data', async () => {
  const push = {
    channels: ['all'],
    data: { alert: word() },
    collapse_id: 'score',
    push_type: 'alert',
    priority: 5,
  };
  await sent(push);
  const entry = await last(iphone);
  assert.deepEqual([entry.collapse_id, entry.push_type, entry.priority], ['score', 'alert', '5']);
  assert.equal(JSON.parse((await last(phone)).payload).message.android.collapse_key, 'score');
  assert.equal((await last(desktop)).fields['x-wns-tag'], 'score');
});

test("notification beside data is Firebase's", async () => {
  await sent({
    channels: ['all'],
    data: { alert: word() },
    notification: { title: 'T', clickAction: 'OPEN' },
  });
  assert.deepEqual(JSON.parse((await last(phone)).payload).message.android.notification, {
    title: 'T',
    click_action: 'OPEN',
  });
});

test('data without words is a silent push', async () => {
  await sent({ channels: ['all'], data: { 'content-available': 1, sync: true } });
  assert.deepEqual(await lastContent(iphone), { aps: { 'content-available': 1 }, sync: true });
  assert.deepEqual(await lastContent(phone), { sync: true });
});

test('the empty channel is for everyone who is in it', async () => {
  const [inside, outside] = [ios({ channels: [''] }), ios({ channels: ['Giants'] })];
  await installed(inside, outside);
  await reaches({ channels: [''] }, [inside], [outside]);
});

test('channels as an operator object, as Parse Server takes them', async () => {
  await reaches({ channels: { $in: ['all'] } }, everyone());
});

test('a device whose token is dead is counted as failed, and the others get theirs', async () => {
  const channel = word('dead');
  const dead = ios({ channels: [channel] });
  dead.deviceToken = `${dead.deviceToken.slice(0, -8)}fa170100`;
  const alive = ios({ channels: [channel] });
  await installed(dead, alive);
  const status = await closed(
    await Parse.Push.send({
      where: installations().equalTo('channels', channel),
      data: { alert: 'x' },
    }),
  );
  assert.deepEqual(
    [status.get('status'), status.get('numSent'), status.get('numFailed')],
    ['succeeded', 1, 1],
  );
  assert.deepEqual(status.get('failedPerType'), { ios: 1 });
  assert.deepEqual(await alerts(alive), ['x']);
});
