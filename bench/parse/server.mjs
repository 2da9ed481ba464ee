// A Parse Server with one of the two push adapters, for as long as its stdin is open.
//
// node server.mjs '{"adapter": "stock", "batchSize": 100, "database": {"host", "database", "user"},
// "applicationId", "masterKey", "options": {...}}'; its first line on stdout is {"url", "mount"}.

import { createRequire } from 'node:module';
import ParsePushAdapter from '@parse/push-adapter';
import { ParseServer } from 'parse-server';

const require = createRequire(import.meta.url);
const MOUNT = '/parse';

const ADAPTERS = {
  stock: (options) => new ParsePushAdapter(options),
  ours: (options) => {
    const PushsvcAdapter = require('../../adapters/parse-server');
    return new PushsvcAdapter(options);
  },
};

const setup = JSON.parse(process.argv[2]);
const { adapter, options, batchSize, database, applicationId, masterKey } = setup;

process.stdin.on('end', () => process.exit(0)).resume();
const started = await ParseServer.startApp({
  appId: applicationId,
  masterKey,
  databaseURI: 'postgres://localhost',
  databaseOptions: database,
  push: { adapter: ADAPTERS[adapter](options), queueOptions: { batchSize } },
  host: '127.0.0.1',
  port: 0,
  mountPath: MOUNT,
  serverURL: `http://127.0.0.1${MOUNT}`,
  verifyServerUrl: false,
  silent: true,
});
const { port } = started.server.address();
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}`, mount: MOUNT }));
