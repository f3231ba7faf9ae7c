'use strict';

/** What a function uses: `capture` around its handler, and what it may say while it runs. */

const { capture } = require('./lib/capture');
const { emit, event, inject, span, traceparent } = require('./lib/api');

module.exports = { capture, emit, event, inject, span, traceparent };
