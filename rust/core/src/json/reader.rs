//! What the values mean: the scanner tells which value begins or ends where, the reader keeps what a decision needs.
//!
//! It keeps the place of each of the outermost containers. Below those nothing new can start, so deeper containers share
//! the last place, and memory does not grow with depth.

use super::Limits;
use super::error::JsonErrorKind;
use super::field::{Field, Kind, Shape};
use super::path::{LEVELS, NAME_BYTES};
use super::place::{Place, Slot};
use super::scan::{Member, Scan};
use super::text::Wanted;

/// A string that was asked for, or a member's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub text: &'a [u8],
    pub escaped: bool,
}

impl<'a> Word<'a> {
    /// A string without escapes.
    pub(super) fn plain(text: &'a [u8]) -> Self {
        Self { text, escaped: false }
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    shape: Shape,
    most_messages: u32,
    model_bytes: usize,
    places: [Place; LEVELS],
    slot: Slot,
    /// Names met in the message and in the part being read, a bit for each that the reader acts on.
    message_names: u8,
    part_names: u8,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    /// Offset just after the last separator of the body's own members.
    before: u32,
    /// The top-level member being read is the last of `scan.members`.
    remembered: bool,
    scan: Scan,
}

const ROLE: u8 = 1;
const CONTENT: u8 = 2;
const TYPE: u8 = 1;

impl Reader {
    pub(super) fn new(shape: Shape, limits: &Limits) -> Self {
        Self {
            shape,
            most_messages: limits.messages,
            model_bytes: limits.model_bytes,
            places: [Place::Other; LEVELS],
            slot: Slot::Skip,
            message_names: 0,
            part_names: 0,
            max_tokens: None,
            max_completion_tokens: None,
            before: 0,
            remembered: false,
            scan: Scan { empty: true, ..Scan::default() },
        }
    }

    /// The place of the container at this depth, 1 being the body.
    fn place(&self, depth: u32) -> Place {
        let level = (depth as usize).clamp(1, LEVELS) - 1;
        self.places.get(level).copied().unwrap_or(Place::Other)
    }

    /// A member's name ended. The offsets are the name's, quotes included.
    #[inline]
    pub(super) fn name(&mut self, depth: u32, word: Word<'_>, at: (u32, u32)) -> Result<(), JsonErrorKind> {
        let place = self.place(depth);
        if place == Place::Body {
            return self.top_name(word, at);
        }
        if place == Place::StreamOptions {
            self.scan.options_empty = Some(false);
        }
        let slot = place.member(word.text);
        self.slot = slot;
        let repeated = match slot {
            Slot::Field(Field::IncludeUsage) => self.scan.include_usage_at.is_some(),
            Slot::Role => seen(&mut self.message_names, ROLE),
            Slot::Content => seen(&mut self.message_names, CONTENT),
            Slot::PartType => seen(&mut self.part_names, TYPE),
            Slot::Text | Slot::Skip
                if matches!(place, Place::Message | Place::Part | Place::StreamOptions)
                    && place.member_in_other_case(word.text) =>
            {
                return Err(JsonErrorKind::OtherCase);
            }
            _ => return Ok(()),
        };
        plain_and_once(word, repeated)
    }

    fn top_name(&mut self, word: Word<'_>, name: (u32, u32)) -> Result<(), JsonErrorKind> {
        self.scan.empty = false;
        let field = self.shape.field(word.text);
        self.slot = field.map_or(Slot::Skip, Slot::Field);
        if let Some(field) = field {
            plain_and_once(word, self.scan.field(field).is_some())?;
        } else if self.shape.field_in_other_case(word.text) {
            return Err(JsonErrorKind::OtherCase);
        }
        self.remembered = field.is_some() || self.scan.members.len() < Scan::MEMBERS;
        if self.remembered {
            self.scan.members.push(Member { field, before: self.before, name, ..Member::default() });
        }
        Ok(())
    }

    /// A value begins.
    #[inline]
    pub(super) fn begin(&mut self, kind: Kind, depth: u32, at: u32) -> Result<(), JsonErrorKind> {
        if depth == 1
            && self.remembered
            && let Some(member) = self.scan.members.last_mut()
        {
            member.value.0 = at;
        }
        match self.slot {
            Slot::Field(field) => {
                let kinds = field.accepts();
                if !kinds.holds(kind) {
                    return Err(JsonErrorKind::WrongType(kinds));
                }
                if field == Field::IncludeUsage {
                    self.scan.include_usage_at = Some((at, at));
                }
            }
            Slot::Message => {
                if self.scan.messages == self.most_messages {
                    return Err(JsonErrorKind::TooManyMessages);
                }
                self.scan.messages += 1;
                self.scan.roles.other += 1;
            }
            Slot::Tool => self.scan.tools += 1,
            Slot::Input => {
                // Tokens that stand in the array itself are one input together.
                let counts = kind != Kind::Number || self.scan.inputs == 0;
                self.scan.inputs += u32::from(counts);
                self.scan.input_tokens += u32::from(kind == Kind::Number);
            }
            Slot::Token => self.scan.input_tokens += u32::from(kind == Kind::Number),
            Slot::Media => self.scan.media.file += 1,
            Slot::Skip | Slot::Text | Slot::Role | Slot::Content | Slot::Parts | Slot::Part | Slot::PartType => {}
        }
        Ok(())
    }

    /// How much of the string that begins will be read.
    pub(super) fn wanted(&self) -> Wanted {
        match self.slot {
            Slot::Field(Field::Model) => Wanted::Whole(self.model_bytes),
            Slot::Role | Slot::PartType => Wanted::Start(NAME_BYTES),
            _ => Wanted::Nothing,
        }
    }

