'use strict';

/**
 * Trace context in and out: headers in, a context out, and back; no I/O. Held by vectors to the
 * Python writer. Sources: W3C Trace Context and Baggage; openzipkin/b3-propagation; AWS X-Ray
 * developer guide, "Tracing header"; OpenTelemetry specification, "Propagators Distribution".
 *
 * A carrier is a mapping of lower-case header names to texts; a context {traceId, spanId, flags,
 * tracestate}.
 */

const TRACECONTEXT = 'tracecontext';
const BAGGAGE = 'baggage';
const XRAY = 'xray';
const XRAY_LAMBDA = 'xray-lambda';
const DEFAULT = Object.freeze([TRACECONTEXT, BAGGAGE]);
const SAMPLED = 0x01;

/** As in OpenTelemetry's propagator. */
const MAX_TRACEPARENT = 512;
/** What W3C asks one to pass on at least; a longer one is left out. */
const MAX_TRACESTATE = 512;
const MAX_MEMBERS = 32;
const MAX_BAGGAGE = 8192;
/** Lambda's own are below 300 characters. */
const MAX_XRAY = 1024;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^]*)?$/;
const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^[0-9a-f]{16}$/;
const ZEROS = /^0+$/;
/** A member's value ends in no blank and has neither comma nor equals sign. */
const MEMBER = new RegExp(
  '^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})'
  + '=[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]$',
);
/** A character that JavaScript counts as two. */
const PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;
const PRINTABLE = /^[\x20-\x7e]+$/;
const B3_SAMPLED = ['1', 'True', 'true', 'd'];

/** All that `extract` may look at. */
const HEADERS = Object.freeze([
  'traceparent', 'tracestate', 'baggage', 'x-amzn-trace-id', 'b3',
  'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-flags',
]);

/** The propagators in force: `OTEL_PROPAGATORS`, else the policy's, else W3C's two. */
function propagators(environ, policy) {
  const text = environ.OTEL_PROPAGATORS || policy.propagators;
  if (!text) return DEFAULT;
  const names = text.split(',').map((name) => name.trim());
  return names.includes('none') ? [] : [...new Set(names)].filter((name) => READERS.has(name));
}

// Context in

/** The span that `carrier` names, or null. Of several formats the last that names one counts. */
function extract(names, carrier) {
  let found = null;
  for (const name of names) found = READERS.get(name)(carrier) || found;
  return found;
}

function contextOf(traceText, spanText, flags, tracestate = '') {
  if (!TRACE_ID.test(traceText) || !SPAN_ID.test(spanText)) return null;
  if (ZEROS.test(traceText) || ZEROS.test(spanText)) return null;
  const [traceId, spanId] = [traceText, spanText].map((text) => Buffer.from(text, 'hex'));
  return { traceId, spanId, flags, tracestate };
}

function ofTracecontext({ traceparent: header, tracestate }) {
  if (!header || header.length > MAX_TRACEPARENT) return null;
  const found = TRACEPARENT.exec(stripped(header));
  if (!found) return null;
  const [, version, traceText, spanText, flags, rest] = found;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  return contextOf(traceText, spanText, parseInt(flags, 16), validTracestate(tracestate || ''));
}

function ofB3(carrier) {
  const single = carrier.b3;
  let [traceText, spanText, sampled, flags] = ['', '', '1', ''];
  if (single) {
    const parts = single.length > MAX_TRACEPARENT ? [] : single.split('-');
    if (parts.length < 2 || parts.length > 4) return null;
    [traceText, spanText, sampled = '1'] = parts;
  } else {
    traceText = carrier['x-b3-traceid'] ?? '';
    spanText = carrier['x-b3-spanid'] ?? '';
    sampled = carrier['x-b3-sampled'] ?? '0';
    flags = carrier['x-b3-flags'] ?? '';
  }
  if (traceText.length === 16) traceText = '0'.repeat(16) + traceText;
  const isSampled = B3_SAMPLED.includes(sampled) || flags === '1';
  return contextOf(traceText.toLowerCase(), spanText.toLowerCase(), isSampled ? SAMPLED : 0);
}

