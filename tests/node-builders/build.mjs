// What Parse's push adapter would put on the wire: one JSON line in for each message, one out.
//
// The adapter and the builders beneath it run as published. Nothing leaves the machine: APNs'
// client is replaced where node-apn hands it a finished notification, and firebase-admin's requests
// go through an agent of ours to a server of ours.

import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

import { ParsePushAdapter } from '@parse/push-adapter';
import { initializeApp } from 'firebase-admin/app';
import log from 'npmlog';

log.level = 'silent';

let request;

// ---------------------------------------------------------------- APNs

function apns() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const adapter = new ParsePushAdapter({ ios: { token: { key, keyId: 'KEY', teamId: 'TEAM' } } });
  adapter.senderMap.ios.providers[0].client = {
    async write({ headers, body }, device) {
      request = { headers, body: JSON.parse(body) };
      return { device };
    },
  };
  return adapter;
}

// ---------------------------------------------------------------- FCM

const gateway = createServer(async (incoming, reply) => {
  const parts = [];
  for await (const part of incoming) parts.push(part);
  request = { headers: {}, body: JSON.parse(Buffer.concat(parts)) };
  reply.setHeader('Content-Type', 'application/json');
  reply.end(JSON.stringify({ name: 'projects/p/messages/1' }));
});

await once(gateway.listen(0, '127.0.0.1'), 'listening');

class ToOurs extends Agent {
  // firebase-admin asks for https; its agent says what that is.
  protocol = 'https:';

  createConnection() {
    return connect(gateway.address());
  }
}

const credential = { getAccessToken: async () => ({ access_token: 'token', expires_in: 3600 }) };
// The adapter takes an app that is there; its own would want a service account's key.
initializeApp({ credential, projectId: 'p', httpAgent: new ToOurs({ keepAlive: true }) });

function fcm(deviceType) {
  const config = { firebaseServiceAccount: {}, fcmEnableLegacyHttpTransport: true };
  return new ParsePushAdapter({ [deviceType]: config });
}

// ---------------------------------------------------------------- line by line

const ADAPTERS = { apns: apns(), fcm_android: fcm('android'), fcm_apple: fcm('ios') };

async function built({ form, body, installation, now }) {
  Date.now = () => now;
  request = undefined;
  try {
    const [result] = await ADAPTERS[form].send(body, [installation]);
    return result.transmitted ? request : { error: String(result.response.error) };
  } catch (error) {
    return { error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await built(JSON.parse(line))) + '\n');
}
process.exit();
