'use strict';

/** `capture`: a handler's start and its result or error, sent to the extension. */

const { isUtf8 } = require('node:buffer');

const { CONTENT, cutUtf8 } = require('./wire');
const { processWriter, storage } = require('./current');

/** Wraps an async, a callback or a streaming handler; see index.d.ts. */
function capture(handler, options = {}) {
  if (typeof handler !== 'function') {
    throw new TypeError(`capture wraps a handler, not ${typeof handler}`);
  }
  const writer = options.writer || processWriter();
  writer.announce();
  function captured(...args) {
    const invocation = begin(writer, args);
    if (invocation === null) return handler.apply(this, args);
    const call = new Call(writer, invocation, options);
    return storage.run({ writer, invocation, spanId: null }, () => call.run(this, handler, args));
  }
  return like(captured, handler);
}

/** START for this call; null where there is no invocation to speak of. */
function begin(writer, args) {
  const context = args.findLast((one) => typeof one?.awsRequestId === 'string');
  if (!context) return null;
  // Wrapped twice: once is enough.
  if (storage.getStore()?.invocation.requestId === context.awsRequestId) return null;
  return writer.start(context, args[0]);
}

/** One call of a handler, which ends once, whichever way comes first. */
class Call {
  #writer;
  #invocation;
  #options;
  #ended = false;
  #atExit = null;

  constructor(writer, invocation, options) {
    this.#writer = writer;
    this.#invocation = invocation;
    this.#options = options;
  }

  run(self, handler, args) {
    const stream = streamIn(args);
    const body = stream && watch(stream, this.#writer.bodyLimit(this.#options));
    const succeed = (value) => this.#once(() => {
      if (body) this.#writer.streamed(this.#invocation, body());
      else this.#writer.result(this.#invocation, value, this.#options);
    });
    const fail = (error) => this.#once(() => this.#writer.error(this.#invocation, error));
    let result;
    try {
      result = handler.apply(self, stream ? args : withEnds(args, succeed, fail));
    } catch (error) {
      fail(error);
      throw error;
    }
    if (typeof result?.then === 'function') {
      return result.then(
        (value) => {
          succeed(value);
          return value;
        },
        (error) => {
          fail(error);
          throw error;
        },
      );
    }
    // The runtime answers null when nothing is left to do, and nobody has called back.
    if (!this.#ended) {
      this.#atExit = () => succeed(null);
      process.prependOnceListener('beforeExit', this.#atExit);
    }
    return result;
  }

  #once(send) {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#atExit) process.off('beforeExit', this.#atExit);
    send();
  }
}

/** The arguments with a callback, and a context's `done`, `succeed` and `fail`, that tell us. */
function withEnds(args, succeed, fail) {
  const told = (callback) => function toldCallback(error, value) {
    if (error === null || error === undefined) succeed(value);
    else fail(error);
    return callback.call(this, error, value);
  };
  const given = [...args];
  if (typeof given[2] === 'function') given[2] = told(given[2]);
  const context = given[1];
  try {
    if (typeof context?.done === 'function') context.done = told(context.done);
    for (const [name, end] of [['succeed', succeed], ['fail', fail]]) {
      const original = context?.[name];
      if (typeof original !== 'function') continue;
      context[name] = function toldEnd(value) {
        end(value);
        return original.call(this, value);
      };
    }
  } catch {
    // A frozen context: its owner's.
  }
  return given;
}

function streamIn(args) {
  const [, one] = args;
  return typeof one?.write === 'function' && typeof one.end === 'function' ? one : null;
}

/** Looks on as `stream` is written to; gives what of it was kept, at most `limit` bytes. */
function watch(stream, limit) {
  const parts = [];
  let sizeBytes = 0;
  let kept = 0;
  const keep = (chunk, encoding) => {
    if (typeof chunk !== 'string' && !ArrayBuffer.isView(chunk)) return;
    const data = typeof chunk === 'string'
      ? Buffer.from(chunk, Buffer.isEncoding(encoding) ? encoding : 'utf8')
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    sizeBytes += data.length;
    if (kept > limit) return;
    // One byte over the limit tells where a character ends; a copy, for its owner may reuse it.
    const part = Buffer.from(data.subarray(0, limit + 1 - kept));
    kept += part.length;
    parts.push(part);
  };
  for (const name of ['write', 'end']) {
    const original = stream[name];
    stream[name] = function watched(chunk, encoding, ...rest) {
      try {
        keep(chunk, encoding);
      } catch {
        // Nothing of ours may end a stream.
      }
      return original.call(this, chunk, encoding, ...rest);
    };
  }
  return () => {
    if (limit === 0) return null;
    const all = Buffer.concat(parts);
    const text = cutUtf8(all, limit);
    const content = isUtf8(text) ? CONTENT.TEXT : CONTENT.BINARY;
    const data = content === CONTENT.TEXT ? text : all.subarray(0, limit);
    return { data, sizeBytes, truncated: data.length < sizeBytes, content };
  };
}

/** The runtime goes by a handler's length, and by marks that `streamifyResponse` leaves on it. */
function like(captured, handler) {
  for (const key of Reflect.ownKeys(handler)) {
    const descriptor = Object.getOwnPropertyDescriptor(handler, key);
    if (key === 'prototype') continue;
    try {
      Object.defineProperty(captured, key, descriptor);
    } catch {
      // `arguments` and `caller` of an old-fashioned function.
    }
  }
  return captured;
}

module.exports = { capture };
