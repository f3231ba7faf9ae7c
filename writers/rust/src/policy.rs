//! The record in the control FIFO, after PROTOCOL.md: bytes in, a policy out, no I/O.

use crate::caller::names_tracecontext;
use crate::wire::crc32;

/// Bytes of the record, which fills the pipe.
pub const RECORD_BYTES: usize = 4096;

/// What the function may leave out. Of the record's texts the propagators alone are for this
/// writer, and of them whether W3C's is one.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub generation: u32,
    pub enabled: bool,
    pub response: bool,
    pub exporter_down: bool,
    pub request: bool,
    pub max_body_bytes: u32,
    pub tracecontext: bool,
}

impl Default for Policy {
    /// Until a record is known.
    fn default() -> Self {
        Self {
            generation: 0,
            enabled: true,
            response: true,
            exporter_down: false,
            request: false,
            max_body_bytes: 65_536,
            tracecontext: true,
        }
    }
}

impl Policy {
    /// None for anything that is no record of this version: keep what you know.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = record.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        if record.len() != RECORD_BYTES || record[..3] != [0xff, 0x43, 1] {
            return None;
        }
        if crc32(&[&record[..12]]) != number(12)? {
            return None;
        }
        let flags = record[3];
        Some(Self {
            generation: number(4)?,
            enabled: flags & 1 != 0,
            response: flags & 2 != 0,
            exporter_down: flags & 4 != 0,
            request: flags & 8 != 0,
            max_body_bytes: number(8)?,
            tracecontext: names_tracecontext(propagators(record).unwrap_or("")),
        })
    }
}

/// The text of tag 1 behind the record's fixed part, where its checksum is right.
fn propagators(record: &[u8]) -> Option<&str> {
    let size =
        |at: usize, of: &[u8]| Some(u16::from_be_bytes(of.get(at..at + 2)?.try_into().ok()?));
    let mut texts = record.get(22..22 + usize::from(size(16, record)?))?;
    if record[18..22] != crc32(&[texts]).to_be_bytes() {
        return None;
    }
    while let Some(tag) = texts.first() {
        let end = 3 + usize::from(size(1, texts)?);
        let text = texts.get(3..end)?;
        if *tag == 1 {
            return std::str::from_utf8(text).ok();
        }
        texts = &texts[end..];
    }
    None
}
