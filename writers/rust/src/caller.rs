//! Who invoked the function, out of its event: W3C's `traceparent` and `tracestate`, where
//! PROTOCOL.md, "The caller", says that a carrier is. No I/O; nothing in an event is trusted.

use crate::json::Json;

/// A longer event is not looked at: to read it costs a millisecond for each 100 KB.
const MAX_EVENT_BYTES: usize = 1 << 20;
const MAX_TRACEPARENT: usize = 512;
const MAX_TRACESTATE: usize = 512;
const MAX_MEMBERS: usize = 32;
const MAX_HEADERS: usize = 256;
const MAX_RECORDS: usize = 128;
const OWS: [char; 2] = [' ', '\t'];

/// A span somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Of its trace.
    pub trace_id: [u8; 16],
    /// Its own.
    pub span_id: [u8; 8],
    /// W3C's.
    pub flags: u8,
    /// "" where there is none.
    pub tracestate: String,
}

impl SpanContext {
    /// The span that the two headers name; None for what is none.
    pub fn of_headers(traceparent: &str, tracestate: &str) -> Option<Self> {
        if traceparent.len() > MAX_TRACEPARENT {
            return None;
        }
        let mut parts = traceparent.trim_matches(OWS).splitn(5, '-');
        let (version, trace_id) = (parts.next()?, parts.next()?);
        let (span_id, flags) = (parts.next()?, parts.next()?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let [_] = bytes::<1>(version)?;
        let (trace_id, span_id, [flags]) = (bytes(trace_id)?, bytes(span_id)?, bytes(flags)?);
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self { trace_id, span_id, flags, tracestate: valid_tracestate(tracestate) })
    }

    /// It as a header.
    pub fn traceparent(&self) -> String {
        traceparent(self.trace_id, self.span_id, self.flags)
    }
}

/// A span as a header of version 0, whose only flags are `sampled` and `random`.
pub fn traceparent(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> String {
    let (trace_id, span_id) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
    format!("00-{trace_id:032x}-{span_id:016x}-{:02x}", flags & 3)
}

/// Lower-case hexadecimal of just that size.
fn bytes<const SIZE: usize>(text: &str) -> Option<[u8; SIZE]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * SIZE || !text.bytes().all(is_digit) {
        return None;
    }
    let mut found = [0; SIZE];
    for (index, byte) in found.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(found)
}

/// `text` without blanks; "" where a member is none: then W3C drops it whole.
fn valid_tracestate(text: &str) -> String {
    if text.len() > MAX_TRACESTATE {
        return String::new();
    }
    let members: Vec<&str> =
        text.split(',').map(|one| one.trim_matches(OWS)).filter(|one| !one.is_empty()).collect();
    let mut keys: Vec<&str> = members.iter().filter_map(|one| one.split('=').next()).collect();
    keys.sort_unstable();
    keys.dedup();
    let good = members.len() <= MAX_MEMBERS
        && keys.len() == members.len()
        && members.iter().all(|one| is_member(one));
    if good {
        members.join(",")
    } else {
        String::new()
    }
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_key = |text: &str, most: usize, may_begin_with_digit: bool| {
        let first = text.bytes().next().unwrap_or(b'_');
        let begins = first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit());
        let is_part = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte)
        };
        begins && text.len() <= most && text.bytes().all(is_part)
    };
    let good_key = match key.split_once('@') {
        Some((tenant, system)) => is_key(tenant, 241, true) && is_key(system, 14, false),
        None => is_key(key, 256, false),
    };
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    good_key
        && (1..=256).contains(&value.len())
        && value.bytes().all(is_printable)
        && !value.ends_with(' ')
}

/// Whether W3C's propagator is in force, by a list of names as `OTEL_PROPAGATORS` has it.
pub fn names_tracecontext(text: &str) -> bool {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    text.is_empty() || (names.contains(&"tracecontext") && !names.contains(&"none"))
}

/// What an event's carriers name: of one message the parent, of more links.
pub fn callers_of(event: &str) -> (Option<SpanContext>, Vec<SpanContext>) {
    // Case may be any, so what is looked for is in any.
    let mark = b"traceparent";
    let is_there = |text: &str| {
        text.as_bytes().windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark))
    };
    if event.len() > MAX_EVENT_BYTES || !is_there(event) {
        return (None, Vec::new());
    }
    let Some(event) = Json::parse(event) else { return (None, Vec::new()) };
    let (carriers, is_batch) = carriers_of(&event);
    let found = carriers.iter().filter_map(Carrier::context);
    if is_batch {
        (None, found.collect())
    } else {
        (found.last(), Vec::new())
    }
}

#[derive(Default)]
struct Carrier {
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl Carrier {
    fn context(&self) -> Option<SpanContext> {
        let tracestate = self.tracestate.as_deref().unwrap_or("");
        SpanContext::of_headers(self.traceparent.as_deref()?, tracestate)
    }

    /// Of a value that is a list the first text counts, a tracestate's are put together.
    fn of_headers(headers: Option<&Json>) -> Self {
        let mut found = Self::default();
        for (name, value) in members(headers).iter().take(MAX_HEADERS) {
            let texts = texts(value);
            match name.to_ascii_lowercase().as_str() {
                "traceparent" if found.traceparent.is_none() => {
                    found.traceparent = texts.first().map(|text| (*text).to_owned());
                }
                "tracestate" if found.tracestate.is_none() && !texts.is_empty() => {
                    found.tracestate = Some(texts.join(","));
                }
                _ => {}
            }
        }
        found
    }

    /// Of the attributes of a message, each an object whose `key` has the text.
    fn of_attributes(attributes: Option<&Json>, key: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in members(attributes) {
            let text = value.get(key).and_then(Json::text).map(str::to_owned);
            match name.to_ascii_lowercase().as_str() {
                "traceparent" if text.is_some() => found.traceparent = text,
                "tracestate" if text.is_some() => found.tracestate = text,
                _ => {}
            }
        }
        found
    }

    fn of_record(record: &Json) -> Self {
        let found = Self::of_attributes(record.get("messageAttributes"), "stringValue");
        if found.traceparent.is_some() || found.tracestate.is_some() {
            return found;
        }
        let message = record.get("Sns").and_then(|sns| sns.get("MessageAttributes"));
        Self::of_attributes(message, "Value")
    }
}

/// The carriers, and whether they are of a batch.
fn carriers_of(event: &Json) -> (Vec<Carrier>, bool) {
    let one = |headers: Option<&Json>| (vec![Carrier::of_headers(headers)], false);
    if event.get("requestContext").is_some() {
        let headers = event.get("headers");
        let several = event.get("multiValueHeaders");
        return one(if members(headers).is_empty() { several } else { headers });
    }
    if let Some(records) = event.get("Records") {
        let records = records.items();
        let carriers = records.iter().take(MAX_RECORDS).map(Carrier::of_record).collect();
        return (carriers, records.len() > 1);
    }
    if event.get("detail-type").is_some() {
        return one(event.get("detail"));
    }
    if event.get("info").is_some() {
        return one(event.get("request").and_then(|request| request.get("headers")));
    }
    if event.get("traceparent").is_some() {
        return one(Some(event));
    }
    (Vec::new(), false)
}

fn members(value: Option<&Json>) -> &[(String, Json)] {
    value.map_or(&[], Json::members)
}

/// The text that it is, or those of its list; none where one of these is no text.
fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::List(items) => {
            items.iter().map(Json::text).collect::<Option<_>>().unwrap_or_default()
        }
        _ => value.text().into_iter().collect(),
    }
}
