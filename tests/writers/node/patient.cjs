'use strict';

/** A writer with time: no machine is so busy, and the budget has tests of its own. */

const { Writer } = require('./node_modules/spanpipe/lib/writer.js');

const directory = process.env.SPANPIPE_DIR || '/tmp';
exports.writer = new Writer(directory, { environ: process.env, budgetNs: 60_000_000_000n });
