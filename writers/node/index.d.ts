export type AttributeValue = string | number | boolean | readonly string[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface CaptureOptions {
  /** Bytes of a captured body; narrows the extension's policy and never widens it. */
  maxBodyBytes?: number;
  /** `false`: nothing of the result leaves the function. */
  response?: boolean;
}

export interface OpenSpan {
  /** Adds one attribute while the span is open. */
  set(key: string, value: AttributeValue): void;
}

/**
 * Wraps a handler: async, with a callback, or streaming (`awslambda.streamifyResponse`, inside
 * or outside). It answers exactly what the handler answers and throws exactly what it throws.
 */
export function capture<Handler extends (...args: any[]) => any>(
  handler: Handler,
  options?: CaptureOptions,
): Handler;

/** Runs `work` in a child span, which ends when it returns or when its promise is settled. */
export function span<T>(name: string, work: (span: OpenSpan) => T): T;
export function span<T>(
  name: string,
  attributes: Attributes | undefined,
  work: (span: OpenSpan) => T,
): T;

/** A moment in the open span; outside an invocation nothing. */
export function event(name: string, attributes?: Attributes): void;

/** A partial result, sent now; outside an invocation nothing. */
export function emit(value: unknown): void;

/** The current span as W3C's header `traceparent`; "" outside an invocation. */
export function traceparent(): string;

/** Adds the headers of the propagators that are in force, for a call to somewhere else. */
export function inject<Headers extends Record<string, any>>(headers: Headers): Headers;
