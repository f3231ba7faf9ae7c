'use strict';

/** Who invoked the function: an event's headers and trigger, as START tells of them; no I/O. */

const propagation = require('./propagation');
const triggers = require('./triggers');
const { attributesText } = require('./json');

/** Tags of START's texts, in PROTOCOL.md. */
const TAG = Object.freeze({ PARENT: 7, TRACESTATE: 8, SPAN_NAME: 9, ATTRIBUTES: 10, LINKS: 11 });

/**
 * {parent (a context, or null), baggage, trigger, texts (tag → text)} of an event, for the
 * propagators `names`. `eventPath` is where the event holds a carrier of the user's own;
 * `xrayHeader`, the runtime's, is one carrier.
 */
function callerOf(event, names, eventPath, xrayHeader) {
  const found = triggers.recognise(event, eventPath);
  const { carrier } = found;
  if (xrayHeader && (names.includes(propagation.XRAY) || names.includes(propagation.XRAY_LAMBDA))) {
    carrier['x-amzn-trace-id'] ??= xrayHeader;
  }
  const parent = propagation.extract(names, carrier);
  const baggage = names.includes(propagation.BAGGAGE) ? propagation.baggageIn(carrier) : '';
  return { parent, baggage, trigger: found.trigger, texts: textsOf(names, found, parent) };
}

/** What START says of the caller; nothing where nobody has said anything. */
function textsOf(names, found, parent) {
  const texts = {};
  if (parent !== null) {
    texts[TAG.PARENT] = propagation.traceparent(parent.traceId, parent.spanId, parent.flags);
    texts[TAG.TRACESTATE] = parent.tracestate;
  }
  const cut = parent === null ? 0 : propagation.tracestateCut(names, found.carrier);
  if (found.trigger === triggers.OTHER && !cut && !found.carriers.length) return texts;
  const attributes = { 'faas.trigger': found.trigger, ...found.attributes };
  if (cut) attributes['spanpipe.tracestate.cut'] = cut;
  if (found.cutCount) attributes['spanpipe.links.cut'] = found.cutCount;
  const links = found.carriers
    .map((one) => propagation.extract(names, one) ?? propagation.ofXray(one))
    .filter((link) => link !== null)
    .map((link) => propagation.traceparent(link.traceId, link.spanId, link.flags));
  texts[TAG.LINKS] = links.join(' ');
  texts[TAG.SPAN_NAME] = found.name;
  texts[TAG.ATTRIBUTES] = attributesText(attributes);
  return texts;
}

module.exports = { callerOf };
