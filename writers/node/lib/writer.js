'use strict';

/**
 * The function's end of the channel. Nothing here blocks, and nothing throws into the function.
 *
 * The descriptor is opened without blocking and kept; a pipe that is full, broken or not to be
 * trusted sends the message to a file at once. Without an extension nothing is written at all.
 */

const fs = require('node:fs');
const { randomBytes } = require('node:crypto');

const callers = require('./caller');
const disk = require('./disk');
const policies = require('./policy');
const propagation = require('./propagation');
const sampling = require('./sampling');
const triggers = require('./triggers');
const wire = require('./wire');
const { Encoder, attributesText } = require('./json');

const { KIND } = wire;
const { O_RDONLY, O_WRONLY } = fs.constants;

/** For all hand-overs of one invocation together; what is over it is dropped and counted. */
const BUDGET_NS = 50_000_000n;
/** That a message into the pipe counts for: it cannot block, what takes longer is another's turn. */
const LONGEST_WRITE_NS = 1_000_000n;
/** Of the budget, for spans, events and partial results: the rest is kept for the end. */
const DETAILS_NS = 40_000_000n;
/** Where the wall clock and ours differ by more at START, it was set, or we were frozen. */
const MAX_CLOCK_ERROR_NS = 2_000_000n;
const MAX_U32 = 0xffffffff;

/** The name of an EVENT whose attributes are the invocation's own. */
const OUTCOME = 'spanpipe.outcome';

class Invocation {
  constructor(requestId, { parent, baggage, trigger }, names, sampler) {
    this.requestId = requestId;
    this.spanId = randomId(8);
    this.traceId = parent?.traceId || randomId(16);
    this.flags = sampling.toldFlags(sampler, this.traceId, parent?.flags ?? null);
    this.tracestate = parent?.tracestate ?? '';
    this.baggage = baggage;
    this.trigger = trigger;
    this.propagators = names;
    this.prefix = wire.prefix(requestId, this.spanId);
    this.spentNs = 0n;
  }
}

/**
 * One for a process (and for each worker thread). `droppedCount` counts messages that could not
 * be handed over, `cutCount` bodies cut for want of a file, `faultCount` faults of ours that
 * were kept from the function.
 */
class Writer {
  #directory;
  #environ;
  #budgetNs;
  #offsetNs = 0n;
  #descriptor = -1;
  #control = -1;
  #absent = false;
  #broken = true;
  #warned = false;
  #started = false;
  #files;
  #writerId = null;
  #counter = 0;
  #encoder = new Encoder();
  #requestEncoder = new Encoder();

  constructor(directory, { environ = {}, budgetNs = BUDGET_NS } = {}) {
    this.#directory = directory;
    this.#environ = environ;
    this.#budgetNs = budgetNs;
    this.#files = new disk.Overflow(directory);
    this.policy = policies.DEFAULT;
    this.cutCount = 0;
    this.droppedCount = 0;
    this.faultCount = 0;
    this.#settleClock();
  }

  /** Take the policy from the mailbox: it also tells the extension that a writer is here. */
  announce() {
    this.#guarded(() => this.#readPolicy());
  }

