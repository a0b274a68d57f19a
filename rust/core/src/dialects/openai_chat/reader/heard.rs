//! What was told of a text in pieces, kept as no more than it takes to know it again: servers repeat what they streamed.

use crate::dialects::mint::fnv1a;

/// FNV-1a of nothing.
const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    bytes: usize,
    hash: u64,
}

impl Default for Heard {
    fn default() -> Self {
        Self { bytes: 0, hash: NOTHING }
    }
}

impl Heard {
    pub(super) fn add(&mut self, text: &str) {
        self.bytes += text.len();
        self.hash = text.bytes().fold(self.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    pub(super) fn is(self, text: &str) -> bool {
        self.bytes == text.len() && self.hash == fnv1a(text.as_bytes())
    }

    /// Where in `text` begins what is new, if all that was told stands in front of it.
    pub(super) fn end_in(self, text: &str) -> Option<usize> {
        text.get(..self.bytes).is_some_and(|beginning| self.is(beginning)).then_some(self.bytes)
    }
}
