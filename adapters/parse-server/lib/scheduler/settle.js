'use strict';

// A push of which everything was handed over: its row gets the final counts.

const { endOf } = require('./claims');
const { endingOf } = require('./plan');
const { STATUSES } = require('./sending');

/**
 * It does no harm when several do it: the counts are absolute.
 * @param {object} means
 * @param {import('../parse').ParseAPI} means.parse
 * @param {import('../service').Service} means.service
 * @param {object} push
 * @param {string} push.id
 * @param {import('./claims').Held} push.held
 * @param {number} push.moments
 * @returns {Promise<{status: string, numSent: number, numFailed: number} | null>} what was written;
 *   null while pushsvc has no outcome of some; rejects as `Sending` does
 */
async function settle({ parse, service }, { id, held, moments }) {
  // Asked in any case: one who was killed may have handed over more than he has written.
  const group = await service.group(id);
  if (group !== null && group.open > 0) return null;
  const ending = endingOf(held.state, group, moments);
  await parse.put(STATUSES, id, endOf(held, ending));
  return ending;
}

module.exports = { settle };
