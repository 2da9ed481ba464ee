// The status object of a push: true at every moment, and the way to take back what is scheduled.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, test } from 'node:test';

import {
  MASTER,
  Parse,
  alerts,
  android,
  closed,
  installed,
  installations,
  ios,
  refused,
  sent,
  succeeded,
  until,
  windows,
  word,
} from './stage.mjs';

const md5 = text => createHash('md5').update(text).digest('hex');
const later = ms => new Date(Date.now() + ms);
const HOUR = 3_600_000;
let devices;

before(async () => {
  devices = [ios, ios, android, windows].map(device => device({ channels: ['all'] }));
  await installed(...devices);
});

test('it has the shape that Parse gives it', async () => {
  const data = { alert: 'Hello', badge: 'Increment', ünï: '☃' };
  const status = await sent({ channels: ['all'], data });
  succeeded(status, 4);
  assert.equal(status.get('source'), 'rest');
  assert.equal(status.get('payload'), JSON.stringify(data));
  assert.equal(status.get('query'), '{"channels":{"$in":["all"]}}');
  assert.equal(status.get('pushHash'), md5('Hello'));
  assert.deepEqual(status.get('sentPerType'), { ios: 2, android: 1, winrt: 1 });
  assert.equal(status.has('count'), false);
  assert.deepEqual(status.getACL().toJSON(), {});
  assert.ok(Math.abs(Date.parse(status.get('pushTime')) - status.createdAt) < 1000);
});

test('its hash is that of the alert: an object as JSON, nothing as nothing', async () => {
  const hash = async data => (await sent({ channels: ['nobody'], data })).get('pushHash');
  const alert = { title: 'T', body: 'B' };
  assert.equal(await hash({ alert }), md5(JSON.stringify(alert)));
  assert.equal(await hash({ sync: true }), md5(''));
});

test('a push to nobody succeeds at once, with nothing sent', async () => {
  const status = await sent({ channels: ['nobody'], data: { alert: 'x' } });
  succeeded(status, 0);
});

test('a where-clause is told as it was sent', async () => {
  const status = await sent({
    where: installations().equalTo('deviceType', 'ios').exists('channels'),
    data: { alert: 'x' },
  });
  assert.deepEqual(JSON.parse(status.get('query')), {
    deviceType: 'ios',
    channels: { $exists: true },
  });
  succeeded(status, 2);
});

test('the numbers only grow while it runs', async () => {
  const id = await Parse.Push.send({ channels: ['all'], data: { alert: word() } });
  const seen = [];
  await until(async () => {
    const status = await Parse.Push.getPushStatus(id);
    seen.push([status.get('status'), status.get('numSent')]);
    return status.get('status') === 'succeeded';
  }, 'it has succeeded');
  const numbers = seen.map(([, number]) => number);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  assert.ok(
    seen.every(([status]) => ['pending', 'running', 'succeeded'].includes(status)),
    String(seen),
  );
});

test('past pushes are listed, newest first', async () => {
  const first = await sent({ channels: ['nobody'], data: { alert: 'first' } });
  const second = await sent({ channels: ['nobody'], data: { alert: 'second' } });
  const found = await new Parse.Query('_PushStatus').descending('createdAt').limit(2).find(MASTER);
  assert.deepEqual(
    found.map(status => status.id),
    [second.id, first.id],
  );
});

test('a scheduled push that is deleted is never sent', async () => {
  const alert = word();
  const due = later(2000);
  const id = await Parse.Push.send({ channels: ['all'], data: { alert }, push_time: due });
  await (await Parse.Push.getPushStatus(id)).destroy(MASTER);
  await refused(Parse.Push.getPushStatus(id), Parse.Error.OBJECT_NOT_FOUND);
  // One that is due later and has arrived proves that this one would have.
  const after = { channels: ['all'], data: { alert: word() }, push_time: later(2100) };
  succeeded(await closed(await Parse.Push.send(after)), 4);
  for (const device of devices) assert.ok(!(await alerts(device)).includes(alert));
});

test('a push that was sent cannot be taken back', async () => {
  const status = await sent({ channels: ['all'], data: { alert: word() } });
  await assert.rejects(status.destroy(MASTER), error => error instanceof Parse.Error);
  succeeded(await Parse.Push.getPushStatus(status.id), 4);
});

test('clients see no status', async () => {
  const id = await Parse.Push.send({ channels: ['nobody'], data: { alert: 'x' } });
  await refused(
    new Parse.Query('_PushStatus').get(id),
    Parse.Error.OPERATION_FORBIDDEN,
    "Clients aren't allowed to perform the find operation on the _PushStatus collection.",
  );
});

test('a status that never was is not found', async () => {
  await refused(Parse.Push.getPushStatus('abcdefghij'), Parse.Error.OBJECT_NOT_FOUND);
});

test('what is scheduled far ahead is shown with its time and its interval', async () => {
  const due = later(24 * HOUR);
  const id = await Parse.Push.send({
    channels: ['all'],
    data: { alert: 'x' },
    push_time: due,
    expiration_interval: 60,
  });
  const status = await Parse.Push.getPushStatus(id);
  assert.deepEqual(
    [
      status.get('status'),
      status.get('pushTime'),
      status.get('numSent'),
      status.get('expiration_interval'),
    ],
    ['scheduled', due.toISOString(), 0, 60],
  );
  await status.destroy(MASTER);
});
