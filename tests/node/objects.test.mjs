// Objects of any class, which installations point to: through the SDK as from a Parse Server.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import {
  MASTER,
  Parse,
  finds,
  ids,
  installations,
  installed,
  ios,
  refused,
  rejects,
  rest,
  word,
} from './stage.mjs';

const Team = Parse.Object.extend('Team');
const teams = mark => new Parse.Query(Team).equalTo('mark', mark);

test('create, get, change, fetch and destroy', async () => {
  const team = await new Team({ name: 'red', rank: 1 }).save(null, MASTER);
  assert.match(team.id, /^[A-Za-z0-9]{10}$/);
  await team.save({ rank: 2 }, MASTER);
  const found = await new Parse.Query(Team).get(team.id, MASTER);
  assert.deepEqual([found.get('name'), found.get('rank')], ['red', 2]);
  assert.ok(found.updatedAt >= found.createdAt);
  await found.save({ rank: 3 }, MASTER);
  await team.fetch(MASTER);
  assert.equal(team.get('rank'), 3);
  await team.destroy(MASTER);
  await refused(new Parse.Query(Team).get(team.id, MASTER), Parse.Error.OBJECT_NOT_FOUND);
  await refused(team.fetch(MASTER), Parse.Error.OBJECT_NOT_FOUND);
});

test('every operation on a field', async () => {
  const team = await new Team({ n: 1, list: ['a'], gone: true }).save(null, MASTER);
  team.increment('n', 4).add('list', 'a').unset('gone');
  await team.save(null, MASTER);
  assert.deepEqual([team.get('n'), team.get('list')], [5, ['a', 'a']]);
  team.decrement('n').addAllUnique('list', ['a', 'b', 'c']);
  await team.save(null, MASTER);
  team.removeAll('list', ['a']);
  await team.save(null, MASTER);
  const found = await new Parse.Query(Team).get(team.id, MASTER);
  assert.deepEqual([found.get('n'), found.get('list'), found.has('gone')], [4, ['b', 'c'], false]);
});

test('increments that meet are all counted', async () => {
  const team = await new Team({ n: 0 }).save(null, MASTER);
  const others = Array.from({ length: 20 }, () =>
    Parse.Object.fromJSON({ className: 'Team', objectId: team.id }),
  );
  await Promise.all(others.map(other => other.increment('n').save(null, MASTER)));
  assert.equal((await new Parse.Query(Team).get(team.id, MASTER)).get('n'), 20);
});

test('include brings what pointers lead to, in depth', async () => {
  const mark = word();
  const town = new Parse.Object('Town', { name: 'Rome' });
  const team = new Team({ mark, name: 'red', town });
  const [object] = await installed(ios({ team: await team.save(null, MASTER) }));
  const fresh = await installations()
    .include('team.town')
    .equalTo('objectId', object.id)
    .first({ ...MASTER, json: true });
  assert.equal(fresh.team.name, 'red');
  assert.equal(fresh.team.town.name, 'Rome');
  const bare = await installations()
    .equalTo('objectId', object.id)
    .first({ ...MASTER, json: true });
  assert.deepEqual(bare.team, { __type: 'Pointer', className: 'Team', objectId: team.id });
});

test('include of everything, of lists, and of what is gone', async () => {
  const [red, blue, gone] = await Parse.Object.saveAll(
    ['red', 'blue', 'gone'].map(name => new Team({ name })),
    MASTER,
  );
  const post = await new Parse.Object('Post', { red, list: [blue, gone] }).save(null, MASTER);
  await gone.destroy(MASTER);
  const query = () => new Parse.Query('Post').equalTo('objectId', post.id);
  const whole = await query().includeAll().first(MASTER);
  assert.equal(whole.get('red').get('name'), 'red');
  const { list } = await query()
    .include('list')
    .first({ ...MASTER, json: true });
  assert.deepEqual(
    list.map(team => team.name),
    ['blue'],
  );
});

test('select and exclude reach into what is included', async () => {
  const team = await new Team({ name: 'red', rank: 1 }).save(null, MASTER);
  const post = await new Parse.Object('Post', { team, text: 'hello' }).save(null, MASTER);
  const query = () => new Parse.Query('Post').include('team').equalTo('objectId', post.id);
  const selected = await query()
    .select('team.name')
    .first({ ...MASTER, json: true });
  assert.deepEqual([selected.team.name, selected.team.rank], ['red', undefined]);
  assert.equal(selected.text, undefined);
  const excluded = await query()
    .exclude('team.name')
    .first({ ...MASTER, json: true });
  assert.deepEqual([excluded.team.name, excluded.team.rank], [undefined, 1]);
  assert.equal(excluded.text, 'hello');
});

