'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const { PassThrough } = require('node:stream');
const { setImmediate: pause } = require('node:timers/promises');
const test = require('node:test');

const { capture, emit, event, inject, span, traceparent } = require('..');
const { KIND } = require('../lib/wire');
const { Writer } = require('../lib/writer');
const { context, folder } = require('./support');

const NAMES = Object.fromEntries(Object.entries(KIND).map(([name, kind]) => [kind, name]));
const PREFIX = 1 + 3 + 8;

/** A writer of its own, and what has arrived: kind and what follows the fixed fields. */
function channel(t, environ = {}) {
  const { directory, frames } = folder(t, { fifo: true });
  const writer = new Writer(directory, { environ });
  t.after(() => writer.close());
  const arrived = () => frames().map(({ kind, body }) => {
    if (kind === KIND.RESULT) {
      return [NAMES[kind], body[PREFIX + 17], body.subarray(PREFIX + 18).toString()];
    }
    if (kind === KIND.ERROR) return [NAMES[kind], textsOf(body, PREFIX + 8).slice(0, 2)];
    if (kind === KIND.START) return [NAMES[kind]];
    return [NAMES[kind], body.subarray(PREFIX).toString('hex')];
  });
  return { writer, arrived, frames, directory };
}

function textsOf(body, from) {
  const found = [];
  for (let at = from; at < body.length;) {
    const length = body.readUInt16BE(at + 1);
    found.push(body.toString('utf8', at + 3, at + 3 + length));
    at += 3 + length;
  }
  return found;
}

test('an async handler answers as before, and its result is sent', async (t) => {
  const { writer, arrived } = channel(t);
  const handler = capture(async (given) => ({ got: given }), { writer });
  assert.deepStrictEqual(await handler(7, context('r-1')), { got: 7 });
  assert.deepStrictEqual(arrived(), [['START'], ['RESULT', 0, '{"got":7}']]);
});

test('what an async handler throws is sent, and thrown as it is', async (t) => {
  const { writer, arrived } = channel(t);
  const error = new RangeError('no such order: 3 €');
  const handler = capture(async () => { throw error; }, { writer });
  await assert.rejects(handler({}, context('r-1')), (thrown) => thrown === error);
  assert.deepStrictEqual(arrived(), [['START'], ['ERROR', ['RangeError', 'no such order: 3 €']]]);
});

test('what a handler throws before its first promise is sent too', (t) => {
  const { writer, arrived } = channel(t);
  const handler = capture(() => { throw 'a text'; }, { writer });
  assert.throws(() => handler({}, context('r-1')), (thrown) => thrown === 'a text');
  assert.deepStrictEqual(arrived(), [['START'], ['ERROR', ['string', 'a text']]]);
});

test('a handler with a callback tells by it, once', (t) => {
  const { writer, arrived } = channel(t);
  const handler = capture((given, _, callback) => {
    callback(null, given);
    callback(new Error('too late'));
  }, { writer });
  const answers = [];
  handler(7, context('r-1'), (error, value) => answers.push([error?.message ?? null, value]));
  assert.deepStrictEqual(answers, [[null, 7], ['too late', undefined]]);
  assert.deepStrictEqual(arrived(), [['START'], ['RESULT', 0, '7']]);
});

test('an error by callback, done, succeed and fail are ends as well', (t) => {
  const { writer, arrived } = channel(t);
  const ends = [
    (_, here, callback) => callback(new TypeError('by callback')),
    (_, here) => here.done(null, 1),
    (_, here) => here.succeed(2),
    (_, here) => here.fail(new TypeError('by fail')),
  ];
  const told = [];
  ends.forEach((end, index) => {
    const here = {
      ...context(`r-${index}`),
      done: (error, value) => told.push(['done', value]),
      succeed: (value) => told.push(['succeed', value]),
      fail: (error) => told.push(['fail', error.message]),
    };
    capture(end, { writer })({}, here, (error) => told.push(['callback', error.message]));
  });
  assert.deepStrictEqual(told,
    [['callback', 'by callback'], ['done', 1], ['succeed', 2], ['fail', 'by fail']]);
  assert.deepStrictEqual(arrived().filter(([kind]) => kind !== 'START'), [
    ['ERROR', ['TypeError', 'by callback']], ['RESULT', 0, '1'], ['RESULT', 0, '2'],
    ['ERROR', ['TypeError', 'by fail']],
  ]);
});

test('a handler that never calls back has the result null when nothing is left to do', (t) => {
  const { writer, arrived } = channel(t);
  capture(() => {}, { writer })({}, context('r-1'));
  const [first] = process.listeners('beforeExit');
  first();
  assert.deepStrictEqual(arrived(), [['START'], ['RESULT', 0, 'null']]);
  assert.ok(!process.listeners('beforeExit').includes(first));
});

