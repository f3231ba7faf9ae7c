// Read by the TypeScript compiler alone: what must be a type, and what must be none.

import { capture, emit, event, inject, span, traceparent } from 'spanpipe';

export const handler = capture(async (order: { id: number }) => {
  const found: number = await span('query', { db: 'orders', tags: ['a'] }, async (open) => {
    open.set('rows', 1);
    return order.id;
  });
  const text: string = span('format', () => 'x');
  event('noted', { a: true });
  emit({ found });
  const headers = inject({ accept: text });
  return { found, traced: traceparent() + headers.accept };
}, { maxBodyBytes: 3, response: true });

export const answer: Promise<{ found: number; traced: string }> = handler({ id: 1 });

// @ts-expect-error - a date is no attribute
span('x', { at: new Date() }, () => 1);
// @ts-expect-error - a number is no handler
capture(7);
