//! The vectors that every writer is held to, byte for byte.

use spanpipe::caller::{callers_of, names_tracecontext, SpanContext};
use spanpipe::json::Json;
use spanpipe::policy::Policy;
use spanpipe::wire::{self, kind, Failure, SpanFields, Start};
use spanpipe::Body;

const REQUEST: &str = "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab";
const SPAN: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const CHILD: [u8; 8] = [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];
const TRACE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const FUTURE: &str = "fa00136120746167206f662074686520667574757265";
const END_NS: u64 = 1_700_000_000_100_000_000;

/// The text behind `key` in the vector of that name.
fn vector(name: &str, key: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/stream.json");
    let text = std::fs::read_to_string(path).unwrap();
    let behind = |text: &str, mark: &str| text.split_once(mark).unwrap().1.to_owned();
    let own = behind(&text, &format!("\"name\": \"{name}\","));
    behind(&own, &format!("\"{key}\": \"")).split('"').next().unwrap().to_owned()
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().collect();
    digits.chunks(2).map(|two| u8::from_str_radix(&String::from_iter(two), 16).unwrap()).collect()
}

fn opening() -> Vec<u8> {
    wire::prefix(REQUEST, SPAN)
}

#[test]
fn start() {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:shop";
    let mut fields = Start {
        cold_start: true,
        trace_id: TRACE,
        start_ns: 1_700_000_000_000_000_001,
        deadline_ms: 1_700_000_003_000,
        memory_mb: 128,
        pid: 42,
        texts: &[
            (1, &format!("{arn}:live")),
            (2, "/aws/lambda/shop"),
            (3, "2026/11/23/[7]abc"),
            (4, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"),
            (5, "blue"),
            (6, &format!("{arn}:7/durable-execution/a/b")),
            (7, ""),
        ],
    };
    assert_eq!(hex(&wire::start(&opening(), &fields)), vector("start", "body_hex"));
    let trace = hex(&TRACE);
    let links = format!("00-{trace}-3132333435363738-01 00-{trace}-4142434445464748-00");
    let parent = format!("00-{trace}-2122232425262728-00");
    fields.cold_start = false;
    let texts = [
        (7, parent.as_str()),
        (8, "vendor=1"),
        (9, "GET /orders"),
        (10, "{\\\"faas.trigger\\\":\\\"http\\\"}"),
        (11, links.as_str()),
    ];
    let attributes = texts[3].1.replace('\\', "");
    let texts = texts.map(|(tag, text)| (tag, if tag == 10 { attributes.as_str() } else { text }));
    fields.texts = &texts;
    assert_eq!(hex(&wire::start(&opening(), &fields)), vector("start with a caller", "body_hex"));
}

#[test]
fn bodies() {
    let result = wire::captured(&opening(), END_NS, &Body::json("{\"a\":1}"));
    assert_eq!(hex(&result), vector("result", "body_hex"));
    let unknown = wire::prefix(REQUEST, [0; 8]);
    let cut = wire::captured(&unknown, 5, &Body::text("ä").of_unknown_size());
    assert_eq!(hex(&cut), vector("result, cut, text, size and span unknown", "body_hex"));
    let partial = hex(&wire::captured(&opening(), 15, &Body::json("1")));
    assert_eq!(partial, vector("partial result", "body_hex"));
    assert_eq!(partial, vector("request", "body_hex"));
}

#[test]
fn error_and_spans() {
    let stack = "Traceback (most recent call last):\n";
    let failure = Failure { kind: "ValueError", message: "no such order: 3 €", stack };
    assert_eq!(hex(&wire::error(&opening(), END_NS, &failure)), vector("error", "body_hex"));
    let mut fields = SpanFields {
        span_id: CHILD,
        parent_id: [0; 8],
        start_ns: 10,
        end_ns: 20,
        name: "query",
        attributes: "{\"rows\":3}",
        failure: None,
    };
    assert_eq!(hex(&wire::span(&opening(), &fields)), vector("span", "body_hex"));
    fields.parent_id = SPAN;
    fields.attributes = "";
    fields.failure = Some(Failure { kind: "KeyError", message: "k", stack: "" });
    let failed = hex(&wire::span(&opening(), &fields)) + FUTURE;
    assert_eq!(failed, vector("span, failed, with an unknown tag", "body_hex"));
    let event = wire::event(&opening(), 15, CHILD, "cache miss", "{}");
    assert_eq!(hex(&event), vector("event", "body_hex"));
    let file = wire::file(&opening(), "spanpipe-0123456789abcdef.msg");
    assert_eq!(hex(&file), vector("file", "body_hex"));
}

#[test]
fn frames() {
    let framed = |kind, body: &[u8]| hex(&wire::frames(kind, 0xa1b2_c3d4, 1, body).concat());
    let start = bytes(&vector("start", "body_hex"));
    assert_eq!(framed(kind::START, &start), vector("one frame", "hex"));
    assert_eq!(framed(kind::RESULT, b""), vector("a frame without a body", "hex"));
    let long: Vec<u8> = (0..40).flat_map(|_| 0..=255).collect();
    assert_eq!(framed(kind::RESULT, &long), vector("three fragments", "hex"));
    let largest = wire::frames(kind::RESULT, 7, 1, &vec![0; wire::MAX_FRAMED_BYTES]);
    assert_eq!(largest.iter().map(Vec::len).collect::<Vec<_>>(), [4096; 17]);
}

#[test]
fn policies() {
    let record = |name: &str| {
        let mut record = bytes(&vector(name, "first_16_bytes_hex"));
        record.resize(4096, 0);
        record
    };
    let first = Policy { generation: 1, ..Policy::default() };
    assert_eq!(Policy::decode(&record("enabled, responses captured")), Some(first));
    let second = Policy {
        generation: 7,
        enabled: false,
        response: false,
        exporter_down: true,
        request: true,
        max_body_bytes: 0,
        tracecontext: true,
    };
    let name = "disabled, exporter down, requests captured";
    assert_eq!(Policy::decode(&record(name)), Some(second));
    let name = "propagators and a carrier's place";
    let texts = bytes(&vector(name, "texts_hex"));
    let mut named = record(name);
    named[16..16 + texts.len()].copy_from_slice(&texts);
    let third = Policy { generation: 8, max_body_bytes: 1, ..Policy::default() };
    assert_eq!(Policy::decode(&named), Some(Policy { tracecontext: false, ..third }));
    named[23] ^= 1; // the texts alone are damaged
    assert_eq!(Policy::decode(&named), Some(third));
    let mut damaged = record(name);
    damaged[4] ^= 1;
    for wrong in [&[] as &[u8], &record(name)[1..], &[0; 4096], &damaged] {
        assert_eq!(Policy::decode(wrong), None);
    }
}

#[test]
fn a_cut_is_never_inside_a_character() {
    let data = "aä€😀".as_bytes();
    let cuts: Vec<usize> = (0..12).map(|limit| wire::cut_utf8(data, limit).len()).collect();
    assert_eq!(cuts, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10]);
}

