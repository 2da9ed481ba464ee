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
 * @param {string} id
 * @param {import('./claims').Held} held
 * @returns {Promise<{status: string, numSent: number, numFailed: number} | null>} what was written;
 *   null while pushsvc has no outcome of some; rejects as `Sending` does
 */
async function settle({ parse, service }, id, held) {
  const group = held.state.accepted > 0 ? await service.group(id) : null;
  if (group !== null && group.open > 0) return null;
  const ending = endingOf(held.state, group);
  await parse.put(STATUSES, id, endOf(held, ending));
  return ending;
}

module.exports = { settle };
