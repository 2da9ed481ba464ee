'use strict';

// A Parse Server and a pushsvc, as far as the scheduler goes, and runners that can be killed.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');

const { runScheduled } = require('..');
const { json, serving } = require('./stage');

const STATUSES = '_PushStatus';
// What Parse Server's schema has: it takes no other fields.
const FIELDS = [
  ...['status', 'count', 'numSent', 'numFailed', 'sentPerType', 'failedPerType'],
  ...['failedPerUTCOffset', 'errorMessage'],
];
/** The time in these tests, far from that of the machine. */
const NOW = Date.parse('2030-03-01T12:00:00Z');
const DEADLINE_MS = 10_000;

/**
 * Parse Server's REST API over two tables, with a clock of its own. Runners differ by their key.
 */
class FakeParse {
  tables = { [STATUSES]: new Map(), _Installation: new Map() };
  /** What becomes of a request before and after it is done; a test may replace it. */
  gate = async () => {};
  now = NOW;
  /** Parse Server's `maxLimit`, which it applies without a word. */
  maxLimit = Infinity;
  #began = performance.now();

  answer = async (request, response) => {
    const asked = read(request);
    try {
      await this.gate('before', asked);
      const [status, document] = this.#done(asked);
      await this.gate('after', asked);
      response.setHeader('date', new Date(this.time()).toUTCString());
      json(document, status)(request, response);
    } catch (error) {
      // A killed runner hears nothing; a fault of the test's is to be seen.
      if (error !== KILLED) console.error(error);
      request.socket.destroy();
    }
  };

  time() {
    return this.now + performance.now() - this.#began;
  }

  save(className, row) {
    const createdAt = new Date(NOW).toISOString();
    this.tables[className].set(row.objectId, { createdAt, updatedAt: createdAt, ...row });
    return row.objectId;
  }

  status(id = 'push000001') {
    return this.tables[STATUSES].get(id);
  }

  #done({ method, parts, body, query }) {
    const [, className, id] = parts;
    const table = this.tables[className];
    if (id === undefined) return answered(table, body ?? query, this.maxLimit);
    const row = table.get(id);
    if (!row) return [404, { code: 101, error: 'Object not found.' }];
    return method === 'PUT' ? changed(row, body) : [200, row];
  }
}

function read(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://parse');
  const query = Object.fromEntries(searchParams);
  if (query.where) query.where = JSON.parse(query.where);
  return {
    method: request.method,
    parts: pathname.split('/').slice(1),
    query,
    body: request.text ? JSON.parse(request.text) : undefined,
    runner: request.headers['x-parse-master-key'] ?? request.headers.authorization.slice(7),
  };
}

function answered(table, question, maxLimit) {
  const bad = /"(\$bad)"/.exec(JSON.stringify(question.where));
  if (bad) return [400, { code: 107, error: `bad constraint: ${bad[1]}` }];
  const limit = Math.min(maxLimit, Number(question.limit));
  const keys = question.keys ? [...question.keys.split(','), 'objectId'] : null;
  const rows = found(table, question.where, limit);
  const kept = row => Object.fromEntries(Object.entries(row).filter(([key]) => keys.includes(key)));
  return [200, { results: keys ? rows.map(kept) : rows }];
}

function found(table, where, limit) {
  assert.ok(where && limit > 0);
  const rows = [...table.values()].filter(row => matches(row, where));
  rows.sort((a, b) => (a.objectId < b.objectId ? -1 : 1));
  return rows.slice(0, limit);
}

const OPERATORS = {
  $exists: (value, wanted) => (value !== undefined) === wanted,
  $gt: (value, bound) => value > bound,
  $lt: (value, bound) => value < bound,
  $lte: (value, bound) => value <= bound,
  $in: (value, list) => [value].flat().some(each => list.includes(each)),
};

function matches(row, where) {
  return Object.entries(where).every(([key, wanted]) => {
    if (key === '$and') return wanted.every(each => matches(row, each));
    if (key === '$or') return wanted.some(each => matches(row, each));
    if (typeof wanted !== 'object') return row[key] === wanted;
    return Object.entries(wanted).every(([name, value]) => OPERATORS[name](row[key], value));
  });
}

function changed(row, changes) {
  const unknown = Object.keys(changes).find(key => !FIELDS.includes(key.split('.')[0]));
  if (unknown) return [400, { code: 107, error: `Could not add field ${unknown}` }];
  const made = {};
  for (const [key, value] of Object.entries(changes)) {
    const [field, under] = key.split('.');
    if (value?.__op === 'Delete' && under === undefined) delete row[field];
    else if (value?.__op === 'Delete') delete row[field][under];
    else if (under !== undefined) row[field] = { ...row[field], [under]: value };
    else if (value?.__op === 'Increment') row[field] = (row[field] ?? 0) + value.amount;
    else row[field] = value;
    if (value?.__op === 'Increment') made[field] = row[field];
  }
  return [200, made];
}

