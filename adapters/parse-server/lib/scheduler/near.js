'use strict';

// "Near" without its order. Pages go by id, and `$nearSphere` would sort them by distance.

const RADIANS = {
  $maxDistance: 1,
  $maxDistanceInRadians: 1,
  $maxDistanceInMiles: 1 / 3959,
  $maxDistanceInKilometers: 1 / 6371,
};

/**
 * The same rows, by a clause that does not sort them.
 * @param {object} where
 * @returns {object}
 */
function nearWithoutOrder(where) {
  return Object.fromEntries(
    Object.entries(where).map(([key, value]) => [key, plain(key, value)]),
  );
}

function plain(key, value) {
  if (key === '$and' && Array.isArray(value)) return value.map(nearWithoutOrder);
  if (typeof value !== 'object' || value === null || !('$nearSphere' in value)) return value;
  const { $nearSphere: center, ...rest } = value;
  const limit = Object.keys(RADIANS).find(each => each in rest);
  if (limit === undefined) return { ...rest, $exists: true };
  const { [limit]: distance, ...others } = rest;
  return { ...others, $geoWithin: { $centerSphere: [center, distance * RADIANS[limit]] } };
}

module.exports = { nearWithoutOrder };
