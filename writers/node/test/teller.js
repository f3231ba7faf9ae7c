'use strict';

/**
 * What the writer makes of events, for the test that holds it to the Python writer: a line of
 * JSON in, {propagators, event_path, xray_header, event, results}, a line out.
 */

const readline = require('node:readline');

const { told } = require('./support');
const { outcomeOf } = require('../lib/triggers');

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const given = JSON.parse(line);
  const caller = told(given);
  const outcomes = given.results.map((result) => outcomeOf(caller.trigger, result));
  process.stdout.write(`${JSON.stringify({ ...caller, outcomes })}\n`);
});
