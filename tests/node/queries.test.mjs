// The query language as the SDK speaks it, over installations and over objects of any class.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { MASTER, Parse, finds, installations, installed, ios, word } from './stage.mjs';

const point = (latitude, longitude) => new Parse.GeoPoint(latitude, longitude);
const MOMENT = new Date('2020-03-01T12:00:00Z');

// Names are given to the rows; a query's rows are written by their names.
const FIELDS = {
  berlin: {
    city: 'Berlin',
    n: 1,
    tags: ['a', 'b'],
    day: MOMENT,
    at: point(52.52, 13.4),
    prefs: { news: { hour: 7 } },
  },
  bern: {
    city: 'Bern',
    n: 2,
    tags: ['b'],
    day: new Date(+MOMENT + 1),
    at: point(46.95, 7.45),
    prefs: { news: { hour: 9 } },
  },
  suva: { city: 'Suva', n: 2.5, tags: ['a', 'b', 'c'], at: point(-18.14, 178.44), prefs: {} },
  apia: { city: 'apia', n: -1, tags: [], at: point(-13.83, -171.76) },
  nowhere: { city: 'a*b\\Ec.d', nothing: null },
};
const names = Object.keys(FIELDS);
const rows = {};
let teams;

before(async () => {
  teams = await Parse.Object.saveAll(
    ['red', 'blue', 'green'].map(
      (name, rank) =>
        new Parse.Object('Team', { name, rank, city: ['Berlin', 'Bern', 'Rome'][rank] }),
    ),
    MASTER,
  );
  const [red, blue] = teams;
  FIELDS.berlin.team = red;
  FIELDS.berlin.teams = [red, blue];
  FIELDS.bern.team = blue;
  const objects = await installed(...names.map(name => ios(FIELDS[name])));
  names.forEach((name, place) => {
    rows[name] = objects[place];
  });
  rows.suva.relation('follows').add([red, blue]);
  rows.apia.relation('follows').add(blue);
  await Parse.Object.saveAll([rows.suva, rows.apia], MASTER);
});

const q = installations;
const team = () => new Parse.Query('Team');
const all = but => names.filter(name => !but.includes(name));

