'use strict';

// One HTTP request and its whole answer, within a time and a size.

const http = require('node:http');
const https = require('node:https');

// A host that does not even take a connection by then is asked again, instead of waited for.
const CONNECT_MS = 5_000;

/** No whole answer came: it is not known whether the request arrived. */
class TransportError extends Error {
  /**
   * @param {string} message
   * @param {boolean} [stale] a kept connection had been closed by the other side
   */
  constructor(message, stale = false) {
    super(message);
    this.name = 'TransportError';
    this.stale = stale;
  }
}

/** Connections to one server, kept between requests; idle ones keep no process alive. */
class Transport {
  #base;
  #client;
  #agent;
  #maxAnswerBytes;

  /**
   * @param {object} options
   * @param {string} options.url where paths are appended, without a slash at its end
   * @param {number} options.connections at most so many at a time
   * @param {number} options.maxAnswerBytes a longer answer is a TransportError
   */
  constructor({ url, connections, maxAnswerBytes }) {
    this.#base = url;
    this.#client = url.startsWith('https:') ? https : http;
    this.#agent = new this.#client.Agent({ keepAlive: true, maxSockets: connections });
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /**
   * @param {object} request
   * @param {string} request.method
   * @param {string} request.path with its query
   * @param {object} [request.headers]
   * @param {Buffer} [request.body]
   * @param {number} request.timeoutMs from now to the last byte of the answer
   * @returns {Promise<{status: number, headers: object, body: Buffer}>} rejects with a
   *   TransportError, or with Node's error for a request that cannot be built
   */
  request({ method, path, headers, body, timeoutMs }) {
    return new Promise((resolve, reject) => {
      const request = this.#client.request(new URL(this.#base + path), {
        method,
        agent: this.#agent,
        headers: body ? { ...headers, 'content-length': body.length } : headers,
      });
      const timers = [setTimeout(fail, timeoutMs, `no answer within ${Math.ceil(timeoutMs)} ms`)];
      let answering = false;

      function fail(message, stale) {
        timers.forEach(clearTimeout);
        reject(new TransportError(message, stale));
        request.destroy();
      }
      request.once('socket', socket => {
        if (!socket.connecting) return;
        const timer = setTimeout(fail, CONNECT_MS, `no connection within ${CONNECT_MS} ms`);
        timers.push(timer);
        socket.once('connect', () => clearTimeout(timer));
      });
      request.on('error', error => {
        // What a server answers before it closes is worth more than the error of writing to it.
        if (!answering) fail(told(error), request.reusedSocket);
      });
      request.on('response', response => {
        answering = true;
        this.#read(response, fail, answer => {
          timers.forEach(clearTimeout);
          resolve(answer);
          // Answered without being read to its end: the rest has nobody who waits for it.
          if (!request.writableFinished) request.destroy();
        });
      });
      request.end(body);
    });
  }

  #read(response, fail, done) {
    const pieces = [];
    let bytes = 0;
    response.on('data', piece => {
      bytes += piece.length;
      if (bytes <= this.#maxAnswerBytes) pieces.push(piece);
      else fail(`an answer of more than ${this.#maxAnswerBytes} bytes`);
    });
    response.on('error', error => fail(`the answer broke off: ${told(error)}`));
    response.on('close', () => response.complete || fail('the answer broke off'));
    response.on('end', () => {
      const { statusCode: status, headers } = response;
      if (response.complete) done({ status, headers, body: Buffer.concat(pieces) });
    });
  }

  /** Close the connections; requests under way fail. */
  close() {
    this.#agent.destroy();
  }
}

function told(error) {
  // Several addresses that failed have no message, but a code.
  return error.message || error.code || 'the connection failed';
}

/**
 * @param {Buffer} body of an answer
 * @returns {object | null} its JSON; null where it is none, or no object
 */
function documentOf(body) {
  try {
    const document = JSON.parse(body.toString('utf8'));
    return typeof document === 'object' ? document : null;
  } catch {
    return null;
  }
}

module.exports = { Transport, TransportError, documentOf };
