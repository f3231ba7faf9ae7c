//! Frames and the bodies of messages, after PROTOCOL.md: values in, bytes out, no I/O.

/// The kinds of message that a function sends.
pub mod kind {
    #![allow(missing_docs)]
    pub const START: u8 = 1;
    pub const RESULT: u8 = 2;
    pub const ERROR: u8 = 3;
    pub const SPAN: u8 = 4;
    pub const EVENT: u8 = 5;
    pub const PARTIAL: u8 = 6;
    pub const FILE: u8 = 7;
    pub const REQUEST: u8 = 9;
}

const HEADER_BYTES: usize = 24;
/// PIPE_BUF less the header: so the kernel keeps every write whole.
const MAX_BODY_BYTES: usize = 4096 - HEADER_BYTES;
const MAX_FRAGMENTS: usize = 17;
/// The longest message that goes by frames.
pub const MAX_FRAMED_BYTES: usize = MAX_FRAGMENTS * MAX_BODY_BYTES;
const MAX_FIELD_BYTES: usize = 0xffff;
const MAX_NAME_BYTES: usize = 1024;
/// Of the JSON object of attributes.
pub const MAX_ATTRIBUTES_BYTES: usize = 32_768;

const CONTENT_JSON: u8 = 0;
const CONTENT_TEXT: u8 = 1;
const CONTENT_BINARY: u8 = 2;
const CONTENT_NONE: u8 = 255;

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

static CRC_TABLE: [u32; 256] = crc_table();

/// CRC-32 of ISO 3309 over `parts`, one after the other.
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut value = !0;
    for part in parts {
        for byte in *part {
            value = CRC_TABLE[((value ^ u32::from(*byte)) & 0xff) as usize] ^ (value >> 8);
        }
    }
    !value
}

/// One frame; in a file its body may be longer than in the pipe.
pub fn frame(kind: u8, writer: u32, counter: u32, body: &[u8], place: u16, count: u16) -> Vec<u8> {
    let mut data = Vec::with_capacity(HEADER_BYTES + body.len());
    data.extend_from_slice(&[0xff, 0x53, 1, kind]);
    data.extend_from_slice(&place.to_be_bytes());
    data.extend_from_slice(&count.to_be_bytes());
    data.extend_from_slice(&writer.to_be_bytes());
    data.extend_from_slice(&counter.to_be_bytes());
    data.extend_from_slice(&(body.len() as u32).to_be_bytes());
    let sum = crc32(&[&data, body]);
    data.extend_from_slice(&sum.to_be_bytes());
    data.extend_from_slice(body);
    data
}

/// The frames of a message of at most `MAX_FRAMED_BYTES`.
pub fn frames(kind: u8, writer: u32, counter: u32, body: &[u8]) -> Vec<Vec<u8>> {
    if body.is_empty() {
        return vec![frame(kind, writer, counter, body, 0, 1)];
    }
    let parts = body.chunks(MAX_BODY_BYTES);
    let count = parts.len() as u16;
    parts
        .enumerate()
        .map(|(place, part)| frame(kind, writer, counter, part, place as u16, count))
        .collect()
}

/// At most `limit` bytes of UTF-8, never a part of a character.
pub fn cut_utf8(data: &[u8], limit: usize) -> &[u8] {
    let mut end = limit.min(data.len());
    while end > 0 && end < data.len() && data[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &data[..end]
}

/// Append one tagged text, cut at `limit` bytes; an empty text is no field.
fn put_field(body: &mut Vec<u8>, tag: u8, text: &str, limit: usize) {
    let data = cut_utf8(text.as_bytes(), limit);
    if !data.is_empty() {
        body.push(tag);
        body.extend_from_slice(&(data.len() as u16).to_be_bytes());
        body.extend_from_slice(data);
    }
}

/// Whether it may open a message, and become a file's name.
pub fn valid_request_id(id: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=128).contains(&id.len()) && id.bytes().all(good)
}

/// The opening of every body; eight zeros: the span is not known.
pub fn prefix(request_id: &str, span_id: [u8; 8]) -> Vec<u8> {
    let mut opening = vec![request_id.len() as u8];
    opening.extend_from_slice(request_id.as_bytes());
    opening.extend_from_slice(&span_id);
    opening
}

/// The fields of START, as in PROTOCOL.md; `texts` with their tags.
#[allow(missing_docs)]
pub struct Start<'a> {
    pub cold_start: bool,
    pub trace_id: [u8; 16],
    pub start_ns: u64,
    pub deadline_ms: u64,
    pub memory_mb: u32,
    pub pid: u32,
    pub texts: &'a [(u8, &'a str)],
}

/// START.
pub fn start(opening: &[u8], fields: &Start) -> Vec<u8> {
    let mut body = opening.to_vec();
    body.push(u8::from(fields.cold_start));
    body.extend_from_slice(&fields.trace_id);
    body.extend_from_slice(&fields.start_ns.to_be_bytes());
    body.extend_from_slice(&fields.deadline_ms.to_be_bytes());
    body.extend_from_slice(&fields.memory_mb.to_be_bytes());
    body.extend_from_slice(&fields.pid.to_be_bytes());
    for (tag, text) in fields.texts {
        put_field(&mut body, *tag, text, MAX_FIELD_BYTES);
    }
    body
}

