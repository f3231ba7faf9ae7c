'use strict';

/** Which writer, which invocation and which span the calling code is in. */

const { AsyncLocalStorage } = require('node:async_hooks');

const { Writer } = require('./writer');

/** Holds {writer, invocation, spanId}; spanId null: in the invocation span itself. */
const storage = new AsyncLocalStorage();

let writer = null;

/** The process's own writer, made at the first call. */
function processWriter() {
  writer ??= new Writer(process.env.SPANPIPE_DIR || '/tmp', { environ: process.env });
  return writer;
}

module.exports = { processWriter, storage };
