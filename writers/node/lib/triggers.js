'use strict';

/**
 * What invoked the function: one table of recognisers over its event; no I/O. Held by vectors to
 * the Python writer, whose `fifo/triggers.py` names the sources.
 *
 * An event is the user's or a stranger's: nothing in it is taken to be there, or to have a type.
 * `recognise` never throws, looks at a bounded part of it, and what it keeps is bounded.
 */

const { HEADERS, partition } = require('./propagation');

const HTTP = 'http';
const PUBSUB = 'pubsub';
const TIMER = 'timer';
const DATASOURCE = 'datasource';
const OTHER = 'other';

/** Characters of one attribute. */
const MAX_TEXT = 1024;
/** Of a batch, whose carriers are read: OpenTelemetry's default limit for links. */
const MAX_RECORDS = 128;
/** Of one request that are looked at. */
const MAX_HEADERS = 256;
/** Steps into the event of a carrier that the user has named. */
const MAX_KEY_PATH = 8;
/** Characters of texts in an event that are decoded on that way: a millisecond at most. */
const MAX_DECODED = 65_536;
/** Of one Kafka header: the longest that is used, a baggage. */
const MAX_HEADER_BYTES = 8_192;
/** 10000-01-01: what comes later has no time of ISO 8601's plain form. */
const MAX_UNIX_S = 253_402_300_800;

const METHODS = new Set(
  ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'],
);
const USED_HEADERS = new Set([...HEADERS, 'user-agent', 'x-forwarded-proto', 'host']);

/**
 * What is known of an invocation from its event. `name` is the span's where the conventions ask
 * for another than the function's; `carrier` holds the caller's headers, lower-case, `carriers`
 * those of each message of a batch, which give links; `cutCount` counts messages not looked at.
 */
class Found {
  trigger = OTHER;
  name = '';
  attributes = {};
  carrier = {};
  carriers = [];
  cutCount = 0;

  /** One attribute, where `value` is a text that is not empty. */
  put(name, value) {
    if (typeof value === 'string' && value) this.attributes[name] = cut(value);
  }
}

/** What `event` tells. `keyPath` names one more carrier in it, as `detail.trace`. */
function recognise(event, keyPath = '') {
  const found = new Found();
  if (!isMapping(event)) return found;
  try {
    for (const [key, recogniser] of TABLE) {
      if (Object.hasOwn(event, key) && recogniser(event, found)) break;
    }
  } catch {
    // A stranger's; what was found stays.
  }
  if (keyPath) {
    try {
      ownCarriers(event, keyPath, found);
    } catch {
      // As above.
    }
  }
  return found;
}

// Parts of events

