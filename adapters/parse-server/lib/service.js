'use strict';

// The client of pushsvc's API: asks again until it has an answer, and sends nothing twice.

const { createHash, randomUUID } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const { gzip } = require('node:zlib');

const { Gate } = require('./gate');
const { Outage, pauseMs, retryAfterMs } = require('./patience');
const { Transport, TransportError, documentOf } = require('./transport');

// Proxies cut connections on which nothing is said for a minute, some for half of it.
const LONGEST_WAIT_SECONDS = 20;
// What the service may take for an answer, beside the time that it was asked to wait.
const ANSWER_MS = 15_000;
// The one try that a call has while the service has long been away.
const QUICK_TRY_MS = 3_000;
// A service that does not wait when it is asked to is not asked without end.
const POLL_PAUSE_MS = 200;
// Results of 5,000 recipients have a tenth of it.
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const GZIP_FROM_BYTES = 4 * 1024;
const LONGEST_DETAIL = 300;
const LONGEST_CODE = 60;

const gzipped = promisify(gzip);

/** What came of a call that has no answer to be used. */
class ServiceError extends Error {
  /**
   * @param {string} message one sentence, without any key
   * @param {object} [problem]
   * @param {number} [problem.status] of the answer; none where there was no answer
   * @param {string} [problem.code] the service's own, such as `invalid_request`
   * @param {Array<{pointer?: string, code?: string, detail?: string}>} [problem.errors]
   * @param {boolean} [problem.inDoubt] whether an earlier try, or this, may have been accepted
   */
  constructor(message, { status, code, errors = [], inDoubt = false } = {}) {
    super(message);
    this.name = 'ServiceError';
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.inDoubt = inDoubt;
  }

  /** @returns {string} in a word, whether it would be no use to ask again */
  get reason() {
    const isRefusal = this.status >= 300 && !isPassing(this.status);
    return isRefusal ? 'ServiceRefused' : 'ServiceUnavailable';
  }
}

/**
 * @typedef {object} Result of one recipient; all null but `id` while it is pending
 * @property {string | null} id
 * @property {string | null} outcome
 * @property {string | null} class
 * @property {string | null} reason
 *
 * @typedef {object} Delivery
 * @property {string} id
 * @property {string | null} group
 * @property {string} state `sending`, `done` or `cancelled`
 * @property {number} pending recipients without an outcome
 * @property {string[]} tokens_held gateways whose word on dead tokens is not believed
 * @property {Result[]} results one for each recipient, in their order
 *
 * @typedef {object} Group all deliveries of one group
 * @property {string} group
 * @property {number} open deliveries that are not closed
 * @property {number} pending devices without an outcome
 * @property {Object<string, Object<string, number>>} by_device_type outcomes counted
 */

class Service {
  #transport;
  #gate;
  #outage;
  #headers;
  #timeoutMs;
  #compresses;
  #closed = false;

  /**
   * @param {object} options checked by `options.js`
   * @param {string} options.serverURL without a slash at its end
   * @param {string} options.apiKey
   * @param {number} options.timeoutMs for a whole call, its tries and pauses included, from when
   *   it has a connection
   * @param {number} options.connections calls at a time; others wait for their turn
   */
  constructor({ serverURL, apiKey, timeoutMs, connections }) {
    const limits = { connections, maxAnswerBytes: MAX_ANSWER_BYTES };
    this.#transport = new Transport({ url: serverURL, ...limits });
    this.#gate = new Gate(connections);
    this.#outage = new Outage(timeoutMs);
    this.#headers = { authorization: `Bearer ${apiKey}`, accept: 'application/json' };
    this.#timeoutMs = timeoutMs;
    this.#compresses = !isLoopback(new URL(serverURL).hostname);
  }

