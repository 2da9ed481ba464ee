'use strict';

// What the tests share: servers on loopback that do what a test wants, and pushsvc's answers.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { gunzipSync } = require('node:zlib');

const { Service } = require('../lib/service');

/** Words by which Parse Server takes a token out of use. */
const PRUNING = ['NotRegistered', 'InvalidRegistration', 'Unregistered', 'BadDeviceToken'];

/**
 * Serve until the test ends. Each handler answers one request, the last of them all that follow.
 * @param {object} t the test's context
 * @param {...(request: object, response: object) => void} handlers a request has its `text`
 * @returns {Promise<{url: string, requests: object[]}>}
 */
async function serving(t, ...handlers) {
  const requests = [];
  const server = http.createServer((request, response) => {
    const pieces = [];
    request.on('data', piece => pieces.push(piece));
    request.on('end', () => {
      const bytes = Buffer.concat(pieces);
      const zipped = request.headers['content-encoding'] === 'gzip';
      request.text = (zipped ? gunzipSync(bytes) : bytes).toString('utf8');
      const handler = handlers[Math.min(requests.length, handlers.length - 1)];
      requests.push(request);
      handler(request, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** An address where nobody listens. */
async function nowhere() {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

function client(t, url, options = {}) {
  const limits = { timeoutMs: 5_000, connections: 4, ...options };
  const service = new Service({ serverURL: url, apiKey: 'key', ...limits });
  t.after(() => service.close());
  return service;
}

// ---- answers

const SENT = { outcome: 'sent', class: 'ok', reason: null };
const OPEN = { outcome: null, class: null, reason: null };

const json = (document, status = 200, headers = {}) => (request, response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(document));
};

const delivery = (results, rest = {}) => ({
  id: 'Qk3',
  group: 'k3JxQ',
  state: 'done',
  pending: results.filter(result => result.outcome === null).length,
  tokens_held: [],
  results: results.map(result => ({ id: null, ...result })),
  ...rest,
});

/** Answer for as many recipients as the request has. */
const all = (result, rest) => (request, response) => {
  const { recipients } = JSON.parse(request.text);
  json(delivery(recipients.map(() => result), rest))(request, response);
};

const failing = (status, headers) => json({ code: 'failing', detail: 'it fails' }, status, headers);

const MISBEHAVIOURS = {
  'answers 500': failing(500),
  'answers garbage': (request, response) => response.end('<html>Welcome to nginx</html>'),
  'answers something else': json({ status: 'ok' }),
  'answers half a body': (request, response) => {
    response.writeHead(200, { 'content-length': 1_000 });
    response.write('{"id": "Qk3", "pend', () => response.socket.destroy());
  },
  'closes when it has the request': request => request.socket.destroy(),
  'answers without HTTP': request => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
  'answers too much': (request, response) => response.end(Buffer.alloc(9 * 1024 * 1024, ' ')),
  'does not answer': () => {},
};

// ---- Parse Server, as far as counts go

/**
 * Serve rows of _PushStatus by REST, with the operations that the adapter uses.
 * @returns {Promise<{url: string, requests: object[], rows: Map<string, object>}>}
 */
async function servingParse(t, ...statuses) {
  const rows = new Map(statuses.map(row => [row.objectId, row]));
  const server = await serving(t, (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://parse');
    const objectId = pathname.replace('/classes/_PushStatus', '').slice(1);
    const row = rows.get(objectId);
    if (request.headers['x-parse-master-key'] !== 'master') {
      return json({ error: 'unauthorized' }, 403)(request, response);
    }
    if (objectId === '') {
      const { updatedAt, ...where } = JSON.parse(searchParams.get('where'));
      assert.deepEqual(where, { 'errorMessage.pushsvcOpen': 'yes' });
      const results = [...rows.values()].filter(
        each => isOpen(each) && !(each.updatedAt >= updatedAt?.$lt.iso),
      );
      return json({ results })(request, response);
    }
    if (!row) return json({ code: 101, error: 'Object not found.' }, 404)(request, response);
    if (request.method === 'PUT') change(row, JSON.parse(request.text));
    return json(row)(request, response);
  });
  return { ...server, rows };
}

const FIELDS = ['numSent', 'numFailed', 'sentPerType', 'failedPerType', 'errorMessage'];

/** Whether the counts of a status are marked as not final. */
const isOpen = row => row.errorMessage?.pushsvcOpen === 'yes';

function change(row, changes) {
  for (const [key, value] of Object.entries(changes)) {
    const [field, under] = key.split('.');
    // Parse Server takes no fields of others in this class.
    assert.ok(FIELDS.includes(field), field);
    if (under === undefined) row[field] = value;
    else row[field] = { ...row[field], [under]: value };
    if (value?.__op === 'Delete') delete row[field][under];
  }
  row.updatedAt = new Date().toISOString();
}

/** Wait until the fact is true. */
async function until(fact, what) {
  const deadline = performance.now() + 10_000;
  while (!fact()) {
    assert.ok(performance.now() < deadline, `did not come about: ${what}`);
    await new Promise(setImmediate);
  }
}

module.exports = {
  MISBEHAVIOURS,
  OPEN,
  PRUNING,
  SENT,
  all,
  client,
  delivery,
  failing,
  isOpen,
  json,
  nowhere,
  serving,
  servingParse,
  until,
};
