//! The grammar of RFC 8259: an iterative state machine that can stop and go on at any byte.
//!
//! Memory is bounded by the limits: a bit for each open container, at most one name or model held, nothing of the body.
//! Steps that nearly always follow each other are taken at once; that saves a turn of the loop and nothing else, so each
//! of them falls back to the loop when its bytes are not there.

use super::Limits;
use super::error::{Fault, JsonErrorKind};
use super::field::{Kind, Shape};
use super::find::{is_clean, text_end};
use super::number::{Number, Step, short_whole};
use super::path::{LEVELS, NAME_BYTES, Path};
use super::reader::{Reader, Word};
use super::state::{Literal, State};
use super::text::{Text, Wanted};

/// Bits of the stack of open containers.
const MOST_DEPTH: u32 = 128;

/// Reads a body as pieces of whole characters; tells the reader what begins and ends where.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) reader: Reader,
    path: Path,
    pub(super) state: State,
    most_depth: u32,
    depth: u32,
    /// Bit `depth - 1` tells whether the container at that depth is an object.
    objects: u128,
    /// Where the value or name being read began, in the body.
    began: u32,
    number: Number,
    literal: Literal,
    /// Bytes of the literal seen.
    literal_seen: usize,
    text: Text,
    /// Bytes of the body before the piece at hand.
    pub(super) base: usize,
}

type Verdict<T> = Result<T, Fault>;

impl Grammar {
    pub(super) fn new(shape: Shape, limits: &Limits) -> Self {
        Self {
            reader: Reader::new(shape, limits),
            path: Path::default(),
            state: State::Start,
            most_depth: limits.depth.min(MOST_DEPTH),
            depth: 0,
            objects: 0,
            began: 0,
            number: Number::start(b'0'),
            literal: Literal::Null,
            literal_seen: 0,
            text: Text::default(),
            base: 0,
        }
    }

    /// Reads the next piece. After a fault nothing more may be read.
    pub(super) fn read(&mut self, piece: &[u8]) -> Verdict<()> {
        self.advance(piece)?;
        if self.depth > 0 {
            self.path.hold(self.depth, piece, self.base);
        }
        self.base += piece.len();
        Ok(())
    }

    /// The RFC 6901 pointer to where a fault was met; needs the piece that names may stand in.
    pub(super) fn pointer(&self, piece: &[u8]) -> String {
        self.path.pointer(self.depth, piece, self.base)
    }

