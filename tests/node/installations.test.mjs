// Devices of all kinds register, change and go away, through the SDK's objects.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import {
  MASTER,
  Parse,
  android,
  finds,
  installations,
  installed,
  ios,
  refused,
  rest,
  windows,
  word,
} from './stage.mjs';

for (const [name, device] of Object.entries({ ios, android, windows })) {
  test(`a device of ${name} registers with the JavaScript key, and its fields come back`, async () => {
    const fields = device({ channels: ['', 'Giants'] });
    const object = await new Parse.Object('_Installation', fields).save();
    assert.match(object.id, /^[A-Za-z0-9]{10}$/);
    assert.ok(object.createdAt instanceof Date);

    const found = await installations().get(object.id, MASTER);
    for (const [field, value] of Object.entries(fields))
      assert.deepEqual(found.get(field), value, field);
    assert.deepEqual(found.createdAt, object.createdAt);
    assert.deepEqual(found.updatedAt, object.createdAt);
  });
}

test('the SDK own installation saves, and saves again to the same row', async () => {
  const own = await Parse.Installation.currentInstallation();
  await own.save({ channels: ['own'] });
  await own.save({ channels: ['own', 'again'] });
  const [found, ...more] = await installations()
    .equalTo('installationId', own.get('installationId'))
    .find(MASTER);
  assert.equal(more.length, 0);
  assert.equal(found.id, own.id);
  assert.deepEqual(found.get('channels'), ['own', 'again']);
});

test('the SDK own installation comes back after somebody deleted it', async () => {
  const own = await Parse.Installation.currentInstallation();
  await own.save({ note: 'before' });
  const before = own.id;
  await (await installations().get(before, MASTER)).destroy(MASTER);
  await own.save({ note: 'after' });
  const [found] = await installations()
    .equalTo('installationId', own.get('installationId'))
    .find(MASTER);
  assert.notEqual(found.id, before);
  assert.equal(found.get('note'), 'after');
});

test('channels are added, added once, and removed', async () => {
  const [object] = await installed(ios({ channels: ['Giants'] }));
  object.addUnique('channels', 'Mets');
  await object.save(null, MASTER);
  assert.deepEqual(object.get('channels'), ['Giants', 'Mets']);
  object.addUnique('channels', 'Mets');
  await object.save(null, MASTER);
  object.remove('channels', 'Giants');
  await object.save(null, MASTER);
  object.add('channels', 'Jets');
  await object.save(null, MASTER);
  const found = await installations().get(object.id, MASTER);
  assert.deepEqual(found.get('channels'), ['Mets', 'Jets']);
});

test('an operation is made on what is stored, not on what the SDK remembers', async () => {
  const [object] = await installed(ios({ channels: ['Giants'], launches: 1 }));
  const stale = Parse.Object.fromJSON({ className: '_Installation', objectId: object.id });
  object.addUnique('channels', 'Mets').increment('launches', 2);
  await object.save(null, MASTER);
  stale.addUnique('channels', 'Jets').increment('launches', 3);
  await stale.save(null, MASTER);
  const found = await installations().get(object.id, MASTER);
  assert.deepEqual(found.get('channels'), ['Giants', 'Mets', 'Jets']);
  assert.equal(found.get('launches'), 6);
  assert.equal(stale.get('launches'), 6, 'the reply tells what the operation came to');
});

test('a badge is incremented and set', async () => {
  const [object] = await installed(ios({ badge: 4 }));
  await object.increment('badge').save(null, MASTER);
  assert.equal((await installations().get(object.id, MASTER)).get('badge'), 5);
  await object.save({ badge: 0 }, MASTER);
  assert.equal((await installations().get(object.id, MASTER)).get('badge'), 0);
});

test('fields are taken away, a token too', async () => {
  const [object] = await installed(android({ nickname: 'mine', channels: ['Giants'] }));
  for (const field of ['nickname', 'channels', 'deviceToken', 'GCMSenderId']) object.unset(field);
  await object.save(null, MASTER);
  const found = await installations().get(object.id, MASTER);
  for (const field of ['nickname', 'channels', 'deviceToken', 'GCMSenderId']) {
    assert.equal(found.has(field), false, field);
  }
  assert.equal(found.get('deviceType'), 'android');
});

test('custom fields of every type come back as they were', async () => {
  const [team] = await Parse.Object.saveAll([new Parse.Object('Team', { name: word() })], MASTER);
  const custom = {
    text: 'ü and "quotes"',
    number: 1.5,
    yes: true,
    day: new Date('2026-03-01T12:34:56.789Z'),
    place: new Parse.GeoPoint(37.77, -122.41),
    list: [1, 'two', { three: 3 }],
    object: { deep: { deeper: [1, 2] } },
    team,
  };
  const [object] = await installed(ios(custom));
  const found = await installations().get(object.id, MASTER);
  for (const name of ['text', 'number', 'yes', 'day', 'list', 'object']) {
    assert.deepEqual(found.get(name), custom[name], name);
  }
  assert.ok(found.get('place').equals(custom.place));
  assert.equal(found.get('team').id, team.id);
});

