//! The record in the control FIFO, after PROTOCOL.md: bytes in, a policy out, no I/O.

use crate::wire::crc32;

/// Bytes of the record, which fills the pipe.
pub const RECORD_BYTES: usize = 4096;

/// What the function may leave out. The texts of the record are not for this writer.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub generation: u32,
    pub enabled: bool,
    pub response: bool,
    pub exporter_down: bool,
    pub request: bool,
    pub max_body_bytes: u32,
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
        })
    }
}