test('objects that point to each other are saved and included', async () => {
  const home = await new Team({ name: 'home' }).save(null, MASTER);
  const away = await new Team({ name: 'away', rival: home }).save(null, MASTER);
  await home.save({ rival: away }, MASTER);
  const found = await new Parse.Query(Team).include('rival.rival').get(home.id, MASTER);
  assert.equal(found.get('rival').get('rival').get('name'), 'home');
});

test('saving an object saves the new ones that it points to', async () => {
  const team = new Team({ name: word(), town: new Parse.Object('Town', { name: 'Oslo' }) });
  await team.save(null, MASTER);
  const found = await new Parse.Query('Town').get(team.get('town').id, MASTER);
  assert.equal(found.get('name'), 'Oslo');
});

test('saveAll in several batches, each and findAll walk over all', async () => {
  const mark = word();
  const many = Array.from({ length: 130 }, (_, n) => new Team({ mark, n }));
  await Parse.Object.saveAll(many, MASTER);
  assert.equal(await teams(mark).count(MASTER), 130);
  assert.equal((await teams(mark).find(MASTER)).length, 100, 'the limit that Parse has by default');
  assert.equal((await teams(mark).limit(1000).find(MASTER)).length, 130);
  const walked = [];
  await teams(mark).each(team => {
    walked.push(team);
  }, MASTER);
  assert.deepEqual(ids(walked), ids(many));
  assert.equal((await teams(mark).findAll(MASTER)).length, 130);
  await Parse.Object.destroyAll(many, MASTER);
  assert.equal(await teams(mark).count(MASTER), 0);
});

test('fetchAll reads many at once', async () => {
  const many = await Parse.Object.saveAll(
    [1, 2, 3].map(n => new Team({ n })),
    MASTER,
  );
  const blank = many.map(team => Team.createWithoutData(team.id));
  await Parse.Object.fetchAll(blank, MASTER);
  assert.deepEqual(
    blank.map(team => team.get('n')),
    [1, 2, 3],
  );
});

test('a save of what was deleted is told', async () => {
  const team = await new Team({ n: 1 }).save(null, MASTER);
  await Team.createWithoutData(team.id).destroy(MASTER);
  await refused(team.save({ n: 2 }, MASTER), Parse.Error.OBJECT_NOT_FOUND);
});

test('of many, those that are gone are told, and the others are done', async () => {
  const [gone, there] = await Parse.Object.saveAll([new Team(), new Team()], MASTER);
  await Team.createWithoutData(gone.id).destroy(MASTER);
  const blank = [gone, there].map(team => Team.createWithoutData(team.id));
  await refused(Parse.Object.fetchAll(blank, MASTER), Parse.Error.OBJECT_NOT_FOUND);
  const failed = await Parse.Object.destroyAll([gone, there], MASTER).catch(error => error);
  assert.equal(failed.code, Parse.Error.AGGREGATE_ERROR);
  assert.deepEqual(
    failed.errors.map(error => [error.code, error.object.id]),
    [[Parse.Error.OBJECT_NOT_FOUND, gone.id]],
  );
  await refused(new Parse.Query(Team).get(there.id, MASTER), Parse.Error.OBJECT_NOT_FOUND);
});

test('a relation changes both ways in one save, and holds one class', async () => {
  const [red, blue] = await Parse.Object.saveAll([new Team(), new Team()], MASTER);
  const post = new Parse.Object('Post');
  post.relation('about').add(red);
  await post.save(null, MASTER);
  post.relation('about').add(blue);
  post.relation('about').remove(red);
  await post.save(null, MASTER);
  await finds(post.relation('about').query(), [blue]);
  const town = await new Parse.Object('Town').save(null, MASTER);
  const body = { about: { __op: 'AddRelation', objects: [town.toPointer()] } };
  await rejects(rest('PUT', `classes/Post/${post.id}`, { body }), Parse.Error.INCORRECT_TYPE);
});

