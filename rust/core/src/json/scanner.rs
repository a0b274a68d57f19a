//! Takes the frames of a body as they arrive: limits, UTF-8, the first error.
//!
//! One rule makes every cut give the same verdict: the grammar sees only bytes already known to be whole characters,
//! and sees them in order, so the first thing wrong is the same however the body was cut.

use super::Limits;
use super::error::{JsonError, JsonErrorKind};
use super::field::Shape;
use super::grammar::Grammar;
use super::scan::Scan;
use super::state::State;

/// Scans a body as its frames arrive. After the first error every call gives that error again.
#[derive(Debug)]
pub struct Scanner {
    grammar: Grammar,
    most_bytes: usize,
    /// Bytes fed so far.
    fed: usize,
    /// The beginning of a character that the last frame cut, at most three bytes.
    carry: [u8; 4],
    carried: usize,
    failed: Option<JsonError>,
}

impl Scanner {
    pub fn new(shape: Shape, limits: &Limits) -> Self {
        Self {
            grammar: Grammar::new(shape, limits),
            // Spans are 32 bits wide.
            most_bytes: limits.body_bytes.min(u32::MAX as usize),
            fed: 0,
            carry: [0; 4],
            carried: 0,
            failed: None,
        }
    }

    /// Scans the next bytes of the body, however few.
    pub fn feed(&mut self, frame: &[u8]) -> Result<(), JsonError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let room = self.most_bytes - self.fed;
        let within = frame.get(..room).unwrap_or(frame);
        self.fed += within.len();
        self.feed_within(within)?;
        if within.len() < frame.len() {
            return Err(self.refuse(JsonErrorKind::BodyTooLarge, self.fed));
        }
        Ok(())
    }

    /// Gives the result once the whole body was fed; an error when it ends too early.
    pub fn finish(mut self) -> Result<Scan, JsonError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let kind = match self.grammar.state {
            _ if self.carried > 0 => JsonErrorKind::Utf8,
            State::End => return Ok(self.grammar.reader.finish(self.fed)),
            State::Start => JsonErrorKind::Empty,
            _ => JsonErrorKind::Truncated,
        };
        Err(self.refuse(kind, self.grammar.base))
    }

    fn feed_within(&mut self, frame: &[u8]) -> Result<(), JsonError> {
        let frame = self.complete_character(frame)?;
        let (sound, rest, broken) = match simdutf8::compat::from_utf8(frame) {
            Ok(_) => (frame, &[][..], false),
            Err(error) => {
                let (sound, rest) = frame.split_at_checked(error.valid_up_to()).unwrap_or((frame, &[]));
                (sound, rest, error.error_len().is_some())
            }
        };
        self.run(sound)?;
        if broken {
            return Err(self.refuse(JsonErrorKind::Utf8, self.grammar.base));
        }
        for &byte in rest {
            self.carry_on(byte);
        }
        Ok(())
    }

    /// Finishes the character that the last frame cut and gives back what follows it.
    fn complete_character<'a>(&mut self, mut frame: &'a [u8]) -> Result<&'a [u8], JsonError> {
        while self.carried > 0 {
            let Some((&byte, rest)) = frame.split_first() else {
                break;
            };
            self.carry_on(byte);
            frame = rest;
            let (carry, carried) = (self.carry, self.carried);
            let character = carry.get(..carried).unwrap_or_default();
            match std::str::from_utf8(character) {
                Ok(_) => {
                    self.carried = 0;
                    self.run(character)?;
                }
                Err(error) if error.error_len().is_some() => {
                    return Err(self.refuse(JsonErrorKind::Utf8, self.grammar.base));
                }
                Err(_) => {}
            }
        }
        Ok(frame)
    }

    fn carry_on(&mut self, byte: u8) {
        // An incomplete character has at most three bytes, and the fourth completes or breaks it.
        if let Some(slot) = self.carry.get_mut(self.carried) {
            *slot = byte;
            self.carried += 1;
        }
    }

    fn refuse(&mut self, kind: JsonErrorKind, offset: usize) -> JsonError {
        self.fail(kind, offset, b"")
    }

    /// Draws the pointer while the piece that names may stand in is at hand.
    fn fail(&mut self, kind: JsonErrorKind, offset: usize, piece: &[u8]) -> JsonError {
        let pointer = self.grammar.pointer(piece);
        let error = JsonError { kind, offset, pointer };
        self.failed = Some(error.clone());
        error
    }

    fn run(&mut self, piece: &[u8]) -> Result<(), JsonError> {
        self.grammar.read(piece).map_err(|fault| self.fail(fault.kind, fault.offset as usize, piece))
    }
}
