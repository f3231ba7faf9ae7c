'use strict';

/** The record in the control FIFO, after PROTOCOL.md: bytes in, a policy out, no I/O. */

const { crc32 } = require('node:zlib');

const RECORD_BYTES = 4096;

/** Until a record is known. */
const DEFAULT = Object.freeze({
  generation: 0, enabled: true, response: true, exporterDown: false, request: false,
  maxBodyBytes: 65536, propagators: '', eventPath: '', sampler: '',
});

/** null for anything that is no record of this version: keep what you know. */
function decode(record) {
  if (record.length !== RECORD_BYTES || record.readUInt16BE(0) !== 0xff43 || record[2] !== 1) {
    return null;
  }
  if (crc32(record.subarray(0, 12)) !== record.readUInt32BE(12)) return null;
  const flags = record[3];
  const texts = textsOf(record);
  return {
    generation: record.readUInt32BE(4),
    enabled: (flags & 1) !== 0,
    response: (flags & 2) !== 0,
    exporterDown: (flags & 4) !== 0,
    request: (flags & 8) !== 0,
    maxBodyBytes: record.readUInt32BE(8),
    propagators: texts.get(1) || '',
    eventPath: texts.get(2) || '',
    sampler: texts.get(3) || '',
  };
}

function textsOf(record) {
  const length = record.readUInt16BE(16);
  const data = record.subarray(22, 22 + length);
  const found = new Map();
  if (data.length !== length || crc32(data) !== record.readUInt32BE(18)) return found;
  for (let at = 0; at + 3 <= length;) {
    const size = data.readUInt16BE(at + 1);
    found.set(data[at], data.toString('utf8', at + 3, at + 3 + size));
    at += 3 + size;
  }
  return found;
}

module.exports = { DEFAULT, RECORD_BYTES, decode };
