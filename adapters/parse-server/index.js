'use strict';

// What Parse Server requires, and what is made by hand: `new PushsvcAdapter({ serverURL, apiKey })`.

const { PushsvcAdapter } = require('./lib/adapter');

module.exports = PushsvcAdapter;
module.exports.PushsvcAdapter = PushsvcAdapter;
module.exports.default = PushsvcAdapter;