    /// A container opened; `depth` counts it.
    #[inline]
    pub(super) fn open(&mut self, kind: Kind, depth: u32, at: u32) {
        let place = if depth == 1 {
            self.before = at + 1;
            self.scan.inside = at as usize + 1;
            Place::Body
        } else if self.shape == Shape::Dialogue && self.slot == Slot::Field(Field::Input) {
            // Responses: its items are what messages are elsewhere.
            Place::Messages
        } else {
            Place::opened(self.slot, kind)
        };
        match place {
            Place::StreamOptions => self.scan.options_empty = Some(true),
            Place::Message => self.message_names = 0,
            Place::Part => self.part_names = 0,
            _ => {}
        }
        if let Some(slot) = self.places.get_mut(depth as usize - 1) {
            *slot = place;
        }
        self.slot = place.item();
    }

    /// A container closed; `depth` no longer counts it.
    #[inline]
    pub(super) fn close(&mut self, depth: u32, at: u32) {
        if depth == 0 {
            self.separator(at);
            self.scan.close = at;
        } else {
            self.slot = self.place(depth).item();
        }
    }

    /// The comma or brace after a top-level member.
    #[inline]
    pub(super) fn separator(&mut self, at: u32) {
        self.before = at + 1;
        if self.remembered
            && let Some(member) = self.scan.members.last_mut()
        {
            member.after = at;
        }
    }

    /// A string value ended; `word` holds what was wanted of it, `spelled` is its length between the quotes.
    #[inline]
    pub(super) fn string(&mut self, word: Word<'_>, spelled: u32) -> Result<(), JsonErrorKind> {
        match self.slot {
            Slot::Text | Slot::Content | Slot::Parts | Slot::Message | Slot::Part | Slot::Input | Slot::Token => {
                self.scan.text_bytes += u64::from(spelled);
            }
            Slot::Field(Field::Input | Field::Prompt) => {
                self.scan.text_bytes += u64::from(spelled);
                self.scan.inputs += 1;
            }
            Slot::Field(Field::Model) => {
                if word.text.is_empty() {
                    return Err(JsonErrorKind::ModelEmpty);
                }
                if word.text.len() > self.model_bytes {
                    return Err(JsonErrorKind::ModelTooLong);
                }
                let model = std::str::from_utf8(word.text).map_err(|_| JsonErrorKind::Utf8)?;
                self.scan.model = Some(model.to_owned());
            }
            Slot::Role => self.role(word.text),
            Slot::PartType => self.part_type(word.text),
            Slot::Field(_) | Slot::Skip | Slot::Tool | Slot::Media => {}
        }
        Ok(())
    }

    fn role(&mut self, name: &[u8]) {
        let roles = &mut self.scan.roles;
        let count = match name {
            b"system" => &mut roles.system,
            b"developer" => &mut roles.developer,
            b"user" => &mut roles.user,
            b"assistant" => &mut roles.assistant,
            b"tool" => &mut roles.tool,
            b"function" => &mut roles.function,
            _ => return,
        };
        *count += 1;
        roles.other -= 1;
    }

    fn part_type(&mut self, name: &[u8]) {
        let media = &mut self.scan.media;
        match name {
            b"image_url" | b"input_image" | b"image" => media.image += 1,
            b"input_audio" | b"audio" => media.audio += 1,
            b"file" | b"input_file" | b"document" => media.file += 1,
            _ => {}
        }
    }

    /// A number ended; `whole` is its value if it was written as a plain whole number.
    #[inline]
    pub(super) fn number(&mut self, whole: Option<u64>) -> Result<(), JsonErrorKind> {
        let Slot::Field(field) = self.slot else {
            return Ok(());
        };
        let value = match field {
            Field::MaxTokens => &mut self.max_tokens,
            Field::MaxCompletionTokens => &mut self.max_completion_tokens,
            Field::N => &mut self.scan.n,
            _ => return Ok(()),
        };
        *value = Some(whole.ok_or(JsonErrorKind::NotInteger)?);
        Ok(())
    }

    #[inline]
    pub(super) fn bool(&mut self, value: bool) {
        match self.slot {
            Slot::Field(Field::Stream) => self.scan.stream = Some(value),
            Slot::Field(Field::IncludeUsage) => self.scan.include_usage = Some(value),
            _ => {}
        }
    }

    /// A value of any kind ended just before this offset.
    #[inline]
    pub(super) fn end(&mut self, depth: u32, end: u32) {
        if depth == 1 {
            if let (true, Some(member)) = (self.remembered, self.scan.members.last_mut()) {
                member.value.1 = end;
            }
        } else if self.slot == Slot::Field(Field::IncludeUsage)
            && let Some(at) = &mut self.scan.include_usage_at
        {
            at.1 = end;
        }
    }

    pub(super) fn finish(mut self, bytes: usize) -> Scan {
        self.scan.bytes = bytes;
        self.scan.max_tokens = self.max_completion_tokens.or(self.max_tokens);
        self.scan
    }
}

fn seen(names: &mut u8, name: u8) -> bool {
    let repeated = *names & name != 0;
    *names |= name;
    repeated
}

fn plain_and_once(word: Word<'_>, repeated: bool) -> Result<(), JsonErrorKind> {
    if word.escaped {
        Err(JsonErrorKind::EscapedKey)
    } else if repeated {
        Err(JsonErrorKind::DuplicateKey)
    } else {
        Ok(())
    }
}
