'use strict';

// A call that is refused for some of its recipients: they are told why, the others go without them.

const { ServiceError } = require('./service');

/** Calls without recipients that were refused: a service that goes on refusing is in the right. */
const CALLS_WITHOUT_REFUSED = 4;
const LONGEST_DETAIL = 300;

/**
 * Where the service refuses recipients, and nothing else: what it says of each, by its place.
 * @param {unknown} error of a call
 * @returns {Map<number, string> | null}
 */
function refusedOf(error) {
  if (!(error instanceof ServiceError)) return null;
  const { status, errors } = error;
  if (status !== 400 || errors.length === 0) return null;
  const found = errors.map(each => /^#?\/recipients\/(\d+)(\/|$)/.exec(String(each.pointer)));
  if (found.includes(null)) return null;
  const sentence = at => `Refused: ${errors[at].detail.slice(0, LONGEST_DETAIL)}`;
  return new Map(found.map((match, at) => [Number(match[1]), sentence(at)]));
}

module.exports = { CALLS_WITHOUT_REFUSED, refusedOf };