const CASES = {
  'equalTo text': [() => q().equalTo('city', 'Bern'), ['bern']],
  'equalTo is strict about types': [() => q().equalTo('n', '1'), []],
  'equalTo an item of a list': [() => q().equalTo('tags', 'a'), ['berlin', 'suva']],
  'equalTo null: missing, or null': [() => q().equalTo('team', null), ['suva', 'apia', 'nowhere']],
  'equalTo a pointer': [() => q().equalTo('team', teams[0]), ['berlin']],
  'equalTo a pointer in a list': [() => q().equalTo('teams', teams[1]), ['berlin']],
  'equalTo a Date': [() => q().equalTo('day', MOMENT), ['berlin']],
  'equalTo a dotted key': [() => q().equalTo('prefs.news.hour', 9), ['bern']],
  notEqualTo: [() => q().notEqualTo('n', 2), all(['bern'])],
  'notEqualTo an item': [() => q().notEqualTo('tags', 'a'), ['bern', 'apia', 'nowhere']],
  lessThan: [() => q().lessThan('n', 2), ['berlin', 'apia']],
  lessThanOrEqualTo: [() => q().lessThanOrEqualTo('n', 2), ['berlin', 'bern', 'apia']],
  greaterThan: [() => q().greaterThan('n', 2), ['suva']],
  'greaterThan a Date': [() => q().greaterThan('day', MOMENT), ['bern']],
  'a range': [() => q().greaterThanOrEqualTo('n', 1).lessThan('n', 2.5), ['berlin', 'bern']],
  containedIn: [() => q().containedIn('city', ['Bern', 'Suva', 'Rome']), ['bern', 'suva']],
  'containedIn on a list': [() => q().containedIn('tags', ['c', 'z']), ['suva']],
  'containedIn null': [() => q().containedIn('team', [null]), ['suva', 'apia', 'nowhere']],
  'containedIn pointers': [() => q().containedIn('team', teams), ['berlin', 'bern']],
  notContainedIn: [() => q().notContainedIn('n', [1, 2]), ['suva', 'apia', 'nowhere']],
  'notContainedIn nothing': [() => q().notContainedIn('n', []), names],
  containsAll: [() => q().containsAll('tags', ['a', 'b']), ['berlin', 'suva']],
  'containsAll, twice the same': [
    () => q().containsAll('tags', ['b', 'b']),
    ['berlin', 'bern', 'suva'],
  ],
  'containsAll nothing': [() => q().containsAll('tags', []), []],
  containsAllStartingWith: [() => q().containsAllStartingWith('tags', ['a', 'c']), ['suva']],
  containedBy: [
    () => q().containedBy('tags', ['a', 'b', 'x']),
    ['berlin', 'bern', 'apia', 'nowhere'],
  ],
  exists: [() => q().exists('day'), ['berlin', 'bern']],
  'exists: a stored null': [() => q().exists('nothing'), ['nowhere']],
  doesNotExist: [() => q().doesNotExist('n'), ['nowhere']],
  'exists in an object': [() => q().exists('prefs.news'), ['berlin', 'bern']],
  startsWith: [() => q().startsWith('city', 'Ber'), ['berlin', 'bern']],
  'startsWith takes no pattern': [() => q().startsWith('city', 'B.r'), []],
  'startsWith with the end of a quotation in it': [
    () => q().startsWith('city', 'a*b\\Ec'),
    ['nowhere'],
  ],
  endsWith: [() => q().endsWith('city', 'a'), ['suva', 'apia']],
  contains: [() => q().contains('city', '*b'), ['nowhere']],
  matches: [() => q().matches('city', /^B.r(n|lin)$/), ['berlin', 'bern']],
  'matches with modifiers': [() => q().matches('city', 'APIA', 'i'), ['apia']],
  'matches in a list': [() => q().matches('tags', /^[c-z]$/), ['suva']],
  or: [() => Parse.Query.or(q().equalTo('n', 1), q().equalTo('city', 'apia')), ['berlin', 'apia']],
  and: [() => Parse.Query.and(q().greaterThan('n', 1), q().equalTo('tags', 'a')), ['suva']],
  nor: [
    () => Parse.Query.nor(q().greaterThan('n', 1), q().equalTo('city', 'apia')),
    ['berlin', 'nowhere'],
  ],
  'or beside other keys': [
    () => Parse.Query.or(q().equalTo('n', 1), q().equalTo('n', 2)).equalTo('tags', 'a'),
    ['berlin'],
  ],
  matchesQuery: [() => q().matchesQuery('team', team().greaterThan('rank', 0)), ['bern']],
  'matchesQuery on a list': [
    () => q().matchesQuery('teams', team().equalTo('name', 'blue')),
    ['berlin'],
  ],
  'matchesQuery without rows': [() => q().matchesQuery('team', team().equalTo('name', 'pink')), []],
  doesNotMatchQuery: [
    () => q().doesNotMatchQuery('team', team().equalTo('name', 'red')),
    all(['berlin']),
  ],
  'doesNotMatchQuery without rows': [
    () => q().doesNotMatchQuery('team', team().equalTo('name', 'pink')),
    names,
  ],
  matchesKeyInQuery: [() => q().matchesKeyInQuery('city', 'city', team()), ['berlin', 'bern']],
  doesNotMatchKeyInQuery: [
    () => q().doesNotMatchKeyInQuery('city', 'city', team().equalTo('name', 'red')),
    all(['berlin']),
  ],
  'equalTo on a relation': [() => q().equalTo('follows', teams[0]), ['suva']],
  'matchesQuery on a relation': [
    () => q().matchesQuery('follows', team().equalTo('name', 'blue')),
    ['suva', 'apia'],
  ],
  withinMiles: [() => q().withinMiles('at', point(52.5, 13.4), 2), ['berlin']],
  withinKilometers: [() => q().withinKilometers('at', point(50, 10), 500), ['berlin', 'bern']],
  'withinKilometers over the antimeridian': [
    () => q().withinKilometers('at', point(-16, -178), 900),
    ['suva', 'apia'],
  ],
  withinRadians: [() => q().withinRadians('at', point(46.95, 7.45), 0.001), ['bern']],
  'withinKilometers, unsorted': [
    () => q().withinKilometers('at', point(50, 10), 500, false),
    ['berlin', 'bern'],
  ],
  withinGeoBox: [() => q().withinGeoBox('at', point(45, 5), point(53, 14)), ['berlin', 'bern']],
  'withinGeoBox over the antimeridian': [
    () => q().withinGeoBox('at', point(-20, 177), point(-10, -170)),
    ['suva', 'apia'],
  ],
  withinPolygon: [
    () => q().withinPolygon('at', [point(45, 5), point(45, 9), point(49, 9), point(49, 5)]),
    ['bern'],
  ],
  'withinPolygon of a Polygon': [
    () =>
      q().withinPolygon(
        'at',
        new Parse.Polygon([
          [5, 45],
          [5, 49],
          [9, 49],
          [9, 45],
        ]),
      ),
    ['bern'],
  ],
  'a time that is told from now': [
    () => q().lessThan('day', { $relativeTime: '1 day ago' }),
    ['berlin', 'bern'],
  ],
  fullText: [() => q().fullText('city', 'berlin'), ['berlin']],
  'by objectId': [() => q().equalTo('objectId', rows.bern.id), ['bern']],
  'by several objectIds': [
    () => q().containedIn('objectId', [rows.bern.id, rows.apia.id]),
    ['bern', 'apia'],
  ],
  'by createdAt': [
    () => q().greaterThanOrEqualTo('createdAt', rows.bern.createdAt).equalTo('city', 'Bern'),
    ['bern'],
  ],
};

