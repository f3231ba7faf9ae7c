'use strict';

const assert = require('node:assert');
const test = require('node:test');

const { Encoder, attributesText } = require('../lib/json');

const shown = ({ data, ...rest }) => ({ ...rest, text: data.toString() });

test('a result is what JSON.stringify makes of it', () => {
  for (const value of [{ a: [1, 'ä', null, undefined], b: undefined, c: NaN }, undefined, 'x',
    new Date(0), [[]], true]) {
    const text = JSON.stringify(value) ?? 'null';
    const size = Buffer.byteLength(text);
    assert.deepStrictEqual(shown(new Encoder().body(value, 1000)),
      { sizeBytes: size, truncated: false, content: 0, text });
  }
});

test('once over the limit, a value is no longer encoded whole, and gives the same prefix', () => {
  const value = { list: Array.from({ length: 1000 }, (_, n) => ({ n, t: 'ä', d: new Date(n) })) };
  const encoder = new Encoder();
  const first = shown(encoder.body(value, 501));
  const second = shown(encoder.body(value, 501));
  assert.deepStrictEqual([first.sizeBytes, second.sizeBytes],
    [Buffer.byteLength(JSON.stringify(value)), null]);
  assert.strictEqual(second.text, first.text);
  const small = { a: [1, { b: 'x' }], f() {} };
  assert.deepStrictEqual(shown(encoder.body(small, 501)),
    { sizeBytes: 19, truncated: false, content: 0, text: JSON.stringify(small) });
});

test('what JSON cannot hold is described', () => {
  const value = { big: 10n ** 20n };
  value.self = value;
  assert.strictEqual(shown(new Encoder().body(value, 1000)).text,
    '{"big":"100000000000000000000","self":"<itself>"}');
  const hostile = { toJSON() { throw new Error('no'); } };
  assert.strictEqual(shown(new Encoder().body(hostile, 1000)).text, '"<not encodable>"');
});

test('bytes are bytes', () => {
  assert.deepStrictEqual(shown(new Encoder().body(new Uint8Array([65, 66, 67]), 2)),
    { sizeBytes: 3, truncated: true, content: 2, text: 'AB' });
});

test('attributes are one bounded JSON object, or none', () => {
  assert.strictEqual(attributesText({ a: 1, b: ['x'] }), '{"a":1,"b":["x"]}');
  assert.deepStrictEqual([undefined, null, {}, 7, [1]].map(attributesText), ['', '', '', '', '']);
  assert.strictEqual(attributesText({ a: 'x'.repeat(40000) }),
    '{"spanpipe.attributes":"over 32768 bytes"}');
});
