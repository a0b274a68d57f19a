//! The journal's bytes: what must survive a kill, record after record in segment files.
//!
//! The rule: a segment is read up to its first torn or damaged record and no further, and the reader says where that
//! was. The surprise: segments are allocated in advance, so a healthy one ends in zeros, not at its length.
//!
//! A segment is [`MAGIC`], then frames: CRC-32 of what follows (4 bytes), length of the payload (2), kind of record (1),
//! payload. Numbers are little-endian; a text is its length in one byte and then UTF-8. A reader skips kinds that it
//! does not know and bytes behind the fields that it does, so fields and records can be added without a new version.

mod fields;
mod frame;
mod identity;
mod lines;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub use frame::{End, Reader};
pub use identity::AttemptId;
pub use lines::render_line;
pub use record::{Gap, Intent, Opened, Progress, Record, Settle, State};
pub use replay::{OpenAttempt, Replay};

/// How a segment begins: the name and the version of its format.
pub const MAGIC: [u8; 8] = *b"FRJRNL\0\x01";
/// Longest payload. Ours stay below it because texts are at most 255 bytes; a longer one is damage.
pub const MOST_PAYLOAD_BYTES: usize = 2048;
