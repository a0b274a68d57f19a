//! Token counts: exact where the vocabulary is public, estimates elsewhere, and always said which.
//!
//! One rule: work is bounded before it starts, in bytes, because this crate has no clock: a string is counted in full up
//! to [`EXACT_BYTES`], a request up to its [`Budget`], and beyond that from evenly spaced windows. Text that spells a
//! control token (`<|endoftext|>`) is counted as the text it is.

mod classes;
mod encodings;
mod estimate;
mod headers;
mod images;
mod overhead;
mod pieces;
mod request;
mod tools;
mod vocabulary;

pub use encodings::{Density, Encoding, counter, encoding_for, loaded};
pub use estimate::{Sizes, estimate};
pub use images::Unseen;
pub use overhead::{Measure, count_chat};

/// Counts the tokens of a text, read as ordinary text.
pub trait Counter: Send + Sync {
    /// Reads all of `text`; callers that do not know its length use [`count_text`].
    fn count(&self, text: &str) -> Count;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub tokens: u64,
    /// False as soon as any part of the number is an estimate.
    pub exact: bool,
}

impl Count {
    const ZERO: Self = Self { tokens: 0, exact: true };

    const fn estimated(tokens: u64) -> Self {
        Self { tokens, exact: false }
    }

    #[must_use]
    const fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), exact: self.exact && other.exact }
    }
}

/// Longest string counted in full: 5 ms of ordinary text.
pub const EXACT_BYTES: usize = 256 << 10;
/// Longer strings are read in windows of this size; cutting through a word at each end miscounts by one in a thousand.
const WINDOW_BYTES: usize = 4 << 10;
/// Fewer windows than this say little about a text: it is estimated from its characters instead.
const FEWEST_WINDOWS: usize = 4;

/// Bytes that an encoder may still read for one request.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: usize,
}

impl Budget {
    pub const fn new(bytes: usize) -> Self {
        Self { bytes }
    }

    pub const fn left(&self) -> usize {
        self.bytes
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Default for Budget {
    /// Two of the longest strings.
    fn default() -> Self {
        Self::new(2 * EXACT_BYTES)
    }
}

/// Counts one text as far as `budget` reaches: in full, else from as many windows as it pays for, else from its characters.
pub fn count_text(encoding: Encoding, text: &str, budget: &mut Budget) -> Count {
    let density = match encoding {
        Encoding::Estimate(density) => {
            return Count::estimated(estimate::estimate_text(text, density));
        }
        Encoding::O200kBase | Encoding::Cl100kBase => Density::Typical,
    };
    let counter = counter(encoding);
    let allowed = budget.left().min(EXACT_BYTES);
    if text.len() <= allowed {
        budget.spend(text.len());
        return counter.count(text);
    }
    let windows = allowed / WINDOW_BYTES;
    if windows < FEWEST_WINDOWS {
        return Count::estimated(estimate::estimate_text(text, density));
    }
    let (mut tokens, mut bytes) = (0, 0);
    for window in windows_of(text, windows) {
        tokens += counter.count(window).tokens;
        bytes += window.len();
    }
    budget.spend(bytes);
    Count::estimated(estimate::scale(tokens, text.len(), bytes))
}

/// `count` windows, evenly spaced over a text that is longer than they are together.
fn windows_of(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let last_start = text.len().saturating_sub(WINDOW_BYTES) as u128;
    let gaps = count.saturating_sub(1).max(1) as u128;
    (0..count).filter_map(move |at| {
        let start = usize::try_from(last_start * at as u128 / gaps).ok()?;
        let start = char_floor(text, start);
        text.get(start..char_floor(text, start + WINDOW_BYTES))
    })
}

/// The last character boundary at or before `at`.
fn char_floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
