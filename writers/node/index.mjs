import spanpipe from './index.js';

export const { capture, emit, event, inject, span, traceparent } = spanpipe;
export default spanpipe;
