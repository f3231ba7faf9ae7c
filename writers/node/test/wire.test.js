'use strict';

const assert = require('node:assert');
const test = require('node:test');

const policies = require('../lib/policy');
const wire = require('../lib/wire');
const { VECTORS, vector } = require('./support');

const SPAN = Buffer.from('0102030405060708', 'hex');
const CHILD = Buffer.from('1112131415161718', 'hex');
const OPENING = wire.prefix('8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab', SPAN);

/** How each message of the vectors is made of its fields. */
function encoded({ kind, fields }) {
  const opening = wire.prefix(
    fields.request_id,
    fields.invocation_span_id && Buffer.from(fields.invocation_span_id, 'hex'),
  );
  const failure = {
    type: fields.error_type, message: fields.message ?? fields.error_message,
    stack: fields.stack_trace,
  };
  const bytes = (hex) => (hex === null ? null : Buffer.from(hex, 'hex'));
  switch (kind) {
    case wire.KIND.START: {
      const parent = fields.parent_span_id === null ? ''
        : `00-${fields.trace_id}-${fields.parent_span_id}-0${fields.trace_flags}`;
      const links = fields.links.map(([trace, span, flags]) => `00-${trace}-${span}-0${flags}`);
      return wire.start(opening, {
        traceId: bytes(fields.trace_id),
        startNs: 1_700_000_000_000_000_001n, // more than a JSON number holds
        deadlineMs: fields.deadline_unix_ms,
        memoryMb: fields.memory_mb,
        pid: fields.pid,
        coldStart: fields.cold_start,
        texts: {
          1: fields.invoked_function_arn, 2: fields.log_group, 3: fields.log_stream,
          4: fields.xray_header, 5: fields.tenant_id, 6: fields.durable_execution_arn,
          7: parent, 8: fields.tracestate, 9: fields.span_name, 10: fields.attributes_json,
          11: links.join(' '),
        },
      });
    }
    case wire.KIND.ERROR:
      return wire.error(opening, BigInt(fields.end_unix_ns), failure);
    case wire.KIND.SPAN:
      return wire.span(opening, {
        spanId: bytes(fields.span_id), parentId: bytes(fields.parent_span_id),
        startNs: BigInt(fields.start_unix_ns), endNs: BigInt(fields.end_unix_ns),
        name: fields.name, attributes: fields.attributes_json,
        failure: fields.error_type === null ? null : failure,
      });
    case wire.KIND.EVENT:
      return wire.event(opening, {
        timeNs: BigInt(fields.time_unix_ns), spanId: bytes(fields.span_id),
        name: fields.name, attributes: fields.attributes_json,
      });
    case wire.KIND.FILE:
      return wire.file(opening, fields.name);
    default:
      return wire.captured(opening, BigInt(fields.end_unix_ns ?? fields.time_unix_ns), {
        data: bytes(fields.body.data_hex), sizeBytes: fields.body.size_bytes,
        truncated: fields.body.truncated, content: fields.body.content_kind,
      });
  }
}

const OTLP = 8;
const FUTURE = 'fa0013612074616720' + '6f662074686520667574757265';

for (const one of VECTORS.messages.filter(({ kind }) => kind !== OTLP)) {
  test(`the message "${one.name}" is encoded byte for byte`, () => {
    const future = one.name.includes('unknown tag') ? FUTURE : '';
    assert.strictEqual(encoded(one).toString('hex') + future, one.body_hex);
  });
}

for (const name of ['one frame', 'a frame without a body', 'three fragments']) {
  test(`the stream "${name}" is encoded byte for byte`, () => {
    const { hex, units } = vector('streams', name);
    const body = Buffer.concat(units.map((unit) => Buffer.from(unit.body_hex, 'hex')));
    const frames = wire.frames(units[0].kind, 0xa1b2c3d4, 1, body);
    assert.strictEqual(Buffer.concat(frames).toString('hex'), hex);
  });
}

test('the largest message is seventeen frames of 4096 bytes', () => {
  const frames = wire.frames(2, 7, 1, Buffer.alloc(wire.MAX_FRAMED_BYTES));
  assert.deepStrictEqual(frames.map((one) => one.length), Array(17).fill(4096));
});

for (const one of VECTORS.mailbox) {
  test(`the policy "${one.name}" is read`, () => {
    const record = Buffer.alloc(4096);
    Buffer.from(one.first_16_bytes_hex + (one.texts_hex ?? ''), 'hex').copy(record);
    assert.deepStrictEqual(policies.decode(record), {
      generation: one.generation, enabled: one.enabled, response: one.response,
      exporterDown: one.exporter_down, request: one.request, maxBodyBytes: one.max_body_bytes,
      propagators: one.propagators ?? '', eventPath: one.event_path ?? '',
      sampler: one.sampler ?? '',
    });
    for (const wrong of [record.subarray(1), Buffer.alloc(0), Buffer.alloc(4096)]) {
      assert.strictEqual(policies.decode(wrong), null);
    }
  });
}

test('a cut is never inside a character', () => {
  const data = Buffer.from('aä€😀');
  const cuts = Array.from({ length: data.length + 1 }, (_, n) => wire.cutUtf8(data, n).toString());
  assert.deepStrictEqual(cuts,
    ['', 'a', 'a', 'aä', 'aä', 'aä', 'aä€', 'aä€', 'aä€', 'aä€', 'aä€😀']);
});

test('texts have their bounds', () => {
  const long = 'ä'.repeat(40000);
  const body = wire.error(OPENING, 1n, { type: long, message: long, stack: long });
  assert.strictEqual(body.length, OPENING.length + 8 + 3 * 3 + 256 + 4096 + 16384);
  const event = wire.event(OPENING, { timeNs: 1n, spanId: CHILD, name: long, attributes: '' });
  assert.strictEqual(event.length, OPENING.length + 16 + 3 + 1024);
});
