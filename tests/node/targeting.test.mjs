// Who gets a push: every query of the push guide, held against what the gateways got.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import {
  MASTER,
  Parse,
  alerts,
  android,
  contents,
  installations,
  installed,
  ios,
  reaches,
  sent,
  succeeded,
  windows,
  word,
} from './stage.mjs';

const stadium = new Parse.GeoPoint(37.774, -122.419);

// Three people: one beside the stadium, one within its town but not within a mile, one far away.
const beside = new Parse.GeoPoint(37.78, -122.42);
const inTown = new Parse.GeoPoint(37.72, -122.46);
const farAway = new Parse.GeoPoint(40.73, -73.99);

let giants, mets, both, injuries, stranger, devices;
let near, town, far;

before(async () => {
  const [userNear, userTown, userFar] = [beside, inTown, farAway].map(
    location => new Parse.Object('_User', { username: word('u'), location }),
  );
  await Parse.Object.saveAll([userNear, userTown, userFar], MASTER);
  giants = ios({ channels: ['Giants'], scores: true, level: 3 });
  mets = android({ channels: ['Mets'], scores: true, level: 7 });
  both = windows({ channels: ['Giants', 'Mets'], scores: false, level: 10 });
  injuries = ios({ injuryReports: true, channels: ['Jets'], localeIdentifier: 'fr-FR' });
  stranger = android();
  near = ios({ user: userNear });
  town = android({ user: userTown });
  far = windows({ user: userFar });
  devices = [giants, mets, both, injuries, stranger, near, town, far];
  // Nobody can be sent to without a token, whatever the query.
  await installed(...devices, {
    ...ios({ channels: ['Giants'], scores: true }),
    deviceToken: undefined,
  });
});

const except = (...reached) => devices.filter(device => !reached.includes(device));
const where = build => ({ where: build(installations()) });

test('channels: whoever is subscribed to one of them, once', async () => {
  await reaches({ channels: ['Giants', 'Mets'] }, [giants, mets, both], except(giants, mets, both));
  assert.equal((await alerts(both)).length, 1);
});

test('an empty list of channels is nobody', async () => {
  succeeded(await sent({ channels: [], data: { alert: word() } }), 0);
});

test('equalTo a custom field', async () => {
  await reaches(
    where(q => q.equalTo('injuryReports', true)),
    [injuries],
    except(injuries),
  );
});

test('equalTo a channel and a custom field', async () => {
  await reaches(
    where(q => q.equalTo('channels', 'Giants').equalTo('scores', true)),
    [giants],
    except(giants),
  );
});

test('users within a mile of the stadium: matchesQuery over withinMiles', async () => {
  const userQuery = new Parse.Query(Parse.User).withinMiles('location', stadium, 1.0);
  await reaches(
    where(q => q.matchesQuery('user', userQuery)),
    [near],
    except(near),
  );
});

test('users within ten kilometres of the stadium', async () => {
  const userQuery = new Parse.Query(Parse.User).withinKilometers('location', stadium, 10);
  await reaches(
    where(q => q.matchesQuery('user', userQuery)),
    [near, town],
    except(near, town),
  );
});

test('doesNotMatchQuery: those of other users, and those of none', async () => {
  const userQuery = new Parse.Query(Parse.User).withinMiles('location', stadium, 1.0);
  await reaches(
    where(q => q.doesNotMatchQuery('user', userQuery)),
    except(near),
    [near],
  );
});

test('an inner query that finds nobody never widens the audience', async () => {
  const nobody = new Parse.Query(Parse.User).equalTo('username', 'nobody at all');
  succeeded(
    await sent({ ...where(q => q.matchesQuery('user', nobody)), data: { alert: word() } }),
    0,
  );
});

for (const [type, reached] of Object.entries({
  ios: () => [giants, injuries, near],
  android: () => [mets, stranger, town],
  winrt: () => [both, far],
})) {
  test(`by platform: deviceType ${type}`, async () => {
    await reaches(
      where(q => q.equalTo('deviceType', type)),
      reached(),
      except(...reached()),
    );
  });
}

test('notEqualTo: the others, and those who never had the field', async () => {
  await reaches(
    where(q => q.notEqualTo('scores', true)),
    except(giants, mets),
    [giants, mets],
  );
});

test('notEqualTo on a list: whoever is not subscribed', async () => {
  await reaches(
    where(q => q.notEqualTo('channels', 'Giants')),
    except(giants, both),
    [giants, both],
  );
});

test('containedIn and greaterThan on custom fields', async () => {
  await reaches(
    where(q => q.containedIn('level', [3, 10, 99])),
    [giants, both],
    except(giants, both),
  );
  await reaches(
    where(q => q.greaterThan('level', 3)),
    [mets, both],
    except(mets, both),
  );
  await reaches(
    where(q => q.lessThanOrEqualTo('level', 7)),
    [giants, mets],
    except(giants, mets),
  );
});

test('containedIn nothing is nobody', async () => {
  succeeded(await sent({ ...where(q => q.containedIn('level', [])), data: { alert: word() } }), 0);
});

test('exists and doesNotExist', async () => {
  await reaches(
    where(q => q.exists('level')),
    [giants, mets, both],
    except(giants, mets, both),
  );
  await reaches(
    where(q => q.doesNotExist('channels')),
    [stranger, near, town, far],
    [giants, mets, both, injuries],
  );
});

test('devices by their own place', async () => {
  const around = q => q.withinKilometers('at', new Parse.GeoPoint(51, 0), 1);
  const here = ios({ at: new Parse.GeoPoint(51.005, 0) });
  const there = ios({ at: new Parse.GeoPoint(51.5, 0) });
  await installed(here, there);
  await reaches(where(around), [here], [there]);
  const box = q => q.withinGeoBox('at', new Parse.GeoPoint(51.4, -1), new Parse.GeoPoint(52, 1));
  await reaches(where(box), [there], [here]);
  devices.push(here, there);
});

test('Parse.Query.or', async () => {
  const either = Parse.Query.or(
    installations().equalTo('injuryReports', true),
    installations().greaterThan('level', 9),
  );
  await reaches({ where: either }, [injuries, both], except(injuries, both));
});

test('startsWith a language', async () => {
  await reaches(
    where(q => q.startsWith('localeIdentifier', 'fr')),
    [injuries],
    except(injuries),
  );
});

test('an empty where is everyone who has a token', async () => {
  await reaches({ where: {} }, devices);
});

test('a push to three platforms has the same words on each', async () => {
  const data = { alert: word('words '), title: word('title'), route: { to: 'match', id: 7 } };
  await reaches({ channels: ['Giants', 'Mets'], data }, [giants, mets, both]);
  const last = async device => (await contents(device)).at(-1);
  assert.deepEqual(await last(giants), {
    aps: { alert: { title: data.title, body: data.alert } },
    route: data.route,
  });
  assert.deepEqual(await last(mets), data);
  const toast = await last(both);
  assert.ok(toast.includes(`<text>${data.title}</text><text>${data.alert}</text>`), toast);
});
