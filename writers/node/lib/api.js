'use strict';

/** What a function may say while it runs: child spans, events, partial results, its context. */

const propagation = require('./propagation');
const { randomId } = require('./writer');
const { storage } = require('./current');

/** `span("query", {db: "orders"}, async (span) => …)`: gives what the work gives. */
function span(name, ...rest) {
  const work = rest.pop();
  const here = storage.getStore();
  const attributes = { ...rest[0] };
  const handle = { set(key, value) { attributes[key] = value; } };
  if (!here) return work(handle);
  const { writer, invocation, spanId: parentId } = here;
  const spanId = randomId(8);
  const startNs = writer.nowNs();
  const end = (failed) => {
    writer.span(invocation, { spanId, parentId, startNs, name, attributes, failed });
  };
  let result;
  try {
    result = storage.run({ writer, invocation, spanId }, work, handle);
  } catch (error) {
    end({ error });
    throw error;
  }
  if (typeof result?.then !== 'function') {
    end(null);
    return result;
  }
  return result.then(
    (value) => {
      end(null);
      return value;
    },
    (error) => {
      end({ error });
      throw error;
    },
  );
}

/** A moment in the open span; outside an invocation nothing. */
function event(name, attributes) {
  const here = storage.getStore();
  if (here) here.writer.event(here.invocation, name, attributes, here.spanId);
}

/** A partial result, sent now; outside an invocation nothing. */
function emit(value) {
  const here = storage.getStore();
  if (here) here.writer.partial(here.invocation, value);
}

/** The current span as W3C's header; "" outside an invocation. */
function traceparent() {
  const here = storage.getStore();
  if (!here) return '';
  const { traceId, spanId, flags } = contextOf(here);
  return propagation.traceparent(traceId, spanId, flags);
}

function contextOf({ invocation, spanId }) {
  const { traceId, flags, tracestate } = invocation;
  return { traceId, spanId: spanId || invocation.spanId, flags, tracestate };
}

/** Adds the headers of the propagators that are in force, for a call to somewhere else. */
function inject(headers) {
  const here = storage.getStore();
  if (!here) return headers;
  const { propagators, baggage } = here.invocation;
  propagation.inject(propagators, headers, contextOf(here), baggage);
  return headers;
}

module.exports = { emit, event, inject, span, traceparent };