  /**
   * Have one content delivered to explicit recipients.
   *
   * A call that is made again with the same request is one delivery, also from another process.
   * The request becomes text when its turn has come, and not before.
   *
   * @param {object} request as `POST /v1/deliveries` has it, without `wait_seconds`
   * @param {object} [options]
   * @param {boolean} [options.wait] for all outcomes, or until the deadline; else it is over when
   *   the service has taken the request
   * @param {string} [options.key] the idempotency key; else one of group, content and recipients
   * @returns {Promise<Delivery>} rejects with a ServiceError where it is not known to be accepted
   */
  deliver(request, { wait = true, key } = {}) {
    return this.#call(async call => {
      const longest = wait ? this.#waitSeconds(this.#timeoutMs) : 0;
      const waitSeconds = call.tries === 1 ? 0 : longest;
      const { text, named } = written(request, waitSeconds);
      const document = await this.#ask(call, {
        ...(await this.#posted(text, key ?? named)),
        waitMs: waitSeconds * 1_000,
        fits: isDelivery(request.recipients.length),
      });
      return wait ? this.#settled(document, call) : document;
    });
  }

  /**
   * @param {string} id
   * @param {object} [options]
   * @param {number} [options.waitSeconds] for what is pending, at most 60
   * @returns {Promise<Delivery>} rejects with a ServiceError, of status 404 if there is none
   */
  delivery(id, { waitSeconds = 0 } = {}) {
    return this.#call(call => this.#delivery(call, { id, waitSeconds, fits: isDelivery() }));
  }

  /**
   * @param {string} group
   * @returns {Promise<Group | null>} null where the service knows of none; else as `delivery`
   */
  async group(group) {
    const path = `/v1/groups/${encodeURIComponent(group)}`;
    try {
      return await this.#call(call => this.#ask(call, { method: 'GET', path, fits: isGroup }));
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  /** Close the connections; calls under way fail. */
  close() {
    this.#closed = true;
    this.#transport.close();
  }

  #call(work) {
    return this.#gate.run(() => work(this.#patience(performance.now())));
  }

  /** When a call that begins now is to end, and how often it may try. */
  #patience(start) {
    const deadline = start + this.#timeoutMs;
    if (!this.#outage.isLong(start)) return { start, deadline, tries: Infinity };
    if (this.#outage.isToBeProbed(start)) return { start, deadline, tries: 1 };
    return { start, deadline: Math.min(deadline, start + QUICK_TRY_MS), tries: 1 };
  }

  async #settled(first, call) {
    const deadline = call.start + this.#timeoutMs;
    const { id, results } = first;
    let document = first;
    for (;;) {
      const asked = performance.now();
      const waitSeconds = this.#waitSeconds(deadline - asked);
      if (document.pending === 0 || deadline - asked < POLL_PAUSE_MS) return document;
      try {
        const question = { id, waitSeconds, fits: isDelivery(results.length) };
        document = await this.#delivery({ deadline, tries: Infinity }, question);
      } catch {
        // It was accepted: what is known of it is worth more than the failure to hear the rest.
        return document;
      }
      if (performance.now() - asked < POLL_PAUSE_MS) await sleep(POLL_PAUSE_MS);
    }
  }

  #delivery(call, { id, waitSeconds, fits }) {
    const path = `/v1/deliveries/${encodeURIComponent(id)}?wait_seconds=${waitSeconds}`;
    return this.#ask(call, { method: 'GET', path, waitMs: waitSeconds * 1_000, fits });
  }

  #waitSeconds(leftMs) {
    // A second is left for the answer, or a part of what little is left.
    const forAnswer = Math.min(1_000, leftMs / 4);
    return Math.min(LONGEST_WAIT_SECONDS, Math.floor((leftMs - forAnswer) / 100) / 10);
  }

  async #posted(text, key) {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const plain = Buffer.from(text);
    const post = { method: 'POST', path: '/v1/deliveries' };
    if (!this.#compresses || plain.length < GZIP_FROM_BYTES) {
      return { ...post, headers, body: plain };
    }
    headers['content-encoding'] = 'gzip';
    return { ...post, headers, body: await gzipped(plain) };
  }

  /** Ask until there is an answer that fits, a refusal that is final, or no time left. */
  async #ask({ deadline, tries }, { waitMs = 0, fits, ...request }) {
    let inDoubt = false;
    let before;
    for (let tried = 1; ; tried += 1) {
      if (this.#closed) throw new ServiceError('the adapter was closed', { inDoubt });
      const left = deadline - performance.now();
      const timeoutMs = Math.max(1, Math.min(left, waitMs + ANSWER_MS));
      const { document, refused, again } = await this.#try({ ...request, timeoutMs }, fits);
      if (document ?? refused) this.#outage.answered();
      if (document) return document;
      inDoubt ||= again !== undefined;
      // A try that our own deadline cut short says less than the one before it.
      const isCut = before && performance.now() >= deadline;
      const error = Object.assign(refused ?? (isCut ? before : again.error), { inDoubt });
      if (refused) throw error;
      before = error;
      this.#outage.failed(performance.now());
      // A connection that was closed meanwhile says nothing of the service.
      const isLast = tried >= tries && !again.isStale;
      const pause = again.isStale ? 0 : Math.max(pauseMs(tried), again.afterMs);
      if (isLast || performance.now() + pause >= deadline) throw error;
      await sleep(pause);
    }
  }

  async #try(request, fits) {
    const headers = { ...this.#headers, ...request.headers };
    let answer;
    try {
      answer = await this.#transport.request({ ...request, headers });
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      const advice = '; is pushsvc running, and is serverURL where it is?';
      const told = new ServiceError(`the service did not answer: ${error.message}${advice}`);
      return { again: { error: told, afterMs: 0, isStale: error.stale } };
    }
    return judged(answer, fits);
  }
}