for (const [name, [query, found]] of Object.entries(CASES)) {
  test(name, async () => {
    await finds(
      query(),
      found.map(one => rows[one]),
    );
  });
}

test('near sorts by distance, and is limited', async () => {
  const found = await q().withinKilometers('at', point(47, 8), 2_000).limit(2).find(MASTER);
  assert.deepEqual(
    found.map(row => row.get('city')),
    ['Bern', 'Berlin'],
  );
});

test('near without a bound reaches a hundred miles', async () => {
  await finds(q().near('at', point(47, 8)), [rows.bern]);
});

test('polygonContains: areas that hold a point', async () => {
  const square = new Parse.Polygon([
    [0, 0],
    [0, 10],
    [10, 10],
    [10, 0],
  ]);
  const other = new Parse.Polygon([
    [20, 20],
    [20, 30],
    [30, 30],
    [30, 20],
  ]);
  const [inside] = await Parse.Object.saveAll(
    [square, other].map(area => new Parse.Object('Area', { area })),
    MASTER,
  );
  await finds(new Parse.Query('Area').polygonContains('area', point(5, 5)), [inside]);
});

test('a query over objects leads to objects, too', async () => {
  const mark = word();
  const posts = await Parse.Object.saveAll(
    teams.map(one => new Parse.Object('Post', { mark, team: one })),
    MASTER,
  );
  const ranked = team().greaterThan('rank', 0);
  await finds(
    new Parse.Query('Post').equalTo('mark', mark).matchesQuery('team', ranked),
    posts.slice(1),
  );
  await finds(
    team().matchesKeyInQuery(
      'objectId',
      'team.objectId',
      new Parse.Query('Post').equalTo('mark', mark).equalTo('team', teams[2]),
    ),
    [teams[2]],
  );
});

test('ascending, descending, skip and limit', async () => {
  const cities = async query => (await query.find(MASTER)).map(row => row.get('city'));
  assert.deepEqual(await cities(q().exists('n').ascending('n')), [
    'apia',
    'Berlin',
    'Bern',
    'Suva',
  ]);
  assert.deepEqual(await cities(q().exists('n').descending('n').skip(1).limit(2)), [
    'Bern',
    'Berlin',
  ]);
  assert.deepEqual(await cities(q().exists('n').ascending('missing').addDescending('n').limit(1)), [
    'Suva',
  ]);
});

test('count, first, get, select, exclude, withCount, distinct rows by each and findAll', async () => {
  const { deepEqual, equal } = assert;
  const some = () => q().exists('n');
  equal(await some().count(MASTER), 4);
  equal((await some().descending('n').first(MASTER)).id, rows.suva.id);
  equal((await q().get(rows.bern.id, MASTER)).get('city'), 'Bern');
  const [selected] = await q().equalTo('city', 'Bern').select('n').find(MASTER);
  deepEqual([selected.get('n'), selected.get('city'), selected.id], [2, undefined, rows.bern.id]);
  const [without] = await q().equalTo('city', 'Bern').exclude('n').find(MASTER);
  deepEqual([without.get('n'), without.get('city')], [undefined, 'Bern']);
  const counted = await some().limit(1).withCount().find(MASTER);
  deepEqual([counted.count, counted.results.length], [4, 1]);
  const walked = [];
  await some().each(
    row => {
      walked.push(row.id);
    },
    { ...MASTER, batchSize: 2 },
  );
  deepEqual(
    walked.toSorted(),
    ['berlin', 'bern', 'suva', 'apia'].map(name => rows[name].id).toSorted(),
  );
  equal((await some().findAll({ ...MASTER, batchSize: 3 })).length, 4);
});