function isMapping(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The mapping under `keys`, {} where there is none. */
function part(value, ...keys) {
  let one = value;
  for (const key of keys) one = get(one, key);
  return isMapping(one) ? one : {};
}

/** What an own key of a mapping has; nothing is inherited. */
function get(value, key) {
  return isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isEmpty(value) {
  if (isMapping(value)) return Object.keys(value).length === 0;
  return Array.isArray(value) ? value.length === 0 : !value;
}

/** At most `MAX_TEXT` characters, none of them halved. */
function cut(text) {
  if (text.length <= MAX_TEXT) return text;
  return [...text.slice(0, 2 * MAX_TEXT)].slice(0, MAX_TEXT).join('');
}

function asText(value) {
  return typeof value === 'string' ? value : '';
}

/** What an event says that is not to be understood: the recogniser goes no further. */
function refuse() {
  throw new TypeError('no such event');
}

function last(arn) {
  return asText(arn).slice(asText(arn).lastIndexOf(':') + 1);
}

/** `orders` in `…:stream/orders/consumer/…`, for the kind `stream`. */
function named(arn, kind) {
  return partition(partition(asText(arn), `:${kind}/`)[1] ?? '', '/')[0];
}

/** Those of `headers` that are used; a value may be a list of texts, whose first counts. */
function take(headers, carrier) {
  if (!isMapping(headers)) return;
  let index = 0;
  for (const name of Object.keys(headers)) {
    if (index >= MAX_HEADERS) return;
    index += 1;
    const lower = name.toLowerCase();
    if (!USED_HEADERS.has(lower)) continue;
    let value = headers[name];
    if (Array.isArray(value) && value.length) {
      const isList = lower === 'tracestate' || lower === 'baggage';
      if (isList && value.some((one) => typeof one !== 'string')) refuse();
      value = isList ? value.join(',') : value[0];
    }
    if (typeof value === 'string') carrier[lower] ??= value;
  }
}

/** The carrier in the attributes of a message, each a mapping whose `key` has the text. */
function messageAttributes(attributes, key) {
  const carrier = {};
  for (const name of Object.keys(attributes)) {
    const lower = name.toLowerCase();
    const value = USED_HEADERS.has(lower) ? get(attributes[name], key) : undefined;
    if (typeof value === 'string') carrier[lower] = value;
  }
  return carrier;
}

/**
 * What the user's path leads to: one mapping is the carrier, several give links. A step into a
 * list is one into each of its items, or into the one that a number names. A text on the way is
 * read as JSON, or as JSON in base64, as a Kinesis record's data may be.
 */
function ownCarriers(event, keyPath, found) {
  const left = { characters: MAX_DECODED };
  let places = [event];
  for (const key of keyPath.split('.').slice(0, MAX_KEY_PATH)) {
    const reached = [];
    for (const place of places) {
      if (Array.isArray(place) && /^[0-9]+$/.test(key)) {
        reached.push(...place.slice(Number(key), Number(key) + 1));
        continue;
      }
      for (const one of mappings(place, left, found)) {
        if (Object.hasOwn(one, key)) reached.push(one[key]);
      }
    }
    places = reached.slice(0, MAX_RECORDS);
  }
  const carriers = [];
  let count = 0;
  for (const place of places) {
    for (const one of mappings(place, left, found)) {
      const carrier = {};
      take(one, carrier);
      count += 1;
      if (!isEmpty(carrier)) carriers.push(carrier);
    }
  }
  if (count === 1 && carriers.length) found.carrier = { ...carriers[0], ...found.carrier };
  else found.carriers.push(...carriers);
}

/** The mappings that `value` is, holds or has in its texts. */
function mappings(value, left, found) {
  const items = Array.isArray(value) ? value : [value];
  found.cutCount += Math.max(0, items.length - MAX_RECORDS);
  const kept = [];
  for (let item of items.slice(0, MAX_RECORDS)) {
    if (typeof item === 'string') {
      if (item.length > left.characters) {
        found.cutCount += 1;
        continue;
      }
      left.characters -= item.length;
      item = decoded(item);
    }
    if (isMapping(item)) kept.push(item);
  }
  return kept;
}

/** The JSON in `text`; undefined where there is none. */
function decoded(text) {
  try {
    const isPlain = text.startsWith('{') || text.startsWith('[');
    return JSON.parse(isPlain ? text : Buffer.from(text, 'base64').toString());
  } catch {
    return undefined;
  }
}

// HTTP

function http(found, method, path, route, agent = '') {
  found.trigger = HTTP;
  const given = asText(method);
  const known = METHODS.has(given.toUpperCase()) ? given.toUpperCase() : '_OTHER';
  if (known !== given) found.put('http.request.method_original', given);
  found.put('http.request.method', known);
  found.put('http.route', route);
  found.put('url.path', path);
  const { carrier } = found;
  found.put('url.scheme', carrier['x-forwarded-proto'] ?? 'https');
  found.put('server.address', partition(carrier.host ?? '', ':')[0]);
  found.put('user_agent.original', isEmpty(agent) ? carrier['user-agent'] : agent);
  const shown = known === '_OTHER' ? 'HTTP' : known;
  found.name = route ? cut(`${shown} ${route}`) : shown;
  return true;
}

function requestContext(event, found) {
  const context = part(event, 'requestContext');
  // Where both are there they hold the same names; a load balancer sends one of them.
  const headers = get(event, 'headers');
  take(isEmpty(headers) ? get(event, 'multiValueHeaders') : headers, found.carrier);
  // An authorizer's: its result is a policy, not the answer.
  if (get(event, 'type') === 'REQUEST') return true;
  const given = part(context, 'http');
  if (!isEmpty(given)) {
    // Payload 2.0: an HTTP API or a function URL.
    const key = asText(get(event, 'routeKey'));
    const route = key === '$default' ? '' : partition(key, ' ')[1] ?? '';
    found.put('url.query', get(event, 'rawQueryString'));
    const raw = get(event, 'rawPath');
    const path = isEmpty(raw) ? get(given, 'path') : raw;
    return http(found, get(given, 'method'), path, route, get(given, 'userAgent'));
  }
  if (Object.hasOwn(context, 'connectionId')) {
    // A WebSocket's CONNECT, MESSAGE or DISCONNECT.
    found.trigger = HTTP;
    const route = get(context, 'routeKey');
    found.put('http.route', route);
    found.put('url.scheme', 'wss');
    found.put('server.address', get(context, 'domainName'));
    found.name = cut(asText(route));
    return true;
  }
  if (!Object.hasOwn(event, 'httpMethod')) return false;
  const route = Object.hasOwn(context, 'elb') ? '' : asText(get(event, 'resource'));
  query(event, found);
  return http(found, get(event, 'httpMethod'), get(event, 'path'), route);
}

/** `url.query` from the parameters, decoded as Lambda gives them, up to the bound. */
function query(event, found) {
  const several = get(event, 'multiValueQueryStringParameters');
  const given = isEmpty(several) ? get(event, 'queryStringParameters') : several;
  if (!isMapping(given)) return;
  const pairs = [];
  for (const name of Object.keys(given)) {
    const values = given[name];
    for (const value of Array.isArray(values) ? values.slice(0, MAX_HEADERS) : [values]) {
      if (typeof value === 'string') pairs.push(`${name}=${value}`);
    }
    if (pairs.length > MAX_HEADERS) break;
  }
  found.put('url.query', pairs.join('&'));
}

const GRAPHQL = ['query', 'mutation', 'subscription'];

function appsync(event, found) {
  const info = part(event, 'info');
  if (!Object.hasOwn(info, 'fieldName')) return false;
  found.trigger = HTTP;
  take(get(part(event, 'request'), 'headers'), found.carrier);
  const kind = asText(get(info, 'parentTypeName')).toLowerCase();
  // Else the field is of a type, somewhere below.
  if (GRAPHQL.includes(kind)) found.put('graphql.operation.type', kind);
  found.put('user_agent.original', found.carrier['user-agent']);
  return true;
}

// Records

function records(event, found) {
  const all = event.Records;
  const first = Array.isArray(all) ? all[0] : undefined;
  if (!isMapping(first)) return false;
  const given = get(first, 'eventSource');
  const source = isEmpty(given) ? get(first, 'EventSource') : given;
  if (typeof source !== 'string') return Object.hasOwn(first, 'cf') && cloudfront(first, found);
  const recogniser = SOURCES.get(source);
  if (recogniser === undefined) return false;
  recogniser(first, found);
  if (!MESSAGES.has(recogniser)) return true;
  batch(found, all.length);
  found.cutCount = Math.max(0, all.length - MAX_RECORDS);
  for (const record of all.slice(0, MAX_RECORDS)) {
    let carrier = carrierOfRecord(record);
    // SQS's own X-Ray header is a link, never the parent.
    const header = get(part(record, 'attributes'), 'AWSTraceHeader');
    if (all.length === 1) [found.carrier, carrier] = [carrier, {}];
    if (typeof header === 'string') carrier['x-amzn-trace-id'] ??= header;
    if (!isEmpty(carrier)) found.carriers.push(carrier);
  }
  return true;
}

/** The conventions have an ID for one message alone, and a count for more of them alone. */
function batch(found, count) {
  if (count <= 1) return;
  found.attributes['messaging.batch.message_count'] = count;
  delete found.attributes['messaging.message.id'];
}

function carrierOfRecord(record) {
  const carrier = messageAttributes(part(record, 'messageAttributes'), 'stringValue');
  if (!isEmpty(carrier)) return carrier;
  return messageAttributes(part(record, 'Sns', 'MessageAttributes'), 'Value');
}

function messaging(found, system, destination) {
  found.trigger = PUBSUB;
  found.put('messaging.system', system);
  found.put('messaging.operation.type', 'process');
  found.put('messaging.operation.name', 'process');
  found.put('messaging.destination.name', destination);
}

function sqs(first, found) {
  messaging(found, 'aws_sqs', last(get(first, 'eventSourceARN')));
  found.put('messaging.message.id', get(first, 'messageId'));
}

function sns(first, found) {
  const message = part(first, 'Sns');
  const topic = get(message, 'TopicArn');
  messaging(found, 'aws.sns', last(topic));
  found.put('aws.sns.topic.arn', topic);
  found.put('messaging.message.id', get(message, 'MessageId'));
}

function kinesis(first, found) {
  // A record has no place for context but its data, whose form is the user's: `event_path`.
  messaging(found, 'aws.kinesis', named(get(first, 'eventSourceARN'), 'stream'));
}

/** What DynamoDB and S3 call an event, S3 up to the colon. */
const OPERATIONS = new Map([
  ['INSERT', 'insert'], ['MODIFY', 'edit'], ['REMOVE', 'delete'],
  ['ObjectCreated', 'insert'], ['ObjectTagging', 'edit'], ['ObjectAcl', 'edit'],
  ['ObjectRemoved', 'delete'], ['LifecycleExpiration', 'delete'],
]);

function dynamodb(first, found) {
  found.trigger = DATASOURCE;
  found.put('faas.document.collection', named(get(first, 'eventSourceARN'), 'table'));
  found.put('faas.document.operation', OPERATIONS.get(get(first, 'eventName')));
  const seconds = get(part(first, 'dynamodb'), 'ApproximateCreationDateTime');
  if (typeof seconds === 'number' && seconds >= 0 && seconds < MAX_UNIX_S) {
    const text = new Date(Math.floor(seconds) * 1000).toISOString();
    found.put('faas.document.time', text.replace('.000Z', 'Z'));
  }
}

function s3(first, found) {
  found.trigger = DATASOURCE;
  const name = partition(asText(get(first, 'eventName')), ':')[0];
  found.put('faas.document.collection', get(part(first, 's3', 'bucket'), 'name'));
  found.put('faas.document.name', get(part(first, 's3', 'object'), 'key'));
  found.put('faas.document.time', get(first, 'eventTime'));
  found.put('faas.document.operation', OPERATIONS.get(name));
}

const SOURCES = new Map([
  ['aws:sqs', sqs], ['aws:sns', sns], ['aws:kinesis', kinesis],
  ['aws:dynamodb', dynamodb], ['aws:s3', s3],
]);
const MESSAGES = new Set([sqs, sns, kinesis]);

function cloudfront(first, found) {
  const request = part(first, 'cf', 'request');
  if (isEmpty(request)) {
    found.trigger = HTTP; // a response's event may come without
    return true;
  }
  const headers = part(request, 'headers');
  for (const name of Object.keys(headers)) {
    const pairs = USED_HEADERS.has(name) ? headers[name] : undefined;
    if (!Array.isArray(pairs) || !pairs.length) continue;
    if (!isMapping(pairs[0])) refuse();
    const value = get(pairs[0], 'value');
    if (typeof value === 'string') found.carrier[name] = value;
  }
  found.put('url.query', get(request, 'querystring'));
  return http(found, get(request, 'method'), get(request, 'uri'), '');
}

function msk(event, found) {
  if (event.eventSource !== 'aws:kafka' && event.eventSource !== 'SelfManagedKafka') return false;
  const partitions = Object.values(part(event, 'records'));
  const batches = partitions.filter((one) => Array.isArray(one) && one.length);
  const count = batches.reduce((sum, one) => sum + one.length, 0);
  const first = batches.length ? part(batches[0][0]) : {};
  messaging(found, 'kafka', get(first, 'topic'));
  batch(found, count);
  if (batches.length === 1 && Number.isSafeInteger(get(first, 'partition'))) {
    found.put('messaging.destination.partition.id', String(first.partition));
  }
  if (count === 1 && Number.isSafeInteger(get(first, 'offset'))) {
    found.attributes['messaging.kafka.offset'] = first.offset;
  }
  let left = MAX_RECORDS;
  for (const one of batches) {
    for (const record of one.slice(0, left)) {
      const carrier = kafkaHeaders(record);
      if (!isEmpty(carrier)) found.carriers.push(carrier);
    }
    left = Math.max(0, left - one.length);
  }
  found.cutCount = Math.max(0, count - MAX_RECORDS);
  if (count === 1 && found.carriers.length) found.carrier = found.carriers.pop();
  return true;
}

/**
 * The carrier in a Kafka record's headers: a list of names, each with a list of bytes. Lambda
 * gives the bytes as numbers, as Java does: from -128.
 */
function kafkaHeaders(record) {
  const headers = get(record, 'headers');
  const carrier = {};
  for (const header of Array.isArray(headers) ? headers.slice(0, MAX_HEADERS) : []) {
    const [name] = isMapping(header) ? Object.keys(header) : []; // one header has one name
    const lower = asText(name).toLowerCase();
    const value = USED_HEADERS.has(lower) ? header[name] : undefined;
    if (!Array.isArray(value) || value.length > MAX_HEADER_BYTES) continue;
    if (!value.every(isByte)) refuse();
    carrier[lower] = Buffer.from(value.map((one) => one & 0xff)).toString();
  }
  return carrier;
}

/** Python takes true for 1 as well. */
function isByte(one) {
  return Number.isInteger(one) || typeof one === 'boolean';
}

// Events of one shape

function eventbridge(event, found) {
  if (!Object.hasOwn(event, 'source')) return false;
  take(get(event, 'detail'), found.carrier);
  if (['Scheduled Event', 'Scheduled'].includes(event['detail-type'])) {
    found.trigger = TIMER;
    found.put('faas.time', get(event, 'time'));
    return true;
  }
  messaging(found, 'aws.eventbridge', ''); // the bus is not told
  found.put('messaging.message.id', get(event, 'id'));
  return true;
}

function cognito(event) {
  return Object.hasOwn(event, 'userPoolId') || Object.hasOwn(event, 'identityPoolId');
}

/** A state's input with the carrier in it, as the state machine's author has passed it on. */
function stepFunctions(event, found) {
  take(event, found.carrier);
  return !isEmpty(found.carrier);
}

/** An AWS IoT rule's SQL may add the topic; without it the event is a device's own text. */
function iot(event, found) {
  if (typeof event.topic !== 'string' || !Object.hasOwn(event, 'clientid')) return false;
  messaging(found, 'aws.iot', event.topic);
  return true;
}

/** The key that an event of a kind has, and who looks closer; the first that says yes counts. */
const TABLE = [
  ['requestContext', requestContext],
  ['Records', records],
  ['detail-type', eventbridge],
  ['eventSource', msk],
  ['info', appsync],
  ['triggerSource', cognito],
  ['identityPoolId', cognito],
  ['topic', iot],
  ['traceparent', stepFunctions],
  ['b3', stepFunctions],
];

// Its end

/** What a handler's result says of itself: an HTTP status, failed items of a batch; or null. */
function outcomeOf(trigger, result) {
  if (!isMapping(result)) return null;
  try {
    return trigger === HTTP ? statusOf(result.statusCode) : failuresOf(result.batchItemFailures);
  } catch {
    return null; // a getter of the function's own
  }
}

function statusOf(given) {
  const isDigits = typeof given === 'string' && /^[0-9]+$/.test(given);
  const status = isDigits ? Number(given.slice(0, 4)) : given;
  const isStatus = Number.isInteger(status) && status >= 100 && status <= 599;
  return isStatus ? { 'http.response.status_code': status } : null;
}

function failuresOf(given) {
  return Array.isArray(given) ? { 'spanpipe.batch.failed_count': given.length } : null;
}

module.exports = { OTHER, outcomeOf, recognise };
