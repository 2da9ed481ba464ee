'use strict';

// Why devices count as failed, on the console: Parse Server neither keeps nor prints it.

const EVERY_MS = 60_000;
// What is of one kind, and so told together: the reason, and of the service what it answered.
const KIND = /^pushsvc: (Service\w+: [^:;]+|[^:]+)/;
const KINDS = 50;
const OTHERS = 'others';
const LONGEST_SENTENCE = 400;

/**
 * One line at once for each kind of failure; what follows of that kind is counted, and told when a
 * minute is over. No line has a token or a key.
 */
class Warnings {
  #everyMs;
  #warn;
  #kinds = new Map();
  #closed = false;

  /**
   * @param {object} [options]
   * @param {number} [options.everyMs] between two lines of one kind
   * @param {(line: string) => void} [options.warn]
   */
  constructor({ everyMs = EVERY_MS, warn = line => console.warn(line) } = {}) {
    this.#everyMs = everyMs;
    this.#warn = warn;
  }

  /**
   * Tell of the rows that failed, but for dead tokens, which Parse Server is told of.
   * @param {import('./rows').Row[]} rows of one call of `send`
   * @param {object} [about]
   * @param {string} [about.group] the id of the push status
   * @param {(place: number) => string | undefined} [about.deliveryAt] the delivery of a row
   */
  failed(rows, { group, deliveryAt = () => undefined } = {}) {
    const found = new Map();
    rows.forEach(({ response }, place) => {
      const kind = KIND.exec(response?.error)?.[1];
      if (kind === undefined) return;
      const delivery = deliveryAt(place);
      const failure = found.get(kind) ?? { error: response.error, group, delivery, devices: 0 };
      failure.devices += 1;
      found.set(kind, failure);
    });
    for (const [kind, failure] of found) this.#add(kind, failure);
  }

  /** Tell what was counted, and no more: who closes knows that calls fail. */
  close() {
    for (const { timer, later } of this.#kinds.values()) {
      clearTimeout(timer);
      if (later) this.#tell(later, 'more ');
    }
    this.#kinds.clear();
    this.#closed = true;
  }

  #add(kind, failure) {
    if (this.#closed) return;
    const isKnown = this.#kinds.has(kind) || this.#kinds.size < KINDS;
    const name = isKnown ? kind : OTHERS;
    const known = this.#kinds.get(name);
    if (known) {
      const before = known.later?.devices ?? 0;
      known.later = { ...failure, devices: before + failure.devices };
      return;
    }
    this.#tell(failure, '');
    this.#quiet(name);
  }

  /** Say no more of a kind for a while, and then what has come of it meanwhile. */
  #quiet(name) {
    const timer = setTimeout(() => {
      const { later } = this.#kinds.get(name);
      this.#kinds.delete(name);
      if (!later) return;
      this.#tell(later, 'more ');
      this.#quiet(name);
    }, this.#everyMs);
    timer.unref();
    this.#kinds.set(name, { timer });
  }

  #tell(failure, more) {
    try {
      this.#warn(lineOf(failure, more));
    } catch {
      // A console that fails is no reason for a push to.
    }
  }
}

function lineOf({ error, group, delivery, devices }, more) {
  const of = group === undefined ? '' : ` of push ${group}`;
  const by = delivery === undefined ? '' : ` (delivery ${delivery})`;
  const number = `${devices} ${more}device${devices === 1 ? '' : 's'}`;
  const sentence = error.replace(/^pushsvc: /, '').slice(0, LONGEST_SENTENCE);
  const verb = devices === 1 ? 'counts' : 'count';
  return `pushsvc: ${number}${of}${by} ${verb} as failed: ${sentence}`;
}

module.exports = { Warnings };
