'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');

const { ended, until, world } = require('./scheduler_stage');

const COMMAND = path.resolve(__dirname, '../bin/pushsvc-parse-scheduler.js');

/** Start the command, as a test's own process. */
function started(t, args, environment = {}) {
  const child = spawn(process.execPath, [COMMAND, ...args], { env: environment });
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', piece => (output.text += piece));
  }
  t.after(() => child.kill('SIGKILL'));
  const exit = once(child, 'close').then(([code]) => code);
  return { child, exit, output };
}

const environmentOf = ({ url }) => ({
  PARSE_PUSHSVC_SERVER_URL: url.service,
  PARSE_PUSHSVC_API_KEY: 'key',
  PARSE_SERVER_URL: url.parse,
  PARSE_SERVER_APPLICATION_ID: 'app',
  PARSE_SERVER_MASTER_KEY: 'master',
});

test('it sends what is due, says so in a line, and ends soon after SIGTERM', async t => {
  const at = await world(t);
  const { child, exit, output } = started(t, ['--poll-ms', '20'], environmentOf(at));
  assert.equal((await ended(at)).numSent, 5);
  await until(() => /succeeded/.test(output.text), 'it was told');
  const signalled = performance.now();
  child.kill('SIGTERM');
  assert.equal(await exit, 0);
  assert.ok(performance.now() - signalled < 3_000);
  const lines = output.text.trim().split('\n');
  for (const line of lines) assert.match(line, /^\d{4}-\S+Z info pushsvc-parse-scheduler: /);
  assert.match(lines.at(-1), /push push000001: succeeded, 5 sent, 0 failed$/);
  assert.ok(!output.text.includes('master'));
});

test('SIGTERM ends it also while no server answers', async t => {
  const at = await world(t);
  let asked = false;
  at.parse.gate = () => new Promise(() => (asked = true));
  const { child, exit } = started(t, [], environmentOf(at));
  await until(() => asked, 'it waits for Parse Server');
  child.kill('SIGTERM');
  assert.equal(await exit, 0);
});

test('--once ends by itself; a mistake in the options is told, with 2', async t => {
  const at = await world(t);
  assert.equal(await started(t, ['--once'], environmentOf(at)).exit, 0);
  assert.equal(at.parse.status().status, 'succeeded');
  const { exit, output } = started(t, ['--server-url', 'nowhere']);
  assert.equal(await exit, 2);
  assert.match(output.text, /--server-url \(or PARSE_PUSHSVC_SERVER_URL\) must be an address/);
});
