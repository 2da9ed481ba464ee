#!/usr/bin/env node
'use strict';

const { main } = require('../lib/scheduler/command');

// Ended by hand: nothing that is waited for in vain keeps it alive.
main(process.argv.slice(2), process.env).then(code => process.exit(code));
