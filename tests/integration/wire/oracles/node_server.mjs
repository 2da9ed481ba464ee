// Every kind of answer that HTTP/2 knows. Whatever is wrong with a client goes to stderr, and
// nothing else does. Usage: node node_server.mjs PORT PEM

import { readFileSync } from "node:fs";
import { constants, createSecureServer } from "node:http2";

const [port, pem] = process.argv.slice(2);
const LARGE = "0123456789".repeat(2000);
const SMALL = '{"ok":true}';
const USUAL = { maxConcurrentStreams: 100, initialWindowSize: 65535, headerTableSize: 4096 };
const NARROW = { maxConcurrentStreams: 100, initialWindowSize: 1000, headerTableSize: 0 };
const MANY = Object.fromEntries([...Array(39).keys()].map((n) => [`x-${n}`, `value ${n}`]));
// Longer in Huffman's code than without, so that it takes two frames.
const LONG = { "x-long": "~".repeat(20000) };

const answer = (stream, fields, body = "") => {
  const bare = body === "" || stream.headRequest;
  stream.respond(fields, { endStream: bare });
  if (!bare) stream.end(body);
};
const plain = (status, body, fields) => (stream, own) =>
  answer(stream, { ":status": status, ...own, ...fields }, body);

const withTrailers = (stream, own, body) => {
  stream.respond({ ...own, trailer: "x-end" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }));
  stream.end(body);
};

const change = (session) => {
  session.narrow = !session.narrow;
  // Only so many SETTINGS may wait for their acknowledgement.
  if (!session.pendingSettingsAck) session.settings(session.narrow ? NARROW : USUAL);
};

// By path: takes the stream, the request's own id as a field, and the body.
const ANSWERS = {
  "/empty": plain(200),
  "/small": plain(200, SMALL, { "content-length": SMALL.length }),
  "/large": plain(200, LARGE),
  "/huge": plain(200, LARGE.repeat(5)),
  "/counted": (stream, own, sent) => answer(stream, own, `${sent.length}`),
  "/echo": (stream, own, sent) => answer(stream, own, sent.length ? sent : ""),
  "/gone": plain(410, '{"reason":"Unregistered","timestamp":1700000000000}'),
  "/bad": plain(400, '{"reason":"BadDeviceToken"}'),
  "/busy": plain(429, '{"reason":"TooManyRequests"}', { "retry-after": "7" }),
  "/silent": plain(500),
  "/none": plain(204),
  "/moved": plain(307, "", { location: "https://localhost/elsewhere" }),
  "/hints": (stream, own) => {
    stream.additionalHeaders({ ":status": 103, link: "</style.css>; rel=preload" });
    stream.additionalHeaders({ ":status": 102 });
    answer(stream, own, SMALL);
  },
  "/trailers": (stream, own) => withTrailers(stream, own, SMALL),
  "/only-trailers": (stream, own) => withTrailers(stream, own, ""),
  "/pieces": (stream, own) => {
    stream.respond(own);
    for (let at = 0; at < LARGE.length; at += 1000) stream.write(LARGE.slice(at, at + 1000));
    stream.end();
  },
  "/many": plain(200, SMALL, { ...MANY, "x-39": "thirty-nine" }),
  "/long": plain(200, SMALL, LONG),
  "/early": plain(200, SMALL),
  "/refused": (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  "/broken": (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  "/settings": (stream, own) => {
    change(stream.session);
    answer(stream, own);
  },
};
// These end early: reset by us, or by a client that has seen enough of a long body.
const RESET = new Set(["/refused", "/broken", "/huge"]);

const take = (stream, fields) => {
  const path = fields[":path"].split("?")[0];
  const own = { "apns-id": fields["apns-id"] };
  const pieces = [];
  if (!RESET.has(path)) {
    stream.on("error", (error) => console.error("stream", path, error));
    stream.on("aborted", () => console.error("aborted", path));
  } else stream.on("error", () => {});
  stream.on("data", (piece) => pieces.push(piece));
  if (path === "/early") ANSWERS[path](stream, own);
  else stream.on("end", () => stream.destroyed || ANSWERS[path](stream, own, Buffer.concat(pieces)));
};

const server = createSecureServer({
  cert: readFileSync(pem),
  key: readFileSync(pem),
  settings: USUAL,
  // Of more than this it tells.
  maxSessionInvalidFrames: 0,
});
server.on("stream", take);
server.on("session", (session) => {
  session.on("goaway", (code) => code && console.error("the client left with code", code));
  session.on("frameError", (...what) => console.error("frame", ...what));
});
for (const event of ["error", "sessionError", "tlsClientError", "unknownProtocol", "timeout"])
  server.on(event, (error) => {
    // Our last words met a socket already closed. Had requests been under way, the client's
    // verdicts would tell.
    if (error?.code !== "ECONNRESET") console.error(event, error);
  });
server.setTimeout(0);
// An error is told only when its session is closed; one that node forgets must not keep us.
process.on("SIGTERM", () => {
  setTimeout(process.exit, 500);
  server.close(process.exit);
});
server.listen(Number(port), "127.0.0.1");
