'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');

const { all, SENT, serving, servingParse } = require('./stage');

const PACKAGE = path.resolve(__dirname, '..');
const OPTIONS = { serverURL: 'http://localhost:8420', apiKey: 'key' };

/** Make an adapter of what is configured, in the order of Parse Server's own rules. */
function loaded(adapter, options) {
  if (typeof adapter === 'function') {
    try {
      return adapter(options);
    } catch (error) {
      if (error.name !== 'TypeError') throw error;
      return new adapter(options);
    }
  }
  if (typeof adapter === 'string') {
    const found = require(adapter);
    return loaded(found.default || found, options);
  }
  for (const way of ['module', 'class', 'adapter']) {
    if (adapter[way]) return loaded(adapter[way], adapter.options);
  }
  return adapter;
}

test('Parse Server finds an adapter by name, module, class and as one that is made', t => {
  const Adapter = require(PACKAGE);
  const push = { ...OPTIONS, adapter: PACKAGE };
  const found = [
    loaded(PACKAGE, push),
    loaded({ module: PACKAGE, options: OPTIONS }),
    loaded({ class: Adapter, options: OPTIONS }),
    loaded(new Adapter(OPTIONS), push),
  ];
  for (const adapter of found) {
    t.after(() => adapter.close());
    assert.equal(typeof adapter.send, 'function');
    assert.ok(adapter.getValidPushTypes().includes('winrt'));
  }
  assert.throws(() => loaded(PACKAGE, { adapter: PACKAGE }), /serverURL must be an address/);
});

test('it is imported by its name and as the default', async () => {
  const Adapter = require(PACKAGE);
  const found = await import(path.join(PACKAGE, 'index.js'));
  assert.equal(found.default, Adapter);
  assert.equal(found.PushsvcAdapter, Adapter);
  assert.equal(Adapter.default, Adapter);
});

test('it keeps no process alive when its sends are over', async t => {
  const server = await serving(t, all(SENT));
  const parse = await servingParse(t, { objectId: 's1' });
  const keys = { serverURL: parse.url, applicationId: 'app', masterKey: 'master' };
  const script = `
    const Adapter = require(${JSON.stringify(PACKAGE)});
    const options = { serverURL: '${server.url}', apiKey: 'key', parse: ${JSON.stringify(keys)} };
    for (const mode of ['wait', 'accept']) {
      new Adapter({ ...options, mode })
        .send({ data: {} }, [{ deviceType: 'ios', deviceToken: 'aa' }], 's1')
        .then(rows => console.log(mode, rows.length));
    }`;
  const run = promisify(execFile)(process.execPath, ['-e', script], { timeout: 10_000 });
  const { stdout } = await run;
  assert.deepEqual(stdout.trim().split('\n').sort(), ['accept 0', 'wait 1']);
});

test('all files of the package are those that are published', () => {
  const { files, main, types } = require(path.join(PACKAGE, 'package.json'));
  for (const file of [main, types, 'lib', 'README.md', 'LICENSE']) assert.ok(files.includes(file));
});