test('a request of an SDK that marks its requests is taken once', async () => {
  Parse.CoreManager.set('IDEMPOTENCY', true);
  try {
    const team = await new Team({ n: 1 }).save(null, MASTER);
    await team.increment('n').save(null, MASTER);
    await team.increment('n').save(null, MASTER);
    assert.equal((await new Parse.Query(Team).get(team.id, MASTER)).get('n'), 3);
  } finally {
    Parse.CoreManager.set('IDEMPOTENCY', false);
  }
});

test('the SDK saves a user without a password, but not one with', async () => {
  const user = await new Parse.User({ username: word('u') }).save(null, MASTER);
  await user.save({ plan: 'pro' }, MASTER);
  assert.equal((await new Parse.Query(Parse.User).get(user.id, MASTER)).get('plan'), 'pro');
  const secret = new Parse.User({ username: word('u'), password: 'secret' });
  await refused(secret.save(null, MASTER), Parse.Error.COMMAND_UNAVAILABLE, /Parse Server/);
});

test('a user is an object without a password', async () => {
  const user = await new Parse.Object('_User', { username: word('u'), plan: 'pro' }).save(
    null,
    MASTER,
  );
  const [object] = await installed(ios({ user }));
  await finds(
    installations().matchesQuery(
      'user',
      new Parse.Query(Parse.User).equalTo('username', user.get('username')),
    ),
    [object],
  );
});

// ---- access

function acl(...readers) {
  const made = new Parse.ACL();
  for (const reader of readers)
    reader === '*' ? made.setPublicReadAccess(true) : made.setReadAccess(reader, true);
  return made;
}

let open, hidden, readable;
const mark = word('acl');

before(async () => {
  open = new Team({ mark });
  hidden = new Team({ mark });
  hidden.setACL(acl('someuser01'));
  readable = new Team({ mark });
  readable.setACL(acl('*'));
  await Parse.Object.saveAll([open, hidden, readable], MASTER);
});

test('the master sees every row, a client those that all may read', async () => {
  await finds(teams(mark), [open, hidden, readable]);
  await finds(teams(mark), [open, readable], {});
  assert.equal(await teams(mark).count(), 2);
  await refused(new Parse.Query(Team).get(hidden.id), Parse.Error.OBJECT_NOT_FOUND);
});

test('a client changes and deletes only what all may write', async () => {
  const clientOf = team => Team.createWithoutData(team.id);
  await clientOf(open).save({ note: 'by a client' });
  await refused(clientOf(readable).save({ note: 'x' }), Parse.Error.OBJECT_NOT_FOUND);
  await refused(clientOf(hidden).save({ note: 'x' }), Parse.Error.OBJECT_NOT_FOUND);
  await refused(clientOf(readable).destroy(), Parse.Error.OBJECT_NOT_FOUND);
  await readable.fetch(MASTER);
  assert.equal(readable.has('note'), false);
});

test('a client creates an object, and an ACL comes back', async () => {
  const team = new Team({ mark: word() });
  const rights = new Parse.ACL();
  rights.setPublicReadAccess(true);
  rights.setRoleWriteAccess('admins', true);
  team.setACL(rights);
  await team.save();
  const found = await new Parse.Query(Team).get(team.id);
  assert.deepEqual(found.getACL().toJSON(), {
    '*': { read: true },
    'role:admins': { write: true },
  });
});

test('an installation that is hidden is not there for a client', async () => {
  const [object] = await installed(ios({ ACL: acl('someuser01').toJSON() }));
  const path = `classes/_Installation/${object.id}`;
  await rejects(rest('GET', path, { key: 'rest' }), Parse.Error.OBJECT_NOT_FOUND);
  const changed = rest('PUT', path, { key: 'rest', body: { appVersion: '5' } });
  await rejects(changed, Parse.Error.OBJECT_NOT_FOUND);
  assert.equal((await rest('GET', path)).status, 200);
});

test('what an inner query reads is what its caller may read', async () => {
  const post = word('post');
  const posts = await Parse.Object.saveAll(
    [open, hidden].map(team => new Parse.Object('Post', { post, team })),
    MASTER,
  );
  const query = () =>
    new Parse.Query('Post').equalTo('post', post).matchesQuery('team', teams(mark));
  await finds(query(), posts);
  await finds(query(), posts.slice(0, 1), {});
});

test('include leaves out what a client may not read', async () => {
  const post = word('post');
  await new Parse.Object('Post', { post, team: hidden }).save(null, MASTER);
  const json = await new Parse.Query('Post')
    .equalTo('post', post)
    .include('team')
    .first({ json: true });
  assert.equal(json.team?.mark, undefined);
});
