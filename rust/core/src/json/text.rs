//! The inside of a string: plain runs, escapes, surrogate pairs; resumable at any byte.
//!
//! Text is unescaped into `held` only when somebody will read it and it did not stand in one frame unescaped; the long
//! strings of a body are never copied.

use super::error::JsonErrorKind;
use super::find::text_end;
use super::skip::{hex_digit, skip_plain};

/// How much of a string will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// The beginning; more than this many bytes can no longer match anything.
    Start(usize),
    /// All of it; a string of more bytes is refused.
    Whole(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    /// After `\u`, with so many of the four digits seen.
    Hex(u8),
}

/// A string that spans frames or holds escapes.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) held: Vec<u8>,
    /// Whether any escape was met.
    pub(super) escaped: bool,
    wanted: Wanted,
    escape: Escape,
    digits: u16,
    /// A leading surrogate that waits for its other half.
    leading: Option<u16>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            escaped: false,
            wanted: Wanted::Nothing,
            escape: Escape::None,
            digits: 0,
            leading: None,
        }
    }
}

/// A reason and an index into the bytes at hand.
type Refused = (JsonErrorKind, usize);

impl Text {
    pub(super) fn start(&mut self, wanted: Wanted) {
        self.held.clear();
        self.escaped = false;
        self.wanted = wanted;
    }

    /// Reads on from `at`. Gives the index of the closing quote, or none when the bytes end first.
    pub(super) fn feed(&mut self, bytes: &[u8], mut at: usize, clean: bool) -> Result<Option<usize>, Refused> {
        loop {
            match self.escape {
                Escape::None => {
                    if self.wanted == Wanted::Nothing && self.leading.is_none() {
                        at = skip_plain(bytes, at, clean);
                    }
                    let rest = bytes.get(at..).unwrap_or_default();
                    let Some(run) = text_end(rest, clean) else {
                        self.keep_run(rest, at)?;
                        return Ok(None);
                    };
                    self.keep_run(rest.get(..run).unwrap_or_default(), at)?;
                    at += run;
                    match bytes.get(at) {
                        Some(b'"') if self.leading.is_none() => return Ok(Some(at)),
                        Some(b'\\') => self.escape = Escape::Backslash,
                        Some(b'"') => return Err((JsonErrorKind::LoneSurrogate, at)),
                        _ => return Err((JsonErrorKind::ControlCharacter, at)),
                    }
                    self.escaped = true;
                }
                Escape::Backslash => {
                    let Some(&byte) = bytes.get(at) else {
                        return Ok(None);
                    };
                    self.backslash(byte, at)?;
                }
                Escape::Hex(seen) => {
                    let Some(&byte) = bytes.get(at) else {
                        return Ok(None);
                    };
                    self.hex(seen, byte, at)?;
                }
            }
            at += 1;
        }
    }

    fn backslash(&mut self, byte: u8, at: usize) -> Result<(), Refused> {
        let plain = match byte {
            b'u' => {
                (self.escape, self.digits) = (Escape::Hex(0), 0);
                return Ok(());
            }
            _ if self.leading.is_some() => return Err((JsonErrorKind::LoneSurrogate, at)),
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return Err((JsonErrorKind::Escape, at)),
        };
        self.escape = Escape::None;
        self.keep(&[plain], at)
    }

    fn hex(&mut self, seen: u8, byte: u8, at: usize) -> Result<(), Refused> {
        let digit = hex_digit(byte).ok_or((JsonErrorKind::Escape, at))?;
        self.digits = self.digits << 4 | digit;
        if seen < 3 {
            self.escape = Escape::Hex(seen + 1);
            return Ok(());
        }
        self.escape = Escape::None;
        let character = match (self.leading.take(), self.digits) {
            (None, leading @ 0xd800..=0xdbff) => {
                self.leading = Some(leading);
                return Ok(());
            }
            (Some(leading), trailing @ 0xdc00..=0xdfff) => {
                let high = u32::from(leading) - 0xd800;
                0x1_0000 + (high << 10 | (u32::from(trailing) - 0xdc00))
            }
            (Some(_), _) | (None, 0xdc00..=0xdfff) => {
                return Err((JsonErrorKind::LoneSurrogate, at));
            }
            (None, unit) => u32::from(unit),
        };
        let character = char::from_u32(character).ok_or((JsonErrorKind::LoneSurrogate, at))?;
        self.keep(character.encode_utf8(&mut [0; 4]).as_bytes(), at)
    }

    /// A run of plain text, which a leading surrogate cannot precede.
    #[inline]
    fn keep_run(&mut self, run: &[u8], at: usize) -> Result<(), Refused> {
        if self.leading.is_some() && !run.is_empty() {
            return Err((JsonErrorKind::LoneSurrogate, at));
        }
        self.keep(run, at)
    }

    #[inline]
    fn keep(&mut self, text: &[u8], at: usize) -> Result<(), Refused> {
        match self.wanted {
            Wanted::Nothing => {}
            Wanted::Start(most) => {
                // One byte past the limit is kept, so that a long text cannot pass for a short one.
                let room = (most + 1).saturating_sub(self.held.len());
                self.held.extend_from_slice(text.get(..room).unwrap_or(text));
            }
            Wanted::Whole(most) => {
                if self.held.len() + text.len() > most {
                    return Err((JsonErrorKind::ModelTooLong, at));
                }
                self.held.extend_from_slice(text);
            }
        }
        Ok(())
    }
}
