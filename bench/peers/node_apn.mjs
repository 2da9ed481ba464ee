// @parse/node-apn, which Parse's push adapter sends through, told only where the server is.
// Its packages lie in the folder that is named on the command line.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Notification, Provider } = createRequire(`${process.argv[2]}/`)("@parse/node-apn");
// Of 50,000 in one call it reports most as failed, though they arrive.
const TOKENS = 100;
const DEVICES = 20_000;
const task = JSON.parse(readFileSync(0, "utf8"));
const hash = (text) => createHash("sha256").update(text).digest("hex");
const tokens = Array.from({ length: Math.min(task.requests, DEVICES) }, (_, n) => hash(`${n}`));
const provider = new Provider({
  token: { key: task.key_file, keyId: "BENCHKEY01", teamId: "BENCHTEAM1" },
  address: "localhost",
  port: task.port,
  ca: readFileSync(task.ca_file),
});
const { aps } = JSON.parse(task.body);
const notification = new Notification({
  aps,
  topic: task.headers["apns-topic"],
  pushType: "alert",
  priority: 10,
});
let good = 0;

async function send(first, many) {
  const recipients = Array.from({ length: many }, (_, n) => tokens[(first + n) % tokens.length]);
  good += (await provider.send(notification, recipients)).sent.length;
}

await send(0, 1);
good = 0;
const cpu = process.cpuUsage();
const started = process.hrtime.bigint();
for (let first = 0; first < task.requests; first += TOKENS) {
  await send(first, Math.min(TOKENS, task.requests - first));
}
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({ good, seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
await provider.shutdown();
