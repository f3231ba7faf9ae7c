'use strict';

/**
 * What every writer of the repository can say, for the tests that hold them all to the same:
 * `speaker PREFIX COUNT BYTES (result|error) [step]`. Prints how many messages were dropped;
 * with `step`, after each invocation, a dot, and waits for a line.
 */

const fs = require('node:fs');

const { capture, emit, event, span } = require('..');
const { Writer } = require('../lib/writer');
const { context } = require('./support');

/** No machine is so busy; the budget has a test of its own. */
const BUDGET_NS = 60_000_000_000n;
const writer = new Writer(process.env.SPANPIPE_DIR, { environ: process.env, budgetNs: BUDGET_NS });

class ValueError extends Error {
  name = 'ValueError';
}

const handler = capture(async (given) => {
  span('work', { n: given.id }, () => event('noted', { ä: true }));
  emit({ 'so far': given.id });
  if (given.fail) throw new ValueError('no such order: 3 €');
  return { id: given.id, text: 'x'.repeat(given.bytes) };
}, { writer });

async function main([prefix, count, bytes, end, step]) {
  for (let id = 0; id < Number(count); id += 1) {
    const given = { id, bytes: Number(bytes), fail: end === 'error' };
    await handler(given, context(`${prefix}-${id}`)).catch(() => {});
    if (step) {
      console.log('.');
      fs.readSync(0, Buffer.alloc(1));
    }
  }
  console.log(JSON.stringify({ dropped: writer.droppedCount, faults: writer.faultCount }));
}

main(process.argv.slice(2));
