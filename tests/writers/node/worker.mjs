/** As examples/shop/worker.py: takes the queue's messages. */

import { capture, span } from 'spanpipe';

import patient from './patient.cjs';

export const handler = capture(async (event) => {
  for (const record of event.Records) span('pack', { item: record.body }, () => {});
  return { batchItemFailures: [] };
}, patient);
