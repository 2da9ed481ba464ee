// Audiences that are kept by name, and what pushes to them are counted as.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  MASTER,
  Parse,
  android,
  installed,
  ios,
  reaches,
  refused,
  rejects,
  rest,
  sent,
  succeeded,
  until,
  word,
} from './stage.mjs';

const IOS = { deviceType: 'ios' };

async function created(name, where) {
  const reply = await rest('POST', 'push_audiences', {
    body: { name, query: JSON.stringify(where) },
  });
  assert.equal(reply.status, 201, JSON.stringify(reply.body));
  return reply.body.objectId;
}

test('one is created, read with its query as an object, changed, listed and deleted', async () => {
  const name = word();
  const id = await created(name, IOS);
  const path = `push_audiences/${id}`;
  const shown = (await rest('GET', path)).body;
  assert.deepEqual([shown.name, shown.query, shown.objectId], [name, IOS, id]);

  await rest('PUT', path, { body: { query: JSON.stringify({ deviceType: 'android' }) } });
  assert.deepEqual((await rest('GET', path)).body.query, { deviceType: 'android' });
  const { results } = (await rest('GET', 'push_audiences')).body;
  assert.deepEqual(
    results.filter(one => one.objectId === id).map(one => one.name),
    [name],
  );

  assert.equal((await rest('DELETE', path)).status, 200);
  await rejects(rest('GET', path), Parse.Error.OBJECT_NOT_FOUND);
});

test('a push with its id counts as a use of it', async () => {
  await installed(ios(), android());
  const id = await created(word(), IOS);
  const status = await sent({ where: IOS, audience_id: id, data: { alert: 'x' } });
  succeeded(status, 1);
  const used = await until(async () => {
    const { body } = await rest('GET', `push_audiences/${id}`);
    return body.timesUsed === 1 && body;
  }, 'the use was counted');
  const lastUsed = Date.parse(used.lastUsed.iso ?? used.lastUsed);
  assert.ok(Math.abs(lastUsed - status.createdAt) < 5000, JSON.stringify(used));
});

test('a push may name it alone, and goes to whom it finds', async () => {
  const channel = word('audience');
  const member = ios({ channels: [channel] });
  await installed(member, ios());
  const id = await created(word(), { channels: channel });
  await reaches({ audience_id: id }, [member]);
});

test('an id that nobody knows is refused, and nothing is sent', async () => {
  await assert.rejects(
    Parse.Push.send({ where: IOS, audience_id: 'unknown', data: { alert: 'x' } }),
    error => error instanceof Parse.Error && error.code > 1,
  );
});

test('the SDK reads _Audience, whose query is text there', async () => {
  const id = await created(word(), IOS);
  const audience = await new Parse.Query('_Audience').get(id, MASTER);
  assert.equal(audience.get('query'), JSON.stringify(IOS));
  await refused(new Parse.Query('_Audience').get(id), Parse.Error.OPERATION_FORBIDDEN);
});

test('its query must be text, of JSON, and a query', async () => {
  const post = query => rest('POST', 'push_audiences', { body: { name: word(), query } });
  await rejects(post(IOS), Parse.Error.INCORRECT_TYPE);
  await rejects(post('{not json'), Parse.Error.INVALID_JSON);
  await rejects(post('{"a":{"$foo":1}}'), Parse.Error.INVALID_JSON);
});

test('clients neither see nor make any', async () => {
  const reply = await rest('GET', 'push_audiences', { key: 'rest' });
  assert.equal(reply.status, 403);
  const made = await rest('POST', 'push_audiences', {
    key: 'rest',
    body: { name: 'x', query: '{}' },
  });
  assert.equal(made.status, 403);
});
