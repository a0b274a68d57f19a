//! Changes spans of a body and shares the rest: the result is slices of the frames with the new values between them.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;
use smallvec::SmallVec;

/// A body as pieces in order. One edit of a body in one frame makes three.
pub type Frames = SmallVec<[Bytes; 8]>;

/// Replaces a span of the body; an empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub at: Range<usize>,
    pub with: Bytes,
}

/// Edits that do not fit the body or each other. Both offsets are ours, so this is a bug of the caller's, not of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceError {
    /// A span that ends before it starts or past the body.
    OutOfBody { start: usize, end: usize },
    /// A span that starts inside an earlier one.
    Overlap { start: usize },
}

impl fmt::Display for SpliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBody { start, end } => {
                write!(f, "edit of bytes {start} to {end} is outside the body")
            }
            Self::Overlap { start } => write!(f, "two edits overlap at byte {start}"),
        }
    }
}

impl std::error::Error for SpliceError {}

/// Applies edits, given in any order, without copying what they leave alone. Insertions at one place keep their order
/// and stand before a replacement that starts there. Empty pieces are left out.
pub fn splice(frames: &[Bytes], edits: &[Edit]) -> Result<Frames, SpliceError> {
    let mut ordered: SmallVec<[&Edit; 8]> = edits.iter().collect();
    ordered.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut cursor = Cursor { frames, at: 0, base: 0 };
    let mut pieces = Frames::new();
    for edit in ordered {
        let Range { start, end } = edit.at;
        if start < cursor.at {
            return Err(SpliceError::Overlap { start });
        }
        let out = SpliceError::OutOfBody { start, end };
        if end < start || !cursor.advance(start, |piece| pieces.push(piece)) {
            return Err(out);
        }
        if !edit.with.is_empty() {
            pieces.push(edit.with.clone());
        }
        if !cursor.advance(end, drop) {
            return Err(out);
        }
    }
    cursor.advance(usize::MAX, |piece| pieces.push(piece));
    Ok(pieces)
}

/// Walks the frames by offsets of the body.
struct Cursor<'a> {
    /// The frame at hand and those after it.
    frames: &'a [Bytes],
    at: usize,
    /// Where the frame at hand starts.
    base: usize,
}

impl Cursor<'_> {
    /// Hands over the pieces up to an offset; false when the body ends before it.
    fn advance(&mut self, to: usize, mut piece: impl FnMut(Bytes)) -> bool {
        while let Some((frame, rest)) = self.frames.split_first() {
            let frame_end = self.base + frame.len();
            let until = to.min(frame_end);
            if until > self.at {
                piece(frame.slice(self.at - self.base..until - self.base));
                self.at = until;
            }
            if to < frame_end {
                return true;
            }
            (self.frames, self.base) = (rest, frame_end);
        }
        self.at == to
    }
}

/// A JSON string literal of a text.
pub fn quote(text: &str) -> Bytes {
    let bytes = text.as_bytes();
    let mut literal = Vec::with_capacity(bytes.len() + 2);
    literal.push(b'"');
    if memchr2(b'"', b'\\', bytes).is_none() && bytes.iter().all(|&byte| byte >= 0x20) {
        literal.extend_from_slice(bytes);
    } else {
        for &byte in bytes {
            push_escaped(&mut literal, byte);
        }
    }
    literal.push(b'"');
    Bytes::from(literal)
}

fn push_escaped(literal: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => literal.extend_from_slice(&[b'\\', byte]),
        b'\n' => literal.extend_from_slice(b"\\n"),
        b'\r' => literal.extend_from_slice(b"\\r"),
        b'\t' => literal.extend_from_slice(b"\\t"),
        ..0x20 => {
            let digit = |nibble: u8| {
                if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
            };
            literal.extend_from_slice(b"\\u00");
            literal.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        _ => literal.push(byte),
    }
}
