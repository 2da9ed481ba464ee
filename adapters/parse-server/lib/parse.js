'use strict';

// Parse Server's REST API, with its master key: what the adapter keeps in rows of Parse.

const { Transport, TransportError, documentOf } = require('./transport');

const TIMEOUT_MS = 15_000;
const CONNECTIONS = 4;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

// Parse's own code of what only the master key may do.
const FORBIDDEN = 119;
// Too slow, too large, too often: said with a page of their own, and no word of Parse's.
const OF_PROXIES = [408, 413, 429];
const MASTER_KEY =
  '; are the master key (parse.masterKey, --master-key) and the application id ' +
  '(parse.applicationId, --application-id) right, and does masterKeyIps allow it from here?';
const MOUNT =
  '; its address (parse.serverURL, --parse-server-url) is one with its mount, such as ' +
  'http://localhost:1337/parse';

/** Parse Server did not do it, or it is not known whether it did. */
class ParseError extends Error {
  /**
   * @param {string} message one sentence, without any key
   * @param {object} [answer]
   * @param {number} [answer.status] of the answer; none where there was no answer
   * @param {number} [answer.code] Parse's own, such as 101
   */
  constructor(message, { status, code } = {}) {
    super(message);
    this.name = 'ParseError';
    this.status = status;
    this.code = code;
  }
}

class ParseAPI {
  #transport;
  #headers;
  #heard;

  /**
   * @param {object} options checked by `options.js`
   * @param {string} options.serverURL with its mount, such as `http://localhost:1337/parse`
   * @param {string} options.applicationId
   * @param {string} options.masterKey which must be allowed from here (`masterKeyIps`)
   * @param {(date: string | undefined) => void} [heard] the `Date` of each answer
   */
  constructor({ serverURL, applicationId, masterKey }, heard = () => {}) {
    this.#heard = heard;
    const limits = { connections: CONNECTIONS, maxAnswerBytes: MAX_ANSWER_BYTES };
    this.#transport = new Transport({ url: serverURL, ...limits });
    this.#headers = {
      'x-parse-application-id': applicationId,
      'x-parse-master-key': masterKey,
      'content-type': 'application/json',
    };
  }

  /**
   * @param {string} className
   * @param {string} objectId
   * @returns {Promise<object | null>} the row as REST has it; null where there is none; rejects
   *   with a ParseError
   */
  async get(className, objectId) {
    try {
      // Of MongoDB's replicas only the first has what was just written.
      return await this.call('GET', `${path(className, objectId)}?readPreference=PRIMARY`);
    } catch (error) {
      if (error.code === 101) return null;
      throw error;
    }
  }

  /**
   * @param {string} className
   * @param {object} query
   * @param {object} query.where
   * @param {string} [query.order] such as `-updatedAt`
   * @param {number} [query.limit]
   * @param {string} [query.keys] with commas between
   * @returns {Promise<object[]>} rejects with a ParseError
   */
  async find(className, { where, ...rest }) {
    const query = new URLSearchParams({ where: JSON.stringify(where), ...rest });
    const { results } = await this.call('GET', `${path(className)}?${query}`);
    if (Array.isArray(results)) return results;
    throw new ParseError('Parse Server answered a find without results');
  }

  /**
   * @param {string} className
   * @param {string} objectId
   * @param {object} changes fields, operations (`{__op}`), dotted keys
   * @returns {Promise<object>} `updatedAt`, and what operations have made; rejects with a
   *   ParseError
   */
  put(className, objectId, changes) {
    return this.call('PUT', path(className, objectId), changes);
  }

  /**
   * One request. What failed is not tried again, but for a kept connection that Parse Server has
   * closed: so say what fields are to be, rather than by how much to change them.
   * @param {string} method
   * @param {string} under the mount, with its query
   * @param {object} [body]
   * @returns {Promise<object>} the answer; rejects with a ParseError
   */
  async call(method, under, body) {
    const answer = await this.#answer({
      method,
      path: under,
      headers: this.#headers,
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      timeoutMs: TIMEOUT_MS,
    });
    const { status } = answer;
    this.#heard(answer.headers.date);
    const document = documentOf(answer.body);
    if (status >= 200 && status < 300 && document !== null) return document;
    throw refusal(status, document);
  }

  /** Close the connections; calls under way fail. */
  close() {
    this.#transport.close();
  }

  async #answer(request) {
    try {
      return await this.#transport.request(request);
    } catch (error) {
      if (error instanceof TransportError && error.stale) return this.#answer(request);
      const advice = '; is it running, and is parse.serverURL (--parse-server-url) where it is?';
      throw new ParseError(`Parse Server did not answer: ${error.message}${advice}`);
    }
  }
}

function refusal(status, document) {
  const { code, error = 'nothing that Parse Server would say' } = document ?? {};
  const told = `Parse Server answered ${status}: ${String(error).slice(0, 300)}`;
  return new ParseError(`${told}${adviceOn(status, document)}`, { status, code });
}

function adviceOn(status, document) {
  // A proxy before it may refuse, too, and says nothing of Parse's then.
  const isOther = document?.error === undefined && status < 500 && !OF_PROXIES.includes(status);
  const isForbidden = [401, 403].includes(status) || document?.code === FORBIDDEN;
  return `${isForbidden ? MASTER_KEY : ''}${isOther ? MOUNT : ''}`;
}

function path(...parts) {
  return `/classes/${parts.map(encodeURIComponent).join('/')}`;
}

module.exports = { ParseAPI, ParseError };