test('a streaming handler tells what it has written, as text or as bytes', async (t) => {
  const { writer, arrived } = channel(t);
  const mark = Symbol.for('aws.lambda.runtime.handler.streaming');
  const streaming = async (given, stream) => {
    stream.write('aä');
    stream.write(Buffer.from(given));
    stream.end('z');
  };
  streaming[mark] = 'response';
  const handler = capture(streaming, { writer });
  assert.deepStrictEqual([handler[mark], handler.length], ['response', 2]);
  const read = [];
  for (const given of [[65], [0xff]]) {
    const stream = new PassThrough();
    await handler(given, stream, context('r-1'));
    read.push(stream.read().toString('hex'));
  }
  assert.deepStrictEqual(read, ['61c3a4417a', '61c3a4ff7a']);
  assert.deepStrictEqual(arrived().filter(([kind]) => kind === 'RESULT'),
    [['RESULT', 1, 'aäAz'], ['RESULT', 2, 'aä\ufffdz']]);
});

test('of a long stream the limit is kept, and its size is told', async (t) => {
  const { writer, frames } = channel(t);
  const handler = capture(async (given, stream) => {
    for (let n = 0; n < 100; n += 1) stream.write('ä'.repeat(10));
    stream.end();
  }, { writer, maxBodyBytes: 25 });
  await handler({}, new PassThrough({ highWaterMark: 1 << 20 }), context('r-1'));
  const { body } = frames()[1];
  assert.deepStrictEqual(
    [body.readBigUInt64BE(PREFIX + 8), body[PREFIX + 16], body.toString('utf8', PREFIX + 18)],
    [2000n, 1, 'ä'.repeat(12)],
  );
});

test('an extension that is replaced within an invocation is found', async (t) => {
  const { directory, replace } = folder(t, { fifo: true });
  const writer = new Writer(directory);
  t.after(() => writer.close());
  let frames;
  await capture(async () => { frames = replace(); }, { writer })({}, context('r-1'));
  assert.deepStrictEqual(frames().map(({ kind }) => NAMES[kind]), ['RESULT']);
  assert.deepStrictEqual(fs.readdirSync(directory), ['spanpipe-results.fifo']);
});

test('what is over the budget is dropped and counted, and the handler answers', async (t) => {
  const { directory, frames } = folder(t, { fifo: true });
  const writer = new Writer(directory, { budgetNs: 0n });
  t.after(() => writer.close());
  const handler = capture(async () => {
    event('noted');
    return 1;
  }, { writer });
  assert.strictEqual(await handler({}, context('r-1')), 1);
  assert.deepStrictEqual([frames(), writer.droppedCount, writer.faultCount], [[], 3, 0]);
});

test('the names and marks of a handler stay', (t) => {
  const { writer } = channel(t);
  async function shop(given, here) { return [given, here]; }
  shop.note = 1;
  const handler = capture(shop, { writer });
  assert.deepStrictEqual([handler.name, handler.length, handler.note], ['shop', 2, 1]);
  assert.throws(() => capture(7), /capture wraps a handler, not number/);
});

test('spans nest across awaits, and tell their own trace parent', async (t) => {
  const { writer, frames } = channel(t);
  const seen = [];
  const handler = capture(async () => {
    seen.push(traceparent());
    await span('outer', { n: 1 }, async (open) => {
      await pause();
      seen.push(traceparent());
      open.set('late', true);
      span('inner', () => seen.push(traceparent()));
      event('noted');
    });
    emit({ so: 'far' });
    await assert.rejects(span('failed', async () => { throw new RangeError('x'); }));
    seen.push(traceparent());
  }, { writer });
  await handler({}, context('r-1'));
  const all = frames();
  assert.deepStrictEqual(all.map(({ kind }) => NAMES[kind]),
    ['START', 'SPAN', 'EVENT', 'SPAN', 'PARTIAL', 'SPAN', 'RESULT']);
  const [start, inner, noted, outer, , failed] = all.map(({ body }) => body);
  const id = (body, at) => body.toString('hex', PREFIX + at, PREFIX + at + 8);
  const own = start.toString('hex', PREFIX - 8, PREFIX);
  const trace = start.toString('hex', PREFIX + 1, PREFIX + 17);
  assert.deepStrictEqual(seen.map((one) => one.slice(36, 52)),
    [own, id(outer, 0), id(inner, 0), own]);
  assert.ok(seen.every((one) => one.startsWith(`00-${trace}-`) && one.endsWith('-01')));
  assert.deepStrictEqual([id(inner, 8), id(outer, 8), id(noted, 8)],
    [id(outer, 0), '0'.repeat(16), id(outer, 0)]);
  assert.deepStrictEqual(textsOf(outer, PREFIX + 33), ['outer', '{"n":1,"late":true}']);
  assert.deepStrictEqual([failed[PREFIX + 32], textsOf(failed, PREFIX + 33).slice(0, 3)],
    [1, ['failed', 'RangeError', 'x']]);
});

