'use strict';

/** Frames and the bodies of messages, after PROTOCOL.md: values in, bytes out, no I/O. */

const { crc32 } = require('node:zlib');

const KIND = Object.freeze({
  START: 1, RESULT: 2, ERROR: 3, SPAN: 4, EVENT: 5, PARTIAL: 6, FILE: 7, REQUEST: 9,
});
const CONTENT = Object.freeze({ JSON: 0, TEXT: 1, BINARY: 2, NONE: 255 });

const HEADER_BYTES = 24;
/** PIPE_BUF less the header: so the kernel keeps every write whole. */
const MAX_BODY_BYTES = 4096 - HEADER_BYTES;
const MAX_FRAGMENTS = 17;
const MAX_FRAMED_BYTES = MAX_FRAGMENTS * MAX_BODY_BYTES;
const MAX_FIELD_BYTES = 0xffff;
const MAX_ERROR_TYPE_BYTES = 256;
const MAX_ERROR_MESSAGE_BYTES = 4096;
const MAX_STACK_TRACE_BYTES = 16384;
const MAX_NAME_BYTES = 1024;
const MAX_ATTRIBUTES_BYTES = 32768;
const UNKNOWN_SIZE = 0xffffffffffffffffn;
const NO_SPAN = Buffer.alloc(8);
const REQUEST_ID = /^[A-Za-z0-9_-]{1,128}$/;

function frame(kind, writerId, counter, body, sequence = 0, count = 1) {
  const data = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  data.writeUInt16BE(0xff53, 0);
  data[2] = 1;
  data[3] = kind;
  data.writeUInt16BE(sequence, 4);
  data.writeUInt16BE(count, 6);
  data.writeUInt32BE(writerId, 8);
  data.writeUInt32BE(counter >>> 0, 12);
  data.writeUInt32BE(body.length, 16);
  const head = crc32(data.subarray(0, 20));
  // zlib takes an empty buffer for the wish to begin anew.
  data.writeUInt32BE(body.length ? crc32(body, head) : head, 20);
  body.copy(data, HEADER_BYTES);
  return data;
}

/** The frames of a message of at most `MAX_FRAMED_BYTES`. */
function frames(kind, writerId, counter, body) {
  const count = Math.max(1, Math.ceil(body.length / MAX_BODY_BYTES));
  const found = [];
  for (let sequence = 0; sequence < count; sequence += 1) {
    const at = sequence * MAX_BODY_BYTES;
    const part = body.subarray(at, at + MAX_BODY_BYTES);
    found.push(frame(kind, writerId, counter, part, sequence, count));
  }
  return found;
}

/** At most `limit` bytes of UTF-8, never a part of a character. */
function cutUtf8(data, limit) {
  if (data.length <= limit) return data;
  let end = Math.max(0, limit);
  while (end > 0 && (data[end] & 0xc0) === 0x80) end -= 1;
  return data.subarray(0, end);
}

/** One tagged text, cut at `limit` bytes; an empty text is no field. */
function field(tag, text, limit = MAX_FIELD_BYTES) {
  if (!text) return Buffer.alloc(0);
  // No more characters than bytes: a long text is not encoded whole to be cut.
  const data = cutUtf8(Buffer.from(text.slice(0, limit), 'utf8'), limit);
  const head = Buffer.allocUnsafe(3);
  head[0] = tag;
  head.writeUInt16BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/** The opening of every body; `spanId` null: not known. */
function prefix(requestId, spanId) {
  const text = Buffer.from(requestId, 'latin1');
  return Buffer.concat([Buffer.from([text.length]), text, spanId || NO_SPAN]);
}

/** START. `texts` maps tags to texts. Times in nanoseconds (BigInt), the deadline in ms. */
function start(opening, { traceId, startNs, deadlineMs, memoryMb, pid, coldStart, texts }) {
  const fixed = Buffer.allocUnsafe(41);
  fixed[0] = coldStart ? 1 : 0;
  traceId.copy(fixed, 1);
  fixed.writeBigUInt64BE(startNs, 17);
  fixed.writeBigUInt64BE(BigInt(deadlineMs), 25);
  fixed.writeUInt32BE(memoryMb, 33);
  fixed.writeUInt32BE(pid, 37);
  const fields = Object.keys(texts).map((tag) => field(Number(tag), texts[tag]));
  return Buffer.concat([opening, fixed, ...fields]);
}

/** RESULT, PARTIAL or REQUEST. `body`: {data, sizeBytes (null: unknown), truncated, content}. */
function captured(opening, timeNs, { data, sizeBytes, truncated, content }) {
  const fixed = Buffer.allocUnsafe(18);
  fixed.writeBigUInt64BE(timeNs, 0);
  fixed.writeBigUInt64BE(sizeBytes === null ? UNKNOWN_SIZE : BigInt(sizeBytes), 8);
  fixed[16] = truncated ? 1 : 0;
  fixed[17] = content;
  return Buffer.concat([opening, fixed, data]);
}

function failureFields({ type, message, stack }) {
  return [
    field(1, type, MAX_ERROR_TYPE_BYTES),
    field(2, message, MAX_ERROR_MESSAGE_BYTES),
    field(3, stack, MAX_STACK_TRACE_BYTES),
  ];
}

/** ERROR. `failure`: {type, message, stack}. */
function error(opening, endNs, failure) {
  const fixed = Buffer.allocUnsafe(8);
  fixed.writeBigUInt64BE(endNs);
  return Buffer.concat([opening, fixed, ...failureFields(failure)]);
}

/** SPAN. `failure` null: it went well. */
function span(opening, { spanId, parentId, startNs, endNs, name, attributes, failure }) {
  const fixed = Buffer.allocUnsafe(33);
  spanId.copy(fixed, 0);
  (parentId || NO_SPAN).copy(fixed, 8);
  fixed.writeBigUInt64BE(startNs, 16);
  fixed.writeBigUInt64BE(endNs, 24);
  fixed[32] = failure ? 1 : 0;
  return Buffer.concat([
    opening, fixed, field(4, name, MAX_NAME_BYTES), field(5, attributes),
    ...(failure ? failureFields(failure) : []),
  ]);
}

/** EVENT, of the child span `spanId` or (null) of the invocation. */
function event(opening, { timeNs, spanId, name, attributes }) {
  const fixed = Buffer.allocUnsafe(16);
  fixed.writeBigUInt64BE(timeNs, 0);
  (spanId || NO_SPAN).copy(fixed, 8);
  return Buffer.concat([opening, fixed, field(4, name, MAX_NAME_BYTES), field(5, attributes)]);
}

/** FILE: it is read at once. */
function file(opening, name) {
  return Buffer.concat([opening, field(4, name)]);
}

module.exports = {
  CONTENT, KIND, MAX_ATTRIBUTES_BYTES, MAX_FRAMED_BYTES, REQUEST_ID,
  captured, cutUtf8, error, event, file, frame, frames, prefix, span, start,
};
