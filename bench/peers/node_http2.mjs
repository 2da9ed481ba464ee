// Node's own http2 module, one session.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const CONCURRENT = 100;
const DEVICES = 20_000;
const task = JSON.parse(readFileSync(0, "utf8"));
const isApns = task.case === "apns";
const hash = (text) => createHash("sha256").update(text).digest("hex");
const paths = isApns
  ? Array.from({ length: Math.min(task.requests, DEVICES) }, (_, n) => `/3/device/${hash(`${n}`)}`)
  : ["/v1/projects/bench/messages:send"];
const ids = Array.from({ length: task.requests }, (_, n) => {
  const h = hash(`id ${n}`);
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20, 32)}`;
});
const body = Buffer.from(task.body);
const session = connect(`https://localhost:${task.port}`, { ca: readFileSync(task.ca_file) });
let next = 0;
let good = 0;

function send(done) {
  if (next === task.requests) return done();
  const key = next++;
  const headers = { ":method": "POST", ":path": paths[key % paths.length], ...task.headers };
  if (isApns) headers["apns-id"] = ids[key];
  const stream = session.request(headers);
  let status = 0;
  let octets = 0;
  let id = "";
  stream.on("response", (answer) => {
    status = answer[":status"];
    id = answer["apns-id"];
  });
  stream.on("data", (chunk) => (octets += chunk.length));
  stream.on("error", () => {});
  stream.on("close", () => {
    if (status === 200 && (isApns ? id === ids[key] : octets > 0)) good++;
    send(done);
  });
  stream.end(body);
}

session.once("remoteSettings", async () => {
  const cpu = process.cpuUsage();
  const started = process.hrtime.bigint();
  await Promise.all(Array.from({ length: CONCURRENT }, () => new Promise(send)));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({ good, seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
  session.close();
});