test('invocations that overlap keep their spans apart', async (t) => {
  const { writer, frames } = channel(t);
  const handler = capture(async (name) => {
    await pause();
    await span(name, () => pause());
    return name;
  }, { writer });
  await Promise.all(['r-1', 'r-2', 'r-3'].map((id) => handler(id, context(id))));
  const named = frames().filter(({ kind }) => kind === KIND.SPAN)
    .map(({ body }) => [body.toString('utf8', 1, 4), textsOf(body, PREFIX + 33)[0]]);
  assert.deepStrictEqual(named, [['r-1', 'r-1'], ['r-2', 'r-2'], ['r-3', 'r-3']]);
});

test('the caller\'s trace goes on, in and out', async (t) => {
  const { writer, frames } = channel(t);
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const given = {
    requestContext: { http: { method: 'GET' } },
    headers: {
      Traceparent: `00-${trace}-b7ad6b7169203331-00`, tracestate: 'a=1, b@c=2', baggage: 'k=v',
    },
  };
  const handler = capture(async () => inject({ accept: '*/*' }), { writer });
  const headers = await handler(given, context('r-1'));
  const { body } = frames()[0];
  const own = body.toString('hex', PREFIX - 8, PREFIX);
  assert.deepStrictEqual(headers, {
    accept: '*/*', traceparent: `00-${trace}-${own}-00`, tracestate: 'a=1,b@c=2', baggage: 'k=v',
  });
  assert.deepStrictEqual(textsOf(body, PREFIX + 41).slice(-4), [
    `00-${trace}-b7ad6b7169203331-00`, 'a=1,b@c=2', 'GET',
    '{"faas.trigger":"http","http.request.method":"GET","url.scheme":"https"}',
  ]);
});

test('a load balancer\'s headers of many values are read', async (t) => {
  const { writer } = channel(t);
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const given = {
    requestContext: { elb: {} },
    multiValueHeaders: {
      traceparent: [`00-${trace}-b7ad6b7169203331-01`], tracestate: ['a=1', 'b=2'],
    },
  };
  const handler = capture(async () => inject({}), { writer });
  const headers = await handler(given, context('r-1'));
  assert.deepStrictEqual([headers.traceparent.slice(3, 35), headers.tracestate],
    [trace, 'a=1,b=2']);
});

test('a caller\'s trace that is none is not taken', async (t) => {
  const { writer } = channel(t);
  const handler = capture(async () => traceparent().slice(3, 35), { writer });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  for (const text of [`ff-${trace}-b7ad6b7169203331-00`, `00-${'0'.repeat(32)}-b7ad6b7169203331-00`,
    `00-${trace}-b7ad6b7169203331-00-x`, 'nonsense', 7]) {
    assert.notStrictEqual(await handler({ traceparent: text }, context('r-1')), trace);
  }
  assert.strictEqual(
    await handler({ traceparent: `00-${trace}-b7ad6b7169203331-00` }, context('r-2')), trace,
  );
});

test('OTEL_PROPAGATORS=none passes nothing on', async (t) => {
  const { writer } = channel(t, { OTEL_PROPAGATORS: 'none' });
  const handler = capture(async () => inject({}), { writer });
  const given = { traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01`, baggage: 'k=v' };
  assert.deepStrictEqual(await handler(given, context('r-1')), {});
});

test('outside an invocation everything does nothing', () => {
  event('nothing');
  emit(1);
  assert.deepStrictEqual([traceparent(), inject({}), span('work', () => 7)], ['', {}, 7]);
});

test('wrapped twice, an invocation is told once', async (t) => {
  const { writer, arrived } = channel(t);
  const handler = capture(capture(async () => 1, { writer }), { writer });
  assert.strictEqual(await handler({}, context('r-1')), 1);
  assert.deepStrictEqual(arrived(), [['START'], ['RESULT', 0, '1']]);
});

test('with CommonJS and as a module it is the same', async () => {
  const imported = await import('../index.mjs');
  assert.deepStrictEqual({ ...imported, default: 0 }, { ...require('..'), default: 0 });
});

test('a context without a request ID, or none at all, leaves the handler alone', async (t) => {
  const { writer, arrived } = channel(t);
  const handler = capture(async (given) => given, { writer });
  for (const here of [undefined, null, {}, { awsRequestId: 7 }, context('../etc')]) {
    assert.strictEqual(await handler(1, here), 1);
  }
  assert.deepStrictEqual(arrived(), []);
});
