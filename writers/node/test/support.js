'use strict';

/** Vectors, a folder of one's own, and a Lambda context. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync } = require('node:child_process');

const { callerOf } = require('../lib/caller');

const vectorsOf = (name) => JSON.parse(
  fs.readFileSync(path.join(__dirname, '../../../tests/vectors', name), 'utf8'),
);
const VECTORS = vectorsOf('stream.json');
const CALLERS = vectorsOf('callers.json');

/** The vector of that name. */
function vector(group, name) {
  return VECTORS[group].find((one) => one.name === name);
}

/** What the writer makes of an event, in the form of the vectors. */
function told({ event, propagators, event_path: place, xray_header: header }) {
  const { trigger, baggage, texts } = callerOf(event, propagators, place, header);
  const { 10: attributes = '{}', ...others } = texts;
  const kept = Object.entries(others).filter(([, text]) => text);
  return {
    trigger, texts: Object.fromEntries(kept), attributes: JSON.parse(attributes), baggage,
  };
}

/** A folder that goes with the test; `fifo`: with a results FIFO and its reading end. */
function folder(test, { fifo = false } = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'spanpipe-node-'));
  test.after(() => fs.rmSync(directory, { recursive: true }));
  const results = path.join(directory, 'spanpipe-results.fifo');
  let descriptor = -1;
  const frames = () => framesIn(readAll(descriptor));
  const make = () => {
    execFileSync('mkfifo', ['-m', '600', results]);
    descriptor = fs.openSync(results, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  };
  const replace = () => {
    fs.closeSync(descriptor);
    fs.unlinkSync(results);
    make();
    return frames;
  };
  if (fifo) {
    make();
    test.after(() => fs.closeSync(descriptor));
  }
  return { directory, frames, replace };
}

function readAll(descriptor) {
  const parts = [];
  for (;;) {
    const part = Buffer.alloc(65536);
    try {
      parts.push(part.subarray(0, fs.readSync(descriptor, part)));
    } catch {
      return Buffer.concat(parts);
    }
  }
}

function framesIn(data) {
  const found = [];
  for (let at = 0; at < data.length;) {
    const length = data.readUInt32BE(at + 16);
    found.push({ kind: data[at + 3], body: data.subarray(at + 24, at + 24 + length) });
    at += 24 + length;
  }
  return found;
}

/** As the runtime makes it. */
function context(awsRequestId) {
  return {
    awsRequestId,
    memoryLimitInMB: '128',
    invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:shop',
    logGroupName: '/aws/lambda/shop',
    logStreamName: 's',
    getRemainingTimeInMillis: () => 1000,
  };
}

module.exports = { CALLERS, VECTORS, context, folder, told, vector };
