'use strict';

const assert = require('node:assert');
const test = require('node:test');

const propagation = require('../lib/propagation');
const { toldFlags } = require('../lib/sampling');
const { outcomeOf, recognise } = require('../lib/triggers');
const { capture, inject } = require('..');
const { KIND } = require('../lib/wire');
const { Writer } = require('../lib/writer');
const { CALLERS, context, folder, told } = require('./support');

const bytes = (hex) => Buffer.from(hex, 'hex');

for (const one of CALLERS.events) {
  test(`the event "${one.name}" is taken for what it is`, () => {
    const { trigger, texts, attributes, baggage } = one;
    assert.deepStrictEqual(told(one), { trigger, texts, attributes, baggage });
  });
}

test('each propagator writes its headers', () => {
  for (const one of CALLERS.headers) {
    const here = { ...one, traceId: bytes(one.trace_id), spanId: bytes(one.span_id) };
    const headers = {};
    propagation.inject(one.propagators, headers, here, one.baggage);
    assert.deepStrictEqual(headers, one.headers);
  }
});

test('a result says what it says', () => {
  for (const { trigger, result, attributes } of CALLERS.outcomes) {
    assert.deepStrictEqual(outcomeOf(trigger, result) ?? {}, attributes, JSON.stringify(result));
  }
});

test('a sampler decides what others are told', () => {
  for (const one of CALLERS.samplers) {
    const flags = toldFlags(one.sampler, bytes(one.trace_id), one.caller_flags);
    assert.strictEqual(flags, one.told_flags, JSON.stringify(one));
  }
});

test('propagators are named by the environment, else by the policy', () => {
  for (const { text, names } of CALLERS.propagators) {
    assert.deepStrictEqual([...propagation.propagators({}, { propagators: text })], names, text);
    const environ = { OTEL_PROPAGATORS: text };
    const found = propagation.propagators(environ, { propagators: text ? 'xray' : '' });
    assert.deepStrictEqual([...found], names, text);
  }
});

test('nothing in an event throws, whatever its own code does', () => {
  const hostile = new Proxy({}, { ownKeys() { throw new Error('mine'); } });
  const getter = { get headers() { throw new Error('mine'); }, requestContext: {} };
  for (const event of [hostile, getter, { requestContext: hostile }, Object.create(null)]) {
    assert.strictEqual(recognise(event, 'a.b').trigger, 'other');
  }
  assert.strictEqual(outcomeOf('http', { get statusCode() { throw new Error('mine'); } }), null);
  // What the prototype has is no part of an event.
  assert.deepStrictEqual(recognise(Object.create({ topic: 't', clientid: 'c' })).trigger, 'other');
});

test('what is decoded on the way to a place of one\'s own is bounded', () => {
  const data = JSON.stringify({ b3: '1', x: 'y'.repeat(9000) });
  const found = recognise({ a: Array(10).fill(data) }, 'a');
  assert.deepStrictEqual([found.carriers.length, found.cutCount], [7, 3]);
});

test('the outcome is told before the result, and headers of every format go on', async (t) => {
  const { directory, frames } = folder(t, { fifo: true });
  const environ = { OTEL_PROPAGATORS: 'xray,b3', _X_AMZN_TRACE_ID: 'Root=none' };
  const writer = new Writer(directory, { environ, budgetNs: 60_000_000_000n });
  t.after(() => writer.close());
  const event = {
    requestContext: { http: { method: 'GET' } },
    headers: { b3: '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1' },
  };
  let headers = {};
  const handler = capture(async () => {
    headers = inject({});
    return { statusCode: 503 };
  }, { writer });
  await handler(event, context('r-1'));
  const [start, outcome, result] = frames();
  assert.deepStrictEqual([start.kind, outcome.kind, result.kind],
    [KIND.START, KIND.EVENT, KIND.RESULT]);
  const own = start.body.toString('hex', 4, 12);
  assert.deepStrictEqual(headers, {
    'X-Amzn-Trace-Id': `Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=${own};Sampled=1`,
    b3: `0af7651916cd43dd8448eb211c80319c-${own}-1`,
  });
  assert.match(outcome.body.toString('latin1', 12 + 16),
    /spanpipe\.outcome.*\{"http\.response\.status_code":503\}$/s);
});