    fn advance(&mut self, bytes: &[u8]) -> Verdict<()> {
        let clean = is_clean(bytes);
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at = match self.state {
                State::NameText | State::ValueText => self.text_on(bytes, at, clean)?,
                State::Number => self.number_on(bytes, at)?,
                State::Literal => self.literal_on(bytes, at)?,
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => at + 1,
                State::Value | State::FirstItem => self.value(bytes, byte, at, clean)?,
                State::Name | State::FirstName => self.name(bytes, byte, at, clean)?,
                State::Colon => {
                    self.expect(byte == b':', at)?;
                    self.state = State::Value;
                    at + 1
                }
                State::Separator => self.separator(byte, at)?,
                State::Start => self.start(bytes, byte, at)?,
                State::End => return Err(self.fault(JsonErrorKind::Trailing, at)),
            };
        }
        Ok(())
    }

    fn start(&mut self, bytes: &[u8], byte: u8, at: usize) -> Verdict<usize> {
        match byte {
            b'{' => self.open(Kind::Object, at),
            _ if bytes.get(at..).is_some_and(|rest| rest.starts_with(b"\xef\xbb\xbf")) => {
                Err(self.fault(JsonErrorKind::ByteOrderMark, at))
            }
            _ => Err(self.fault(JsonErrorKind::TopLevel, at)),
        }
    }

    #[inline]
    fn name(&mut self, bytes: &[u8], byte: u8, at: usize, clean: bool) -> Verdict<usize> {
        if byte == b'}' && self.state == State::FirstName {
            return self.close(Kind::Object, at);
        }
        self.expect(byte == b'"', at)?;
        self.began = self.offset(at);
        if let Some((text, end)) = plain_string(bytes, at, clean) {
            self.path.member_here(self.depth, self.began + 1, self.offset(end - 1));
            self.name_done(Word::plain(text), end)?;
            self.value_after_name(bytes, end, clean)
        } else {
            let wanted = if self.depth as usize <= LEVELS { Wanted::Start(NAME_BYTES) } else { Wanted::Nothing };
            self.text.start(wanted);
            self.state = State::NameText;
            Ok(at + 1)
        }
    }

    /// Colon, at most one space, value: nearly every member is written so, and the states between can be passed over.
    #[inline]
    fn value_after_name(&mut self, bytes: &[u8], at: usize, clean: bool) -> Verdict<usize> {
        if bytes.get(at) != Some(&b':') {
            return Ok(at);
        }
        self.state = State::Value;
        let at = at + 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
        match bytes.get(at) {
            Some(&byte) if byte > b' ' => self.value(bytes, byte, at, clean),
            _ => Ok(at),
        }
    }

    #[inline]
    fn name_done(&mut self, word: Word<'_>, end: usize) -> Verdict<()> {
        self.state = State::Colon;
        let name = (self.began, self.offset(end));
        self.reader.name(self.depth, word, name).map_err(|kind| self.fault_at_value(kind))
    }

    #[inline]
    fn value(&mut self, bytes: &[u8], byte: u8, at: usize, clean: bool) -> Verdict<usize> {
        let kind = match byte {
            b'"' => Kind::String,
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            b']' if self.state == State::FirstItem => return self.close(Kind::Array, at),
            b'N' | b'I' => return Err(self.fault(JsonErrorKind::NotFinite, at)),
            _ => return Err(self.fault(JsonErrorKind::Unexpected, at)),
        };
        self.began = self.offset(at);
        self.reader.begin(kind, self.depth, self.began).map_err(|kind| self.fault_at_value(kind))?;
        match kind {
            Kind::String => {
                if let Some((text, end)) = plain_string(bytes, at, clean) {
                    self.string_done(bytes, Word::plain(text), end)
                } else {
                    self.text.start(self.reader.wanted());
                    self.state = State::ValueText;
                    Ok(at + 1)
                }
            }
            Kind::Object | Kind::Array => self.open(kind, at),
            Kind::Number => {
                if let Some((value, length)) = bytes.get(at..).and_then(short_whole) {
                    return self.number_done(bytes, Some(value), at + length);
                }
                self.number = Number::start(byte);
                self.state = State::Number;
                Ok(at + 1)
            }
            Kind::Bool | Kind::Null => {
                self.literal = match byte {
                    b't' => Literal::True,
                    b'f' => Literal::False,
                    _ => Literal::Null,
                };
                self.literal_seen = 1;
                self.state = State::Literal;
                self.literal_on(bytes, at + 1)
            }
        }
    }

    fn text_on(&mut self, bytes: &[u8], at: usize, clean: bool) -> Verdict<usize> {
        let end = match self.text.feed(bytes, at, clean) {
            Ok(Some(quote)) => quote + 1,
            Ok(None) => return Ok(bytes.len()),
            Err((JsonErrorKind::ModelTooLong, _)) => {
                return Err(self.fault_at_value(JsonErrorKind::ModelTooLong));
            }
            Err((kind, at)) => return Err(self.fault(kind, at)),
        };
        let held = std::mem::take(&mut self.text.held);
        let word = Word { text: &held, escaped: self.text.escaped };
        let done = if self.state == State::NameText {
            self.path.member_held(self.depth, word.text);
            self.name_done(word, end).map(|()| end)
        } else {
            self.string_done(bytes, word, end)
        };
        self.text.held = held;
        done
    }

    #[inline]
    fn string_done(&mut self, bytes: &[u8], word: Word<'_>, end: usize) -> Verdict<usize> {
        let spelled = self.offset(end) - self.began - 2;
        self.reader.string(word, spelled).map_err(|kind| self.fault_at_value(kind))?;
        self.after_value(bytes, end)
    }

    fn number_on(&mut self, bytes: &[u8], mut at: usize) -> Verdict<usize> {
        while let Some(&byte) = bytes.get(at) {
            match self.number.feed(byte) {
                Step::Taken => at += 1,
                Step::Malformed => return Err(self.fault(JsonErrorKind::Number, at)),
                Step::NotFinite => return Err(self.fault(JsonErrorKind::NotFinite, at)),
                Step::Ended if self.number.overflows() => {
                    return Err(self.fault_at_value(JsonErrorKind::NumberRange));
                }
                Step::Ended => return self.number_done(bytes, self.number.whole(), at),
            }
        }
        Ok(at)
    }

    #[inline]
    fn number_done(&mut self, bytes: &[u8], whole: Option<u64>, end: usize) -> Verdict<usize> {
        self.reader.number(whole).map_err(|kind| self.fault_at_value(kind))?;
        self.after_value(bytes, end)
    }

    fn literal_on(&mut self, bytes: &[u8], mut at: usize) -> Verdict<usize> {
        while let Some(expected) = self.literal.text().get(self.literal_seen) {
            let Some(byte) = bytes.get(at) else {
                return Ok(at);
            };
            self.expect(byte == expected, at)?;
            self.literal_seen += 1;
            at += 1;
        }
        if self.literal != Literal::Null {
            self.reader.bool(self.literal == Literal::True);
        }
        self.after_value(bytes, at)
    }

    /// A scalar ended just before `at`; what separates it from the next value mostly follows at once. Not for the end
    /// of containers, which would make this recursive.
    #[inline]
    fn after_value(&mut self, bytes: &[u8], at: usize) -> Verdict<usize> {
        self.ended(at);
        match bytes.get(at) {
            Some(&byte @ (b',' | b'}' | b']')) => self.separator(byte, at),
            _ => Ok(at),
        }
    }

    /// A value ended just before `at`.
    #[inline]
    fn ended(&mut self, at: usize) {
        self.reader.end(self.depth, self.offset(at));
        self.state = State::Separator;
    }

    #[inline]
    fn separator(&mut self, byte: u8, at: usize) -> Verdict<usize> {
        match byte {
            b',' => {
                if self.depth == 1 {
                    self.reader.separator(self.offset(at));
                }
                if self.in_object() {
                    self.path.between_members(self.depth);
                    self.state = State::Name;
                } else {
                    self.path.next_item(self.depth);
                    self.state = State::Value;
                }
                Ok(at + 1)
            }
            b'}' => self.close(Kind::Object, at),
            b']' => self.close(Kind::Array, at),
            _ => Err(self.fault(JsonErrorKind::Unexpected, at)),
        }
    }

    #[inline]
    fn open(&mut self, kind: Kind, at: usize) -> Verdict<usize> {
        if self.depth == self.most_depth {
            return Err(self.fault(JsonErrorKind::Depth, at));
        }
        let bit = 1_u128 << self.depth;
        self.depth += 1;
        if kind == Kind::Object {
            self.objects |= bit;
            self.path.between_members(self.depth);
            self.state = State::FirstName;
        } else {
            self.objects &= !bit;
            self.path.first_item(self.depth);
            self.state = State::FirstItem;
        }
        self.reader.open(kind, self.depth, self.offset(at));
        Ok(at + 1)
    }

    #[inline]
    fn close(&mut self, kind: Kind, at: usize) -> Verdict<usize> {
        self.expect(self.in_object() == (kind == Kind::Object), at)?;
        self.depth -= 1;
        self.reader.close(self.depth, self.offset(at));
        self.ended(at + 1);
        if self.depth == 0 {
            self.state = State::End;
        }
        Ok(at + 1)
    }

    fn in_object(&self) -> bool {
        self.objects >> (self.depth - 1) & 1 == 1
    }

    /// Offset in the body. Lossless: the limit on body bytes is below 2^32.
    #[expect(clippy::cast_possible_truncation, reason = "`most_bytes` is at most u32::MAX")]
    fn offset(&self, at: usize) -> u32 {
        (self.base + at) as u32
    }

    fn expect(&self, holds: bool, at: usize) -> Verdict<()> {
        if holds { Ok(()) } else { Err(self.fault(JsonErrorKind::Unexpected, at)) }
    }

    #[cold]
    fn fault(&self, kind: JsonErrorKind, at: usize) -> Fault {
        Fault { kind, offset: self.offset(at) }
    }

    /// A fault of the value or name being read as a whole.
    #[cold]
    fn fault_at_value(&self, kind: JsonErrorKind) -> Fault {
        Fault { kind, offset: self.began }
    }
}

/// The text of the string whose opening quote is at `at`, and where it ends, when all of it is here and unescaped.
#[inline]
fn plain_string(bytes: &[u8], at: usize, clean: bool) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at + 1..)?;
    let end = text_end(rest, clean)?;
    if rest.get(end) != Some(&b'"') {
        return None;
    }
    Some((rest.get(..end)?, at + 1 + end + 1))
}
