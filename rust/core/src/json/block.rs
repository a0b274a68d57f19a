//! Text with escapes, 64 bytes at a time: which bytes end a string or need a closer look, as bits of a word.
//!
//! Source code in a prompt has an escape every few bytes; finding each with a search of its own costs more than the text.
//! Here no branch depends on where the escapes are. Only what SSE2 has is used, which every x86-64 machine has; on other
//! machines [`super::skip`] goes from escape to escape.

use safe_arch::{cmp_eq_mask_i8_m128i, m128i, min_u8_m128i, move_mask_i8_m128i, set_splat_i8_m128i};

pub(super) const BLOCK: usize = 64;

const EVEN: u64 = u64::MAX / 3;

/// What stands where in a block; bit `n` speaks of byte `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Closing quotes and control characters.
    pub(super) stops: u64,
    /// Backslashes of `\u` and of malformed escapes.
    pub(super) units: u64,
    /// The last byte is a backslash whose escape is in the bytes after the block.
    pub(super) cut: bool,
    /// Neither a stop nor an escape.
    pub(super) quiet: bool,
}

impl Block {
    /// Classifies text that does not begin inside an escape.
    #[inline]
    pub(super) fn of(text: &[u8; BLOCK]) -> Self {
        let backslashes = bits(text, |bytes| equal(bytes, b'\\'));
        let ends = bits(text, |bytes| equal(bytes, b'"') | is_control(bytes));
        if backslashes == 0 {
            return Self { stops: ends, units: 0, cut: false, quiet: ends == 0 };
        }
        let escaped = escaped(backslashes);
        // Not simple is a unit or malformed; whoever reads the unit sees which.
        let units = escaped & !bits(text, is_simple_escape);
        Self {
            stops: ends & !escaped,
            units: units >> 1,
            cut: (backslashes & !escaped) >> (BLOCK - 1) != 0,
            quiet: false,
        }
    }
}

/// The bytes after a backslash that is not itself escaped. In a run of backslashes every second one is escaped, and so
/// is what follows a run of odd length; whether a run is odd shows in where the carry of an addition to its first
/// backslash comes out (Langdale and Lemire, Parsing Gigabytes of JSON per Second, section 3.1.1).
#[inline]
fn escaped(backslashes: u64) -> u64 {
    let after = backslashes << 1;
    let odd_starts = backslashes & !EVEN & !after;
    let carried = odd_starts.wrapping_add(backslashes);
    (EVEN ^ carried << 1) & after
}

/// What may follow a backslash, `u` aside.
#[inline]
fn is_simple_escape(bytes: m128i) -> m128i {
    // `b` and `f` differ in one bit.
    let b_or_f = equal(bytes & set_splat_i8_m128i(!0x04), b'b');
    let letter = b_or_f | equal(bytes, b'n') | equal(bytes, b'r') | equal(bytes, b't');
    letter | equal(bytes, b'"') | equal(bytes, b'\\') | equal(bytes, b'/')
}

#[inline]
fn is_control(bytes: m128i) -> m128i {
    cmp_eq_mask_i8_m128i(min_u8_m128i(bytes, set_splat_i8_m128i(0x1f)), bytes)
}

#[inline]
fn equal(bytes: m128i, to: u8) -> m128i {
    cmp_eq_mask_i8_m128i(bytes, set_splat_i8_m128i(to.cast_signed()))
}

/// One bit for each byte, from a comparison of sixteen at once.
#[inline]
fn bits(text: &[u8; BLOCK], compare: impl Fn(m128i) -> m128i) -> u64 {
    let (lanes, _) = text.as_chunks::<16>();
    let mask = |lane: &[u8; 16]| move_mask_i8_m128i(compare(m128i::from(*lane))).cast_unsigned();
    lanes.iter().rev().fold(0, |bits, lane| bits << 16 | u64::from(mask(lane)))
}