  /** Send START; null where nothing is to be sent for this invocation. `context` is Lambda's. */
  start(context, event) {
    return this.#guarded(() => {
      this.#readPolicy();
      const requestId = context.awsRequestId;
      if (!this.policy.enabled || !wire.REQUEST_ID.test(requestId)) return null;
      this.#checkDescriptor();
      if (this.#absent) return null;
      this.#settleClock();
      const names = propagation.propagators(this.#environ, this.policy);
      const xrayHeader = text(this.#environ._X_AMZN_TRACE_ID);
      const caller = callers.callerOf(event, names, this.policy.eventPath, xrayHeader);
      const invocation = new Invocation(requestId, caller, names, this.policy.sampler);
      const coldStart = !this.#started
        && this.#environ.AWS_LAMBDA_INITIALIZATION_TYPE !== 'provisioned-concurrency';
      this.#started = true;
      this.#handOver(invocation, KIND.START, wire.start(invocation.prefix, {
        traceId: invocation.traceId,
        startNs: this.nowNs(),
        deadlineMs: deadlineMs(context),
        memoryMb: Math.min(Math.max(Math.trunc(Number(context.memoryLimitInMB)) || 0, 0), MAX_U32),
        pid: process.pid,
        coldStart,
        texts: {
          1: text(context.invokedFunctionArn),
          2: text(context.logGroupName),
          3: text(context.logStreamName),
          4: xrayHeader,
          5: text(context.tenantId),
          6: text(event?.DurableExecutionArn),
          ...caller.texts,
        },
      }));
      if (this.policy.request) this.#request(invocation, event);
      return invocation;
    }) ?? null;
  }

  /** Send RESULT; the options narrow the extension's policy and never widen it. */
  result(invocation, value, options = {}) {
    this.#guarded(() => {
      const endNs = this.nowNs();
      const outcome = triggers.outcomeOf(invocation.trigger, value);
      if (outcome) {
        this.#handOver(invocation, KIND.EVENT, wire.event(invocation.prefix, {
          timeNs: endNs, spanId: null, name: OUTCOME, attributes: attributesText(outcome),
        }));
      }
      this.#sendBody(invocation, KIND.RESULT, endNs, this.#body(value, options));
    });
  }

  /** Send RESULT for a body that was written piece by piece; null: it was not captured. */
  streamed(invocation, body) {
    this.#guarded(() => {
      const kept = body || { data: Buffer.alloc(0), sizeBytes: null, truncated: false,
        content: wire.CONTENT.NONE };
      this.#sendBody(invocation, KIND.RESULT, this.nowNs(), kept);
    });
  }

  /** Bytes of a body that may be kept; 0: none. */
  bodyLimit({ maxBodyBytes, response } = {}) {
    if (!this.policy.response || response === false) return 0;
    return Math.max(0, Math.min(this.policy.maxBodyBytes, maxBodyBytes ?? Infinity));
  }

  /** Send ERROR. */
  error(invocation, error) {
    this.#guarded(() => {
      const body = wire.error(invocation.prefix, this.nowNs(), failureOf(error));
      this.#handOver(invocation, KIND.ERROR, body);
    });
  }

  /** Send a partial result. */
  partial(invocation, value) {
    this.#guarded(() => {
      if (this.#isSpared(invocation)) return;
      this.#sendBody(invocation, KIND.PARTIAL, this.nowNs(), this.#body(value, {}));
    });
  }

  /** Send an event, of the child span `spanId` or (null) of the invocation. */
  event(invocation, name, attributes, spanId) {
    this.#guarded(() => {
      if (this.#isSpared(invocation)) return;
      this.#handOver(invocation, KIND.EVENT, wire.event(invocation.prefix, {
        timeNs: this.nowNs(), spanId, name: String(name), attributes: attributesText(attributes),
      }));
    });
  }

  /** Send a child span that ends now; `failed` null, or {error} where it threw. */
  span(invocation, { spanId, parentId, startNs, name, attributes, failed }) {
    this.#guarded(() => {
      if (this.#isSpared(invocation)) return;
      this.#handOver(invocation, KIND.SPAN, wire.span(invocation.prefix, {
        spanId, parentId, startNs, endNs: this.nowNs(), name: String(name),
        attributes: attributesText(attributes),
        failure: failed ? failureOf(failed.error) : null,
      }));
    });
  }

  /** Nanoseconds since 1970; exact to the microsecond within an invocation. */
  nowNs() {
    return process.hrtime.bigint() + this.#offsetNs;
  }

  /** Close the descriptors. */
  close() {
    for (const descriptor of [this.#descriptor, this.#control]) {
      if (descriptor >= 0) fs.closeSync(descriptor);
    }
    this.#descriptor = this.#control = -1;
    this.#broken = true;
  }

  // How it is handed over

  #guarded(work) {
    try {
      return work();
    } catch {
      this.faultCount += 1;
      return undefined;
    }
  }

  #settleClock() {
    const wallNs = BigInt(Date.now()) * 1_000_000n;
    const errorNs = this.nowNs() - wallNs;
    if (errorNs < -MAX_CLOCK_ERROR_NS || errorNs > MAX_CLOCK_ERROR_NS) {
      this.#offsetNs += wallNs - this.nowNs();
    }
  }

  #isSpared(invocation) {
    if (this.policy.exporterDown) {
      this.droppedCount += 1;
      return true;
    }
    if (invocation.spentNs * BUDGET_NS >= DETAILS_NS * this.#budgetNs) {
      // Its number is used up, so that the extension misses it.
      this.#counter += 1;
      this.droppedCount += 1;
      return true;
    }
    return false;
  }

  #request(invocation, event) {
    const limit = this.policy.maxBodyBytes;
    if (limit <= 0 || this.#isSpared(invocation)) return;
    const body = this.#requestEncoder.body(event, limit);
    this.#sendBody(invocation, KIND.REQUEST, this.nowNs(), body);
  }

  #body(value, options) {
    const limit = this.bodyLimit(options);
    if (limit === 0) {
      return { data: Buffer.alloc(0), sizeBytes: null, truncated: false,
        content: wire.CONTENT.NONE };
    }
    return this.#encoder.body(value, limit);
  }

  #sendBody(invocation, kind, timeNs, body) {
    const encoded = wire.captured(invocation.prefix, timeNs, body);
    if (this.#handOver(invocation, kind, encoded)) return;
    const over = encoded.length - wire.MAX_FRAMED_BYTES;
    if (over > 0) {
      // No file could be written: what frames hold is better than nothing.
      const data = wire.cutUtf8(body.data, body.data.length - over);
      this.cutCount += 1;
      const cut = wire.captured(invocation.prefix, timeNs, { ...body, data, truncated: true });
      this.#handOver(invocation, kind, cut);
    }
  }

  /** One message, by pipe or by file; false where it was dropped (and counted). */
  #handOver(invocation, kind, body) {
    const beganNs = process.hrtime.bigint();
    let piped = false;
    this.#writerId ??= randomBytes(4).readUInt32BE();
    this.#counter += 1;
    if (invocation.spentNs >= this.#budgetNs) {
      this.droppedCount += 1;
      return false;
    }
    try {
      const framed = body.length <= wire.MAX_FRAMED_BYTES;
      piped = framed && this.#put(wire.frames(kind, this.#writerId, this.#counter, body));
      if (piped) return true;
      const name = this.#files.write(wire.frame(kind, this.#writerId, this.#counter, body));
      if (name === null) {
        this.droppedCount += 1;
        return false;
      }
      if (!framed) {
        // The frame makes it read at once; without it the next boundary does.
        this.#counter += 1;
        const named = wire.file(invocation.prefix, name);
        this.#put([wire.frame(KIND.FILE, this.#writerId, this.#counter, named)]);
      }
      return true;
    } finally {
      const tookNs = process.hrtime.bigint() - beganNs;
      invocation.spentNs += piped && tookNs > LONGEST_WRITE_NS ? LONGEST_WRITE_NS : tookNs;
    }
  }

  /** All of `frames` into the pipe; false where it is full, broken or not to be had. */
  #put(frames) {
    if (this.#broken) return false;
    const write = () => frames.forEach((one) => fs.writeSync(this.#descriptor, one));
    try {
      write();
      return true;
    } catch (error) {
      if (error.code === 'EAGAIN') return false;
      if (error.code !== 'EPIPE') {
        this.#broken = true;
        return false;
      }
    }
    // The extension went away; another may have opened the pipe since.
    this.#open();
    if (this.#broken) return false;
    try {
      write();
      return true;
    } catch (error) {
      this.#broken = error.code !== 'EAGAIN';
      return false;
    }
  }

  /** At START: open what is not open; what is open is kept, whatever is at its path. */
  #checkDescriptor() {
    if (this.#broken) this.#open();
  }

  #open() {
    this.#broken = true;
    if (this.#descriptor >= 0) {
      fs.closeSync(this.#descriptor);
      this.#descriptor = -1;
    }
    const path = `${this.#directory}/${disk.RESULTS}`;
    try {
      this.#descriptor = disk.openFifo(path, O_WRONLY);
      this.#broken = this.#absent = false;
    } catch (error) {
      this.#absent = ['ENOENT', 'ENOTDIR', 'EACCES'].includes(error.code);
      if (error.code === 'ENOENT') {
        this.#warn(`no extension: ${path} is not there, so this function's results go nowhere`);
      } else if (error instanceof disk.Untrusted) {
        this.#warn(`${error.message}; results go by file`);
      }
      // ENXIO: nobody reads. A reader may come back and finds the files.
    }
  }

  #readPolicy() {
    const record = Buffer.alloc(policies.RECORD_BYTES);
    let length;
    try {
      if (this.#control < 0) {
        this.#control = disk.openFifo(`${this.#directory}/${disk.CONTROL}`, O_RDONLY);
      }
      length = fs.readSync(this.#control, record);
    } catch {
      return; // no extension, or nothing new: keep what is known
    }
    this.policy = policies.decode(record.subarray(0, length)) || this.policy;
  }

  #warn(message) {
    if (this.#warned) return;
    this.#warned = true;
    try {
      fs.writeSync(2, `spanpipe: warning: ${message}\n`);
    } catch {
      // A function may have closed it.
    }
  }
}

/** Bytes from the operating system, never all zero. */
function randomId(size) {
  for (;;) {
    const drawn = randomBytes(size);
    if (drawn.some((byte) => byte !== 0)) return drawn;
  }
}

function text(value) {
  return typeof value === 'string' ? value : '';
}

function deadlineMs(context) {
  const left = context.getRemainingTimeInMillis?.();
  return Math.max(0, Math.trunc(Date.now() + (Number.isFinite(left) ? left : 0)));
}

/** Type, message and stack of what was thrown, whatever its own code does. */
function failureOf(error) {
  const found = { type: typeof error, message: '', stack: '' };
  try {
    if (error instanceof Error) {
      found.type = text(error.name) || 'Error';
      found.message = String(error.message);
      found.stack = text(error.stack);
    } else {
      found.message = String(error);
    }
  } catch {
    found.message = '<not to be described>';
  }
  return found;
}

module.exports = { Writer, randomId };