test('a field holds the type it had first', async () => {
  const field = word('typed');
  const [object] = await installed(ios({ [field]: 1 }));
  await refused(
    object.save({ [field]: 'one' }, MASTER),
    Parse.Error.INCORRECT_TYPE,
    `schema mismatch for _Installation.${field}; expected Number but got String`,
  );
});

test('a dotted key changes a part of an object', async () => {
  const [object] = await installed(ios({ prefs: { news: false, sport: true } }));
  object.set('prefs.news', true);
  await object.save(null, MASTER);
  assert.deepEqual((await installations().get(object.id, MASTER)).get('prefs'), {
    news: true,
    sport: true,
  });
});

test('a relation is filled, asked and emptied', async () => {
  const teams = await Parse.Object.saveAll(
    [1, 2, 3].map(n => new Parse.Object('Team', { n })),
    MASTER,
  );
  const [object] = await installed(ios());
  const relation = object.relation('likes');
  relation.add(teams);
  await object.save(null, MASTER);
  await finds(relation.query(), teams);
  relation.remove(teams[0]);
  await object.save(null, MASTER);
  await finds(relation.query(), teams.slice(1));
  await finds(installations().equalTo('likes', teams[1]), [object]);
  await finds(installations().equalTo('likes', teams[0]), []);
});

test('a device that registers again by its installation id is the same row', async () => {
  const fields = ios({ channels: ['Giants'] });
  const [first] = await installed(fields);
  const reply = await rest('POST', 'installations', {
    key: 'rest',
    body: { ...fields, installationId: fields.installationId.toUpperCase(), appVersion: '5' },
  });
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  assert.ok(reply.body.updatedAt);
  assert.equal(reply.body.objectId, first.id);
  const found = await installations().get(first.id, MASTER);
  assert.equal(found.get('appVersion'), '5');
});

test('a token that moves to another installation leaves the first', async () => {
  const fields = ios();
  const [first] = await installed(fields);
  const [second] = await installed({ ...fields, installationId: randomUUID() });
  assert.notEqual(first.id, second.id);
  await finds(installations().equalTo('deviceToken', fields.deviceToken), [second]);
});

test('a row known by its token alone takes the installation id that comes with it', async () => {
  const { installationId, ...byToken } = ios();
  const [first] = await installed(byToken);
  await installed({ ...byToken, installationId });
  const [found, ...more] = await installations()
    .equalTo('deviceToken', byToken.deviceToken)
    .find(MASTER);
  assert.equal(more.length, 0);
  assert.equal(found.id, first.id);
  assert.equal(found.get('installationId'), installationId);
});

test('24 devices that register one installation id at once leave one row', async () => {
  const fields = ios();
  const replies = await Promise.all(
    Array.from({ length: 24 }, () => rest('POST', 'installations', { key: 'rest', body: fields })),
  );
  for (const reply of replies) assert.ok(reply.status < 300, JSON.stringify(reply.body));
  assert.equal(new Set(replies.map(reply => reply.body.objectId)).size, 1);
  const count = await installations()
    .equalTo('installationId', fields.installationId)
    .count(MASTER);
  assert.equal(count, 1);
});

test('the installation id in a header finds the row, and is not stored', async () => {
  const { installationId, ...unnamed } = android();
  const headers = { 'X-Parse-Installation-Id': installationId };
  const made = await rest('POST', 'installations', { key: 'client', body: unnamed, headers });
  assert.equal(made.status, 201);
  const found = await installations().get(made.body.objectId, MASTER);
  assert.equal(found.has('installationId'), false);

  const named = android();
  const [object] = await installed(named);
  const again = await rest('POST', 'installations', {
    key: 'client',
    body: { deviceType: 'android', appVersion: '6' },
    headers: { 'X-Parse-Installation-Id': named.installationId },
  });
  assert.deepEqual([again.status, again.body.objectId], [200, object.id]);
  assert.equal((await object.fetch(MASTER)).get('appVersion'), '6');
});

test('saveAll registers more devices than one batch takes, and destroyAll removes them', async () => {
  const channel = word('batch');
  const objects = Array.from(
    { length: 45 },
    () => new Parse.Object('_Installation', ios({ channels: [channel] })),
  );
  await Parse.Object.saveAll(objects, MASTER);
  const query = installations().equalTo('channels', channel);
  assert.equal(await query.count(MASTER), 45);
  await Parse.Object.destroyAll(objects, MASTER);
  assert.equal(await query.count(MASTER), 0);
});

test('one bad device of a batch does not take the others with it', async () => {
  const good = new Parse.Object('_Installation', ios());
  const bad = new Parse.Object('_Installation', {
    deviceType: 'ios',
    installationId: word(),
    channels: ['no such name!'],
  });
  await refused(Parse.Object.saveAll([good, bad], MASTER), Parse.Error.INVALID_CHANNEL_NAME);
  assert.ok(good.id);
});

test('fetch reads it anew, and destroy takes it away', async () => {
  const [object] = await installed(windows({ version: 1 }));
  const other = Parse.Object.fromJSON({ className: '_Installation', objectId: object.id });
  await other.save({ version: 2 }, MASTER);
  const fresh = await new Parse.Object('_Installation', { id: object.id }).fetch(MASTER);
  assert.equal(fresh.get('version'), 2);
  await object.destroy(MASTER);
  await finds(installations().equalTo('objectId', object.id), []);
});
