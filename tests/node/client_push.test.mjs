// Pushes without the master key, of an app that lets its clients send them.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import {
  Parse,
  android,
  alerts,
  closed,
  installed,
  ios,
  reaches,
  rejects,
  rest,
  word,
} from './stage.mjs';

let iphone, phone;

before(async () => {
  iphone = ios({ channels: ['Giants'] });
  phone = android({ channels: ['Giants'] });
  await installed(iphone, phone);
});

test('the JavaScript key alone sends', async () => {
  const alert = word();
  const id = await Parse.Push.send(
    { channels: ['Giants'], data: { alert } },
    { useMasterKey: false },
  );
  await closed(id);
  assert.deepEqual(await alerts(iphone), [alert]);
  assert.deepEqual(await alerts(phone), [alert]);
});

for (const key of ['client', 'rest']) {
  test(`the ${key} key sends`, async () => {
    const alert = word();
    const reply = await rest('POST', 'push', {
      key,
      body: { channels: ['Giants'], data: { alert } },
    });
    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    await closed(reply.headers.get('x-parse-push-status-id'));
    assert.equal((await alerts(phone)).at(-1), alert);
  });
}

test("a client may not open a uri on others' devices, the master may", async () => {
  const data = { alert: 'x', uri: 'app://here' };
  await rejects(
    rest('POST', 'push', { key: 'client', body: { channels: ['Giants'], data } }),
    115,
    /uri/i,
  );
  await reaches({ channels: ['Giants'], data: { uri: 'app://here' } }, [iphone, phone]);
});
