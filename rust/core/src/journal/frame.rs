//! Frames: how records stand in a segment, and how far a segment can be believed.

use super::fields::Put;
use super::record::Record;
use super::{MAGIC, MOST_PAYLOAD_BYTES};

/// Checksum, length, kind.
const HEAD_BYTES: usize = 7;
const CHECKSUM_BYTES: usize = 4;

/// Puts a frame behind `out`, its payload put by `fill`.
pub(super) fn framed(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Put<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, kind]);
    fill(&mut Put(out));
    let length = u16::try_from(out.len() - start - HEAD_BYTES).unwrap_or(u16::MAX).to_le_bytes();
    if let Some(place) = out.get_mut(start + CHECKSUM_BYTES..start + CHECKSUM_BYTES + 2) {
        place.copy_from_slice(&length);
    }
    let checksum = out.get(start + CHECKSUM_BYTES..).map_or(0, crc32fast::hash).to_le_bytes();
    if let Some(place) = out.get_mut(start..start + CHECKSUM_BYTES) {
        place.copy_from_slice(&checksum);
    }
}

/// Where and why reading ended. Offsets are where the first byte stands that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After the last record: at the end of the bytes, or at zeros that go on to the end.
    Whole { at: usize },
    /// In the middle of a record.
    Torn { at: usize },
    /// At a record whose checksum or content is wrong, or at zeros with something behind them.
    Damaged { at: usize },
    /// At the start: these bytes are no segment, or one of another version.
    Foreign,
}

impl End {
    /// How many bytes were read.
    pub const fn at(self) -> usize {
        match self {
            Self::Whole { at } | Self::Torn { at } | Self::Damaged { at } => at,
            Self::Foreign => 0,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole { .. } => "whole",
            Self::Torn { .. } => "torn",
            Self::Damaged { .. } => "damaged",
            Self::Foreign => "foreign",
        }
    }
}

/// The records of a segment up to the first that cannot be believed. Takes any bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: Option<End>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self { bytes, at: MAGIC.len(), end: None };
        match bytes.get(..MAGIC.len()) {
            Some(magic) if magic == MAGIC => {}
            _ if bytes.iter().all(|byte| *byte == 0) => reader.end = Some(End::Whole { at: 0 }),
            _ if MAGIC.starts_with(bytes) => reader.end = Some(End::Torn { at: 0 }),
            _ => reader.end = Some(End::Foreign),
        }
        reader
    }

    /// Where reading ended; before that, `None`.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    fn read(&self) -> Result<(Record<'a>, usize), End> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let at = self.at;
        let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            let whole = rest.iter().all(|byte| *byte == 0);
            return Err(if whole { End::Whole { at } } else { End::Torn { at } });
        };
        if *head == [0; HEAD_BYTES] {
            let whole = behind.iter().all(|byte| *byte == 0);
            return Err(if whole { End::Whole { at } } else { End::Damaged { at } });
        }
        let [c0, c1, c2, c3, l0, l1, kind] = *head;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        if length > MOST_PAYLOAD_BYTES {
            return Err(End::Damaged { at });
        }
        let Some(payload) = behind.get(..length) else { return Err(End::Torn { at }) };
        let checked = rest.get(CHECKSUM_BYTES..HEAD_BYTES + length).unwrap_or_default();
        if crc32fast::hash(checked) != u32::from_le_bytes([c0, c1, c2, c3]) {
            // Allocated in advance, a record whose end was never written ends in zeros.
            let torn = behind.get(length..).is_none_or(|after| after.iter().all(|byte| *byte == 0))
                && payload.last().is_none_or(|byte| *byte == 0);
            return Err(if torn { End::Torn { at } } else { End::Damaged { at } });
        }
        let record = Record::parse(kind, payload).ok_or(End::Damaged { at })?;
        Ok((record, at + HEAD_BYTES + length))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.end.is_some() {
            return None;
        }
        match self.read() {
            Ok((record, next)) => {
                self.at = next;
                Some(record)
            }
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}
