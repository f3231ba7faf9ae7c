/** As examples/shop/checkout.py: answers HTTP, and puts a message into the queue for each item. */

import { capture, inject, span } from 'spanpipe';

import patient from './patient.cjs';

async function send(item, headers) {
  const attributes = Object.entries(headers)
    .map(([name, text]) => [name, { DataType: 'String', StringValue: text }]);
  const response = await fetch(process.env.AWS_ENDPOINT_URL_SQS, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'AmazonSQS.SendMessage',
    },
    body: JSON.stringify({
      QueueUrl: process.env.QUEUE_URL,
      MessageBody: item,
      MessageAttributes: Object.fromEntries(attributes),
    }),
  });
  if (!response.ok) throw new Error(await response.text());
}

export const handler = capture(async (event) => {
  const { items } = JSON.parse(event.body);
  for (const item of items) {
    await span('send', { item }, () => send(item, inject({})));
  }
  return { statusCode: 202, body: `{"accepted": ${items.length}}` };
}, patient);
