'use strict';

/** W3C Trace Context and Baggage: headers in and out; no I/O. Nothing in an event is trusted. */

const NAMES = ['traceparent', 'tracestate', 'baggage'];
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;
/** A member's value ends in no blank and has neither comma nor equals sign. */
const MEMBER = new RegExp(
  '^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})'
  + '=[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]$',
);
const PRINTABLE = /^[\x20-\x7e]+$/;
const MAX_TRACEPARENT = 512;
const MAX_TRACESTATE = 512;
const MAX_MEMBERS = 32;
const MAX_BAGGAGE = 8192;
const MAX_HEADERS = 256;
const MAX_STEPS = 8;

/** The propagators in force: `OTEL_PROPAGATORS`, else the policy's, else W3C's two. */
function propagators(environ, policy) {
  const text = environ.OTEL_PROPAGATORS || policy.propagators || 'tracecontext,baggage';
  const names = text.split(',').map((name) => name.trim());
  return new Set(names.includes('none') ? [] : names);
}

/** {traceId, spanId, flags, tracestate, baggage} of the caller; traceId null: none is named. */
function callerOf(event, names, eventPath) {
  const carrier = carrierOf(event, eventPath);
  const caller = { traceId: null, spanId: null, flags: 1, tracestate: '', baggage: '' };
  if (names.has('tracecontext') && (carrier.traceparent || '').length <= MAX_TRACEPARENT) {
    const found = TRACEPARENT.exec((carrier.traceparent || '').trim());
    if (found && valid(found)) {
      caller.traceId = Buffer.from(found[2], 'hex');
      caller.spanId = Buffer.from(found[3], 'hex');
      caller.flags = parseInt(found[4], 16);
      caller.tracestate = validTracestate(carrier.tracestate || '');
    }
  }
  const baggage = carrier.baggage || '';
  if (names.has('baggage') && baggage.length <= MAX_BAGGAGE && PRINTABLE.test(baggage)) {
    caller.baggage = baggage;
  }
  return caller;
}

function valid([, version, traceId, spanId, , rest]) {
  return version !== 'ff' && !(version === '00' && rest !== undefined)
    && !ZEROS.test(traceId) && !ZEROS.test(spanId);
}

/** The headers of an HTTP request, of a state machine's input, or at the user's own place. */
function carrierOf(event, eventPath) {
  const carrier = {};
  if (event === null || typeof event !== 'object') return carrier;
  if (event.requestContext) {
    take(event.headers, carrier);
    take(event.multiValueHeaders, carrier);
  } else if (event.traceparent) {
    take(event, carrier);
  }
  if (eventPath) {
    let value = event;
    for (const key of eventPath.split('.').slice(0, MAX_STEPS)) {
      value = value !== null && typeof value === 'object' && Object.hasOwn(value, key)
        ? value[key] : undefined;
    }
    take(value, carrier);
  }
  return carrier;
}

function take(headers, carrier) {
  if (headers === null || typeof headers !== 'object') return;
  for (const key of Object.keys(headers).slice(0, MAX_HEADERS)) {
    const name = key.toLowerCase();
    if (!NAMES.includes(name)) continue;
    const value = Array.isArray(headers[key]) ? joined(name, headers[key]) : headers[key];
    if (typeof value === 'string') carrier[name] ??= value;
  }
}

/** Of a header that came more than once; only a list may be put together. */
function joined(name, values) {
  return name === 'traceparent' ? values[0] : values.slice(0, MAX_HEADERS).join(',');
}

function validTracestate(text) {
  if (text.length > MAX_TRACESTATE) return '';
  const members = text.split(',').map((part) => part.trim()).filter(Boolean);
  const keys = new Set(members.map((member) => member.split('=', 1)[0]));
  const good = members.length <= MAX_MEMBERS && keys.size === members.length
    && members.every((member) => MEMBER.test(member));
  return good ? members.join(',') : '';
}

/** Version 0, whose only flags are `sampled` and `random`. */
function traceparent(traceId, spanId, flags) {
  const text = (flags & 3).toString(16).padStart(2, '0');
  return `00-${traceId.toString('hex')}-${spanId.toString('hex')}-${text}`;
}

module.exports = { callerOf, propagators, traceparent };
