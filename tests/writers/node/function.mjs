/** A function with OpenTelemetry's own SDK and exporter: what it exports goes to the receiver. */

import { ROOT_CONTEXT, SpanStatusCode, propagation, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { capture, inject } from 'spanpipe';

propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const exporter = new OTLPTraceExporter({
  url: `http://127.0.0.1:${process.env.PORT}/v1/traces`,
  compression: process.env.COMPRESSION,
});
const provider = new BasicTracerProvider({
  spanProcessors: [new BatchSpanProcessor(exporter)],
  spanLimits: { attributeValueLengthLimit: 64 },
});
const tracer = provider.getTracer('shop', '1.0');

export const handler = capture(async () => {
  const here = propagation.extract(ROOT_CONTEXT, inject({}));
  const span = tracer.startSpan('own', {
    attributes: {
      text: 'ä€😀', whole: 7, negative: -1, half: 1.5, yes: true, list: ['a', 'b'],
      cut: `${'x'.repeat(63)}😀`,
    },
    links: [{ context: trace.getSpanContext(here), attributes: { why: 'asked' } }],
  }, here);
  span.addEvent('noted', { tries: 3 });
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'as asked' });
  span.end();
  const many = Array.from({ length: 500 }, (_, n) => tracer.startSpan(`item ${n}`, {}, here));
  many.forEach((one) => one.end());
  await provider.forceFlush();
  return 'flushed';
});
