'use strict';

/**
 * Which traces are sampled: any of OpenTelemetry's samplers comes down to three bounds, as
 * PROTOCOL.md has them: for a trace that begins here, for one whose caller has sampled it, and
 * for one whose caller has not. A trace is where the last 8 bytes of its ID are below the bound.
 */

const { SAMPLED } = require('./propagation');

const BOUNDS = /^([0-9a-f]{1,17}),([0-9a-f]{1,17}),([0-9a-f]{1,17})$/;

/** The flags that others are told; `callerFlags` null: the trace begins here. */
function toldFlags(text, traceId, callerFlags) {
  const flags = callerFlags === null ? SAMPLED : callerFlags & 3;
  const bounds = BOUNDS.exec(text);
  if (!bounds) return flags;
  const which = callerFlags === null ? 1 : callerFlags & SAMPLED ? 2 : 3;
  const isSampled = traceId.readBigUInt64BE(8) < BigInt(`0x${bounds[which]}`);
  return isSampled ? flags | SAMPLED : flags & ~SAMPLED;
}

module.exports = { toldFlags };
