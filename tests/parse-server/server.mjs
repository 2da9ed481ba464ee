// A Parse Server as its users run one; PARSE_SERVER has, as JSON, what is special about it.
// It is ready when /parse/health says so, and ends when its stdin does.
import { createServer } from 'node:http';

import express from 'express';
import { ParseServer } from 'parse-server';

const { port, database, options } = JSON.parse(process.env.PARSE_SERVER);

/** Cloud Code as apps have it: who calls it needs no right to push. */
function cloud(Parse) {
  Parse.Cloud.define('announce', async ({ params: { where, ...push } }) => {
    if (where) push.where = Parse.Query.fromJSON('_Installation', { where });
    return Parse.Push.send(push, { useMasterKey: true });
  });
}

process.stdin.resume().on('end', () => process.exit(0));
const server = new ParseServer({
  ...options,
  databaseURI: 'postgres://',
  // A URI cannot name a socket's directory; what the driver is given beside it can.
  databaseOptions: database,
  serverURL: `http://127.0.0.1:${port}/parse`,
  cloud,
});
await server.start();
createServer(express().use('/parse', server.app)).listen(port, '127.0.0.1');
