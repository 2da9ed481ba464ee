'use strict';

// What Parse Server requires by name, and what is made by hand: a class.

const { PushsvcAdapter } = require('./lib/adapter');
const { runScheduled } = require('./lib/scheduler');

PushsvcAdapter.runScheduled = runScheduled;

module.exports = PushsvcAdapter;
module.exports.PushsvcAdapter = PushsvcAdapter;
module.exports.default = PushsvcAdapter;