/** What an answer means: the document, a refusal that stays one, or another try. */
function judged({ status, headers, body }, fits) {
  const document = documentOf(body);
  if (status >= 200 && status < 300) {
    if (fits(document)) return { document };
    const told = 'the service answered with something else than pushsvc would; is it pushsvc?';
    return { again: { error: new ServiceError(told, { status }), afterMs: 0 } };
  }
  const error = problem(status, document);
  if (isPassing(status)) {
    return { again: { error, afterMs: retryAfterMs(headers['retry-after']) ?? 0 } };
  }
  return { refused: error };
}

function problem(status, document) {
  const { code, detail, errors } = document ?? {};
  const list = Array.isArray(errors) ? errors.filter(each => typeof each?.detail === 'string') : [];
  // The sentence may have said of the fields all that there is.
  const news = list.filter(each => !String(detail).includes(each.detail)).slice(0, 3);
  const said = [detail, ...news.map(placed)].filter(each => typeof each === 'string');
  const words = said.map(clause).join('; ').slice(0, LONGEST_DETAIL);
  const named = typeof code === 'string' ? ` ${code.slice(0, LONGEST_CODE)}` : '';
  const answered = `the service answered ${status}${named}${words && `: ${words}`}`;
  // pushsvc gives its refusals a code; a key is refused without one by somebody else.
  const isOther = [401, 403].includes(status) && named === '';
  const advice = [ADVICE[status], isOther && ADVICE[404]].filter(Boolean);
  const told = [answered, ...advice].join('; ');
  return new ServiceError(told, { status, code, errors: list });
}

/** What is said of a field, with its place where that is not said. */
function placed({ pointer, detail }) {
  return detail.includes(pointer) ? detail : `${pointer}: ${detail}`;
}

/** A sentence as a part of another one. */
function clause(sentence) {
  return sentence.trim().replace(/\.$/, '');
}

function isPassing(status) {
  return status >= 500 || [408, 425, 429].includes(status);
}

const ADVICE = {
  301: 'serverURL must be the address that it redirects to',
  302: 'serverURL must be the address that it redirects to',
  307: 'serverURL must be the address that it redirects to',
  308: 'serverURL must be the address that it redirects to',
  401: 'set apiKey to a key of the app with the scope send',
  403: 'set apiKey to a key of the app with the scope send',
  404: 'is serverURL the root of pushsvc?',
};

function isDelivery(count) {
  return document =>
    document !== null &&
    typeof document.id === 'string' &&
    Number.isInteger(document.pending) &&
    Array.isArray(document.results) &&
    (count === undefined || document.results.length === count);
}

function isGroup(document) {
  return (
    document !== null &&
    Number.isInteger(document.open) &&
    Number.isInteger(document.pending) &&
    typeof document.by_device_type === 'object' &&
    document.by_device_type !== null
  );
}

/** The request as text, and the name by which a repetition of it is known. */
function written({ recipients, ...rest }, waitSeconds) {
  const list = JSON.stringify(recipients);
  const frame = JSON.stringify({ ...rest, wait_seconds: waitSeconds });
  const hash = createHash('sha256');
  // Without a group two sends of the same are two sends.
  hash.update(rest.group ?? randomUUID()).update('\n');
  hash.update(JSON.stringify(sorted(rest))).update('\n');
  hash.update(list);
  return { text: `${frame.slice(0, -1)},"recipients":${list}}`, named: hash.digest('hex') };
}

/** The same value with the keys of its objects in one order, whoever has written it. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object' || value.toJSON) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map(key => [key, sorted(value[key])]));
}

function isLoopback(host) {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}

module.exports = { Service, ServiceError };