/** The span that an X-Ray header names; its parts come in any order, unknown ones beside. */
function ofXray({ 'x-amzn-trace-id': header }) {
  if (!header || header.length > MAX_XRAY) return null;
  const values = { Root: '', Parent: '', Sampled: '' };
  for (const part of header.split(';')) {
    const [name, value] = partition(part, '=');
    if (value === null && name.trim()) return null;
    if (value !== null && Object.hasOwn(values, name.trim())) values[name.trim()] = value.trim();
  }
  const root = values.Root;
  if (root.length !== 35 || !root.startsWith('1-') || root[10] !== '-') return null;
  const traceText = (root.slice(2, 10) + root.slice(11)).toLowerCase();
  return contextOf(traceText, values.Parent.toLowerCase(), values.Sampled === '1' ? SAMPLED : 0);
}

const READERS = new Map([
  [TRACECONTEXT, ofTracecontext], [BAGGAGE, () => null],
  [XRAY, ofXray], [XRAY_LAMBDA, ofXray], ['b3', ofB3], ['b3multi', ofB3],
]);

/** The baggage to pass on, as it came; "" where there is none or it is no header's text. */
function baggageIn({ baggage = '' }) {
  return baggage.length <= MAX_BAGGAGE && PRINTABLE.test(baggage) ? baggage : '';
}

/** `text` without blanks; "" where one of its members is none: then W3C drops it whole. */
function validTracestate(text) {
  if (text.length > MAX_TRACESTATE) return '';
  const members = text.split(',').map(stripped).filter(Boolean);
  const keys = new Set(members.map((member) => member.split('=', 1)[0]));
  const good = members.length <= MAX_MEMBERS && keys.size === members.length
    && members.every((member) => MEMBER.test(member));
  return good ? members.join(',') : '';
}

/** Characters of a tracestate that is over the bound, and so is left out whole; else 0. */
function tracestateCut(names, { tracestate = '' }) {
  if (tracestate.length <= MAX_TRACESTATE || !names.includes(TRACECONTEXT)) return 0;
  const count = tracestate.replace(PAIR, ' ').length;
  return count > MAX_TRACESTATE ? count : 0;
}

/** Without blanks and tabs around it: W3C's OWS, of bounded texts. */
function stripped(text) {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** [what is before `mark`, what is behind it: null without one]. */
function partition(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + mark.length)];
}

// Context out

/** Version 0, whose only flags are `sampled` and `random`. */
function traceparent(traceId, spanId, flags) {
  const text = (flags & 3).toString(16).padStart(2, '0');
  return `00-${traceId.toString('hex')}-${spanId.toString('hex')}-${text}`;
}

/** Set the headers that `names` write, for the span `here`. */
function inject(names, headers, here, baggage = '') {
  const [trace, span] = [here.traceId, here.spanId].map((id) => id.toString('hex'));
  const sampled = here.flags & SAMPLED ? '1' : '0';
  const writers = {
    [TRACECONTEXT]: () => {
      headers.traceparent = traceparent(here.traceId, here.spanId, here.flags);
      if (here.tracestate) headers.tracestate = here.tracestate;
    },
    [BAGGAGE]: () => { if (baggage) headers.baggage = baggage; },
    [XRAY]: () => {
      const root = `1-${trace.slice(0, 8)}-${trace.slice(8)}`;
      headers['X-Amzn-Trace-Id'] = `Root=${root};Parent=${span};Sampled=${sampled}`;
    },
    [XRAY_LAMBDA]: () => writers[XRAY](),
    b3: () => { headers.b3 = `${trace}-${span}-${sampled}`; },
    b3multi: () => {
      headers['x-b3-traceid'] = trace;
      headers['x-b3-spanid'] = span;
      headers['x-b3-sampled'] = sampled;
    },
  };
  for (const name of names) writers[name]();
}

module.exports = {
  BAGGAGE, HEADERS, SAMPLED, XRAY, XRAY_LAMBDA,
  baggageIn, extract, inject, ofXray, partition, propagators, traceparent, tracestateCut,
};
