//! Reads and edits request bodies without building a tree: one pass over the frames as they arrive, then splices.
//!
//! [`Scanner`] checks a body strictly (RFC 8259 and the table in `docs/decisions/0002-json-verdicts.md`) and notes what
//! a decision needs: model, stream, limits, counts, and where each top-level member stands. [`splice`] then changes a
//! few members and leaves every other byte, and every frame, as it came.
//! The surprise: a body is never parsed again, so what the scan says of it must be what every upstream will read in it.

#[cfg(target_arch = "x86_64")]
mod block;
mod edit;
mod error;
mod field;
mod find;
mod grammar;
mod number;
mod path;
mod place;
mod prove;
mod reader;
mod scan;
mod scanner;
mod skip;
mod splice;
mod state;
mod text;

#[cfg(test)]
mod tests;

use crate::cursor::Cursor;

pub use error::{JsonError, JsonErrorKind};
pub use field::{Field, Kinds, Shape};
pub(crate) use prove::Prover;
pub use scan::{Media, Member, Roles, Scan};
pub use scanner::Scanner;
pub(crate) use skip::{closing_quote, plain_end};
pub use splice::{Edit, Frames, SpliceError, quote, splice};

/// Bounds of one request body. Each is refused by name, none is silently cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open containers at once, the body's own braces included; at most 128, which is what the scanner's stack holds.
    pub depth: u32,
    /// Bytes of the whole body; at most 4 GiB − 1, because spans are 32 bits wide.
    pub body_bytes: usize,
    /// Entries of `messages`.
    pub messages: u32,
    /// Bytes of the model's name, unescaped.
    pub model_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            // The largest body any provider we know documents (Anthropic Messages).
            body_bytes: 32 << 20,
            messages: 10_000,
            model_bytes: 256,
        }
    }
}

/// The value of a top-level member, as spelled; of several of one name the first. Nothing else is checked.
pub fn member<'a>(body: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(body);
    if !cursor.open_object() {
        return None;
    }
    while let Some(key) = cursor.key().ok()? {
        let is_it = key.as_ref() == name.as_bytes();
        let value = cursor.skip().ok()?;
        if is_it {
            return Some(value);
        }
    }
    None
}

/// Scans a body that is already in one piece. Pure, total and bounded: also the entry for a fuzzer.
pub fn scan(body: &[u8], shape: Shape, limits: &Limits) -> Result<Scan, JsonError> {
    let mut scanner = Scanner::new(shape, limits);
    scanner.feed(body)?;
    scanner.finish()
}