/** pushsvc: what was accepted, once for each key, and a ledger of what devices got. */
class FakeService {
  gate = async () => {};
  /** Deliveries are open until a test says that they are not. */
  open = 0;
  deliveries = new Map();
  #clock;

  constructor(clock) {
    this.#clock = clock;
  }

  answer = async (request, response) => {
    const asked = read(request);
    try {
      await this.gate('before', asked);
      const [status, document] = this.#done(asked, request.headers['idempotency-key']);
      await this.gate('after', asked);
      json(document, status)(request, response);
    } catch (error) {
      if (error !== KILLED) console.error(error);
      request.socket.destroy();
    }
  };

  /** Who got what, in the order of their ids, as `sent` has it. */
  ledger(sent = ({ recipient }) => recipient.id) {
    const all = [...this.deliveries.values()].flatMap(({ at, body }) =>
      body.recipients.map(recipient => ({ recipient, at, ...body })),
    );
    return all.sort((a, b) => (a.recipient.id < b.recipient.id ? -1 : 1)).map(sent);
  }

  #done({ method, parts, body }, key) {
    if (method === 'GET') return this.#group(parts.at(-1));
    const { wait_seconds: wait, ...told } = body;
    assert.equal(wait, 0);
    const hash = createHash('sha256').update(JSON.stringify(told)).digest('hex');
    const before = this.deliveries.get(key);
    if (before && before.hash !== hash) return [422, { code: 'idempotency_mismatch' }];
    if (!before) this.deliveries.set(key, { hash, body, at: this.#clock() });
    const results = body.recipients.map(({ id = null }) => ({ id, outcome: null }));
    return [202, { id: key, pending: results.length, results }];
  }

  #group(group) {
    const types = {};
    for (const { body } of this.deliveries.values()) {
      if (body.group !== group) continue;
      for (const { device_type: type } of body.recipients) {
        types[type] ??= { sent: 0 };
        types[type].sent += 1;
      }
    }
    if (Object.keys(types).length === 0) return [404, { code: 'not_found' }];
    return [200, { group, open: this.open, pending: 0, by_device_type: types }];
  }
}

const KILLED = new Error('killed');

/**
 * A Parse Server with a scheduled push, a pushsvc, and as many runners as a test wants.
 * @param {object} t the test's context
 * @param {object} [row] fields of the push
 * @param {object[]} [devices] fields of installations; their ids are a, b, c...
 */
async function world(t, row = {}, devices = [{}, {}, {}, {}, {}]) {
  const parse = new FakeParse();
  const service = new FakeService(() => parse.time());
  const parseServer = await serving(t, parse.answer);
  const serviceServer = await serving(t, service.answer);
  parse.save(STATUSES, scheduled(row));
  devices.forEach((fields, place) => parse.save('_Installation', device(place, fields)));
  const log = [];
  const run = (options = {}, name = 'runner') => {
    const running = runScheduled({
      serverURL: serviceServer.url,
      apiKey: name,
      parse: { serverURL: parseServer.url, applicationId: 'app', masterKey: name },
      pollMs: 10,
      leaseMs: 100,
      pageSize: 2,
      timeoutMs: 1_000,
      log: (level, message) => log.push(`${level} ${message}`),
      ...options,
    });
    t.after(() => running.stop());
    return running;
  };
  return { parse, service, run, log, url: { parse: parseServer.url, service: serviceServer.url } };
}

function scheduled(fields) {
  return {
    objectId: 'push000001',
    status: 'scheduled',
    pushTime: '2030-03-01T11:59:00.000Z',
    query: '{"channels":{"$in":["news"]}}',
    payload: '{"alert":"hello"}',
    numSent: 0,
    ...fields,
  };
}

function device(place, fields) {
  const objectId = String.fromCharCode(97 + place);
  const deviceToken = `token-${objectId}`;
  return { objectId, deviceType: 'ios', deviceToken, channels: ['news'], ...fields };
}

/** Wait until the fact is neither false nor nothing, and return it. */
async function until(fact, what) {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = fact();
    if (found) return found;
    assert.ok(performance.now() < deadline, `did not come about: ${what}`);
    await new Promise(wake => setTimeout(wake, 5));
  }
}

/** Wait until a push has its last status, and return its row. */
const ended = ({ parse }, id) =>
  until(() => {
    const row = parse.status(id);
    return ['succeeded', 'failed'].includes(row.status) && row;
  }, 'the push ended');

module.exports = { KILLED, NOW, STATUSES, device, ended, scheduled, until, world };
