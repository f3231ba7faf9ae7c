/** A handler: its event says how it ends. */

import { capture, emit, event, span } from 'spanpipe';

class ValueError extends Error {
  name = 'ValueError';
}

export const handler = capture(async (order) => {
  await span('work', { id: order.id }, async () => event('noted'));
  if (order.fail) throw new ValueError('as asked');
  if (order.hang) {
    emit({ 'so far': order.id });
    await new Promise((wake) => setTimeout(wake, order.hang * 1000));
  }
  return { id: order.id, text: 'x'.repeat(order.bytes ?? 0) };
});