/// A captured body, as the function has it; what of it is sent, the policy says.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    data: &'a [u8],
    size: Option<u64>,
    truncated: bool,
    content: u8,
}

impl<'a> Body<'a> {
    /// JSON text.
    pub fn json(text: &'a str) -> Self {
        Self::whole(text.as_bytes(), CONTENT_JSON)
    }

    /// Text of any other kind.
    pub fn text(text: &'a str) -> Self {
        Self::whole(text.as_bytes(), CONTENT_TEXT)
    }

    /// Bytes.
    pub fn bytes(data: &'a [u8]) -> Self {
        Self::whole(data, CONTENT_BINARY)
    }

    /// A body that was not captured.
    pub fn none() -> Self {
        Self { data: &[], size: None, truncated: false, content: CONTENT_NONE }
    }

    /// What was kept of a body whose size is not known.
    #[doc(hidden)]
    pub fn of_unknown_size(self) -> Self {
        Self { size: None, truncated: true, ..self }
    }

    fn whole(data: &'a [u8], content: u8) -> Self {
        Self { data, size: Some(data.len() as u64), truncated: false, content }
    }

    /// No more of it than `limit` bytes, and whole characters.
    pub(crate) fn within(&self, limit: usize) -> Self {
        let data = match self.content {
            CONTENT_BINARY => &self.data[..limit.min(self.data.len())],
            _ => cut_utf8(self.data, limit),
        };
        let truncated = self.truncated || data.len() < self.data.len();
        Self { data, truncated, ..*self }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }
}

/// RESULT, PARTIAL or REQUEST.
pub fn captured(opening: &[u8], time_ns: u64, given: &Body) -> Vec<u8> {
    let mut body = Vec::with_capacity(opening.len() + 18 + given.data.len());
    body.extend_from_slice(opening);
    body.extend_from_slice(&time_ns.to_be_bytes());
    body.extend_from_slice(&given.size.unwrap_or(u64::MAX).to_be_bytes());
    body.extend_from_slice(&[u8::from(given.truncated), given.content]);
    body.extend_from_slice(given.data);
    body
}

/// What failed.
#[allow(missing_docs)]
#[derive(Clone, Copy, Default)]
pub struct Failure<'a> {
    pub kind: &'a str,
    pub message: &'a str,
    pub stack: &'a str,
}

fn put_failure(body: &mut Vec<u8>, failure: &Failure) {
    put_field(body, 1, failure.kind, 256);
    put_field(body, 2, failure.message, 4096);
    put_field(body, 3, failure.stack, 16_384);
}

/// ERROR.
pub fn error(opening: &[u8], end_ns: u64, failure: &Failure) -> Vec<u8> {
    let mut body = opening.to_vec();
    body.extend_from_slice(&end_ns.to_be_bytes());
    put_failure(&mut body, failure);
    body
}

/// The fields of SPAN; parent zeros: the invocation.
#[allow(missing_docs)]
pub struct SpanFields<'a> {
    pub span_id: [u8; 8],
    pub parent_id: [u8; 8],
    pub start_ns: u64,
    pub end_ns: u64,
    pub name: &'a str,
    pub attributes: &'a str,
    pub failure: Option<Failure<'a>>,
}

/// SPAN.
pub fn span(opening: &[u8], fields: &SpanFields) -> Vec<u8> {
    let mut body = opening.to_vec();
    body.extend_from_slice(&fields.span_id);
    body.extend_from_slice(&fields.parent_id);
    body.extend_from_slice(&fields.start_ns.to_be_bytes());
    body.extend_from_slice(&fields.end_ns.to_be_bytes());
    body.push(u8::from(fields.failure.is_some()));
    put_field(&mut body, 4, fields.name, MAX_NAME_BYTES);
    put_field(&mut body, 5, fields.attributes, MAX_FIELD_BYTES);
    if let Some(failure) = &fields.failure {
        put_failure(&mut body, failure);
    }
    body
}

/// EVENT, of a child span or (zeros) of the invocation.
pub fn event(
    opening: &[u8],
    time_ns: u64,
    span_id: [u8; 8],
    name: &str,
    attributes: &str,
) -> Vec<u8> {
    let mut body = opening.to_vec();
    body.extend_from_slice(&time_ns.to_be_bytes());
    body.extend_from_slice(&span_id);
    put_field(&mut body, 4, name, MAX_NAME_BYTES);
    put_field(&mut body, 5, attributes, MAX_FIELD_BYTES);
    body
}

/// FILE: it is read at once.
pub fn file(opening: &[u8], name: &str) -> Vec<u8> {
    let mut body = opening.to_vec();
    put_field(&mut body, 4, name, MAX_FIELD_BYTES);
    body
}
