/**
 * A runtime of few lines, for where Lambda's own is not to be had: asks the Runtime API for the
 * next invocation, calls `handler` of function.mjs, answers. On Lambda: provided.al2023, or drop
 * it and use the managed Node.js runtime.
 */

import { request } from 'node:http';

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${api}/${path}`, { method }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const { handler } = await import('./function.mjs');
for (;;) {
  const { headers, body } = await call('GET', 'invocation/next');
  const awsRequestId = headers['lambda-runtime-aws-request-id'];
  process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
  const context = {
    awsRequestId,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => Number(headers['lambda-runtime-deadline-ms']) - Date.now(),
  };
  try {
    const result = await handler(JSON.parse(body), context);
    await call('POST', `invocation/${awsRequestId}/response`, JSON.stringify(result) ?? 'null');
  } catch (error) {
    const told = { errorType: error?.name, errorMessage: String(error?.message ?? error) };
    await call('POST', `invocation/${awsRequestId}/error`, JSON.stringify(told));
  }
}
