// An app whose owner has switched off what clients may do: `pushsvc app set`.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MASTER, Parse, installed, ios, reaches, refused, rejects, rest, word } from './stage.mjs';

const push = { channels: ['Giants'], data: { alert: 'x' } };

test('pushes of clients are refused with 115, and the master still sends', async () => {
  await refused(Parse.Push.send({ ...push }, { useMasterKey: false }), 115, /client_push/);
  await rejects(rest('POST', 'push', { key: 'client', body: push }), 115, /client_push/);
  await rejects(rest('POST', 'push', { key: 'rest', body: push }), 115, /rest_push/);
  const device = ios({ channels: ['Giants'] });
  await installed(device);
  await reaches({ channels: ['Giants'] }, [device]);
});

test('clients write the classes they may, and no others', async () => {
  const score = await new Parse.Object('Score', { points: 1 }).save();
  await score.save({ points: 2 });
  await refused(new Parse.Object('Team').save(), Parse.Error.OPERATION_FORBIDDEN);
  const name = word();
  const team = await new Parse.Object('Team', { name }).save(null, MASTER);
  await refused(team.save({ name: 'mine' }), Parse.Error.OPERATION_FORBIDDEN);
  await refused(team.destroy(), Parse.Error.OPERATION_FORBIDDEN);
  assert.equal((await new Parse.Query('Team').get(team.id)).get('name'), name);
});
