'use strict';

/**
 * Any value as JSON text of bounded size; no I/O.
 *
 * `JSON.stringify` cannot be interrupted, so its time is bounded by size: once a value has been
 * over the limit, later ones are encoded piece by piece, and encoding stops at the limit.
 */

const { CONTENT, MAX_ATTRIBUTES_BYTES, cutUtf8 } = require('./wire');

const MAX_DEPTH = 64;

class Full extends Error {}

class Encoder {
  #careful = false;

  /** `value` within `maxBytes`; `sizeBytes` is null where it was never encoded whole. */
  body(value, maxBytes) {
    if (ArrayBuffer.isView(value)) {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      const data = Buffer.from(bytes.subarray(0, maxBytes));
      const truncated = data.length < bytes.length;
      return { data, sizeBytes: bytes.length, truncated, content: CONTENT.BINARY };
    }
    let text;
    let whole = true;
    if (!this.#careful) {
      try {
        text = JSON.stringify(value) ?? 'null';
      } catch {
        // A cycle, a BigInt, a toJSON that throws: the careful way describes them.
      }
    }
    if (text === undefined) [text, whole] = boundedText(value, maxBytes);
    const encoded = Buffer.from(text, 'utf8');
    const data = cutUtf8(encoded, maxBytes);
    const truncated = !whole || data.length < encoded.length;
    this.#careful ||= truncated;
    return { data, sizeBytes: whole ? encoded.length : null, truncated, content: CONTENT.JSON };
  }
}

/** [JSON text, stopped soon after `maxCharacters`; whether it is whole]. */
function boundedText(value, maxCharacters) {
  const parts = [];
  let left = maxCharacters;
  const open = new Set();
  const put = (text) => {
    parts.push(text);
    left -= text.length;
    if (left < 0) throw new Full();
  };
  const putText = (text) => {
    // Only as much as can be sent is escaped: a text may be of many megabytes.
    put(JSON.stringify(text.length <= left ? text : text.slice(0, left + 1)));
  };
  const write = (given, key, depth) => {
    let one = given;
    if (one !== null && typeof one === 'object' && typeof one.toJSON === 'function') {
      one = one.toJSON(key);
    }
    if (typeof one === 'bigint') putText(String(one));
    else if (typeof one === 'string') putText(one);
    else if (one === null || typeof one !== 'object') put(JSON.stringify(one) ?? 'null');
    else if (open.has(one)) put('"<itself>"');
    else if (depth >= MAX_DEPTH) put('"<nested too deep>"');
    else {
      open.add(one);
      if (Array.isArray(one)) writeArray(one, depth);
      else writeObject(one, depth);
      open.delete(one);
    }
  };
  const writeArray = (items, depth) => {
    put('[');
    for (let index = 0; index < items.length; index += 1) {
      if (index) put(',');
      write(items[index], String(index), depth + 1);
    }
    put(']');
  };
  const writeObject = (object, depth) => {
    put('{');
    let first = true;
    for (const key in object) {
      if (!Object.hasOwn(object, key)) continue;
      const item = object[key];
      if (item === undefined || typeof item === 'function' || typeof item === 'symbol') continue;
      if (!first) put(',');
      first = false;
      putText(key);
      put(':');
      write(item, key, depth + 1);
    }
    put('}');
  };
  try {
    write(value, '', 0);
  } catch (error) {
    if (error instanceof Full) return [parts.join(''), false];
    return ['"<not encodable>"', true];
  }
  return [parts.join(''), true];
}

/** Attributes as a JSON object; "" where there are none, described where they are too large. */
function attributesText(attributes) {
  if (attributes === null || typeof attributes !== 'object' || Array.isArray(attributes)) return '';
  const [text, whole] = boundedText(attributes, MAX_ATTRIBUTES_BYTES);
  if (!whole || Buffer.byteLength(text) > MAX_ATTRIBUTES_BYTES) {
    return '{"spanpipe.attributes":"over 32768 bytes"}';
  }
  return text.startsWith('{') && text !== '{}' ? text : '';
}

module.exports = { Encoder, attributesText };