/// Carriers that this writer does not look for: PROTOCOL.md has them all.
const ELSEWHERE: [&str; 4] = [
    "Kafka: one record",
    "Kafka: bytes as Java's, a header for each",
    "Kafka: two records",
    "CloudFront",
];
/// Its link is of X-Ray's format.
const XRAY_LINK: &str = "SQS: one message and its X-Ray header";

#[test]
fn an_events_caller_is_the_python_writers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/callers.json");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    let mut held = 0;
    for line in lines.filter(|line| line.starts_with("  {\"name\"")) {
        let one = Json::parse(line).unwrap();
        let told = |key: &str| one.get(key).and_then(Json::text).unwrap().to_owned();
        let names = one.get("propagators").unwrap().items();
        let only_w3c = names.iter().all(|name| !name.text().unwrap().contains("b3"));
        if !told("event_path").is_empty() || !only_w3c {
            continue;
        }
        let name = told("name");
        let names: Vec<&str> = names.iter().map(|name| name.text().unwrap()).collect();
        let text = |tag| one.get("texts").unwrap().get(tag).and_then(Json::text).unwrap_or("");
        let mut expected = [text("7"), text("8"), text("11")].map(str::to_owned);
        if ELSEWHERE.contains(&name.as_str()) || !names_tracecontext(&names.join(",")) {
            expected = Default::default();
        } else if name == XRAY_LINK {
            expected[2].clear();
        }
        let event = line.split_once("\"event\": ").unwrap().1;
        let event = event.rsplit_once(", \"trigger\": ").unwrap().0;
        let (parent, links) = if names_tracecontext(&names.join(",")) {
            callers_of(event)
        } else {
            (None, Vec::new())
        };
        let header = parent.as_ref().map_or_else(String::new, SpanContext::traceparent);
        let state = parent.map_or_else(String::new, |parent| parent.tracestate);
        let links: Vec<String> = links.iter().map(SpanContext::traceparent).collect();
        held += usize::from(!header.is_empty() || !links.is_empty());
        assert_eq!([header, state, links.join(" ")], expected, "{name}");
    }
    assert!(held >= 15, "{held} events with a caller");
}

#[test]
fn what_is_no_event_or_too_long_is_left() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = format!("{{\"traceparent\":\"{parent}\",\"a\":\"AAAA\"}}");
    assert_eq!(callers_of(&event).0.unwrap().traceparent(), parent);
    let long = event.replace("AAAA", &"x".repeat(1 << 20));
    let deep = event.replace("\"AAAA\"", &("[".repeat(100_000) + &"]".repeat(100_000)));
    for wrong in [&long, &deep, &event[1..], "[\"traceparent\"]", "traceparent", ""] {
        assert_eq!(callers_of(wrong), (None, Vec::new()));
    }
}

#[test]
fn json_is_read_as_it_is_written() {
    let text =
        r#" {"a" : ["\u00e4\ud83d\ude00\n\"", -1.5e3, true, null, {}], "b": "\ud83dx", "b": []} "#;
    let found = Json::parse(text).unwrap();
    let item = |text: &str| Json::Text(text.to_owned());
    let items = [item("ä😀\n\""), Json::Other, Json::Other, Json::Other, Json::Object(vec![])];
    assert_eq!(found.get("a").unwrap().items(), items);
    assert_eq!(found.get("b"), Some(&Json::List(vec![])));
    assert_eq!(found.members()[1].1, item("\u{fffd}x"));
    for wrong in ["", "{", "[1", "\"a", "{\"a\"}", "[1 2]", "[] x", "\"\\x\"", "\"\\u00g0\"", "{,}"]
    {
        assert_eq!(Json::parse(wrong), None, "{wrong}");
    }
}
