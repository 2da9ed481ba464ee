'use strict';

// Why devices count as failed, on the console: Parse Server neither keeps nor prints it.

const EVERY_MS = 60_000;
// What is of one kind, and so told together: the reason, what kept the service from answering, and
// the whole of what it refuses a push for.
const KIND = /^pushsvc: (ServiceRefused: .{1,200}|Service\w+: [^:;]+|[^:]+)/;
const KINDS = 50;
const OTHERS = 'others';
const LONGEST_LINE = 500;

/**
 * Write a line to the console; whatever becomes of it there is no reason for a push to fail.
 * @param {string} line
 * @param {(line: string) => unknown} [warn] may throw, or promise and not keep it
 */
async function tell(line, warn = said => console.warn(said)) {
  try {
    await warn(line);
  } catch {
    // Nobody is left to be told.
  }
}

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
   * @param {(line: string) => unknown} [options.warn] the console's, if left out
   */
  constructor({ everyMs = EVERY_MS, warn } = {}) {
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
      const failure = { error: response.error, group, delivery, devices: 1 };
      found.set(kind, joined(found.get(kind), failure));
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
      known.later = joined(known.later, failure);
      return;
    }
    this.#tell(failure, name === OTHERS ? 'other ' : '');
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
    tell(lineOf(failure, more), this.#warn);
  }
}

/** Both failures as one, which has the push and the delivery only where they have the same. */
function joined(one, other) {
  if (one === undefined) return other;
  const same = key => (one[key] === other[key] ? other[key] : undefined);
  const devices = one.devices + other.devices;
  return { error: other.error, group: same('group'), delivery: same('delivery'), devices };
}

function lineOf({ error, group, delivery, devices }, more) {
  const of = group === undefined ? '' : ` of push ${group}`;
  const by = delivery === undefined ? '' : ` (delivery ${delivery})`;
  const number = `${devices} ${more}device${devices === 1 ? '' : 's'}`;
  const sentence = error.replace(/^pushsvc: /, '');
  const verb = devices === 1 ? 'counts' : 'count';
  const line = `pushsvc: ${number}${of}${by} ${verb} as failed: ${sentence}`;
  return line.replace(/[\s\p{Cc}]+/gu, ' ').slice(0, LONGEST_LINE);
}

module.exports = { Warnings, tell };
