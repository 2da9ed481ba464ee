'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { ParseAPI } = require('../lib/parse');
const { json, serving } = require('./stage');

/** What a find rejects with, when Parse Server, or what is in its place, answers so. */
async function refusal(t, answer) {
  const server = await serving(t, answer);
  const keys = { applicationId: 'app', masterKey: 'master' };
  const parse = new ParseAPI({ serverURL: server.url, ...keys });
  t.after(() => parse.close());
  return parse.find('_PushStatus', { where: {} }).catch(({ message }) => message);
}

test('a master key that is wrong, or not allowed from here, is named', async t => {
  const answers = [
    json({ code: 119, error: 'Permission denied' }, 400),
    json({ error: 'unauthorized' }, 403),
  ];
  const told = /--master-key\) and .*--application-id\) right, .*masterKeyIps/;
  for (const answer of answers) assert.match(await refusal(t, answer), told);
});

test('an address without its mount is named, with one that has it', async t => {
  const html = (request, response) => response.writeHead(404).end('<pre>Cannot GET /</pre>');
  const told = /--parse-server-url\) is one with its mount, .*localhost:1337\/parse$/;
  for (const answer of [html, json('ok')]) assert.match(await refusal(t, answer), told);
});

test('of what Parse Server says itself nothing is made', async t => {
  const told = await refusal(t, json({ code: 102, error: 'bad query' }, 400));
  assert.equal(told, 'Parse Server answered 400: bad query');
});
