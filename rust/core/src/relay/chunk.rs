//! One JSON object of a chat completion, streamed or whole: the few things in it that matter, in one pass.
//!
//! Names are read by structure, never by searching the text, so a reply that talks about `"usage"` is not taken for
//! one that reports it. What is unknown in a delta counts as content: a new kind of output must not be held back.

use std::ops::Range;

use crate::cursor::{Broken, Cursor, count, is_something};

/// Which member of a choice holds what was generated. Perplexity repeats the whole `message` beside each `delta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Stream,
    Reply,
}

/// Choices as bits. OpenAI allows 128; whatever is beyond shares the last bit.
type Choices = u128;

#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    /// Value of the error member, of the object or of a choice, if it says anything.
    pub(super) error: Option<&'a [u8]>,
    /// There is a message where choices would be: the whole object is an error.
    pub(super) is_error: bool,
    pub(super) usage: Option<&'a [u8]>,
    pub(super) model: Option<&'a [u8]>,
    pub(super) choices: Choices,
    pub(super) finished: Choices,
    /// Index and reason, without quotes, of the first choice that has one.
    pub(super) finish: Option<(u64, &'a [u8])>,
    pub(super) content_bytes: usize,
    /// How many values the content consists of, and where the last text among them stands, without its quotes.
    pub(super) content_parts: usize,
    pub(super) text: Range<usize>,
    /// There is a list of them, though it may be empty.
    pub(super) has_choices: bool,
    /// Where a string stands that is there only to hide the length of the event.
    pub(super) padding: Option<Range<usize>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn parse(text: &'a [u8], shape: Shape) -> Result<Self, Broken> {
        let mut cursor = Cursor::new(text);
        let mut chunk = Self::default();
        if !cursor.open_object() {
            return Err(Broken);
        }
        let (mut says, mut has_choices) = (false, false);
        while let Some(key) = cursor.key()? {
            has_choices |= key.as_ref() == b"choices";
            match key.as_ref() {
                b"choices" if cursor.open_array() => {
                    chunk.has_choices = true;
                    let mut position = 0;
                    while cursor.element()? {
                        chunk.read_choice(&mut cursor, position, shape)?;
                        position += 1;
                    }
                }
                b"model" => chunk.model = string(cursor.skip()?),
                b"usage" => chunk.note_usage(cursor.skip()?),
                b"error" => chunk.note_error(cursor.skip()?),
                b"base_resp" => chunk.note_outcome(text, cursor.skip()?),
                b"message" | b"detail" => says |= matches!(cursor.skip()?, [b'"' | b'[', _, _, ..]),
                b"obfuscation" | b"p" => {
                    if let Some(padding) = string(cursor.skip()?) {
                        chunk.padding = Some(inside_quotes(&cursor, padding));
                    }
                }
                // Groq reports usage a second time here, and only here in some streams.
                b"x_groq" if chunk.usage.is_none() && cursor.open_object() => {
                    while let Some(key) = cursor.key()? {
                        let value = cursor.skip()?;
                        if key.as_ref() == b"usage" {
                            chunk.note_usage(value);
                        }
                    }
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        chunk.is_error = says && !has_choices;
        if cursor.at_end() { Ok(chunk) } else { Err(Broken) }
    }

    fn note_usage(&mut self, value: &'a [u8]) {
        if value != b"null" {
            self.usage = Some(value);
        }
    }

    fn note_error(&mut self, value: &'a [u8]) {
        if is_something(value) {
            self.error = Some(value);
        }
    }

    /// `MiniMax` says in each reply how it went, and that it failed in no other way: 0 is well.
    fn note_outcome(&mut self, document: &'a [u8], value: &'a [u8]) {
        let mut outcome = Cursor::new(value);
        let mut failed = false;
        if outcome.open_object() {
            while let Ok(Some(key)) = outcome.key() {
                let is_code = key.as_ref() == b"status_code";
                let Ok(value) = outcome.skip() else { return };
                failed |= is_code && count(value) != 0;
            }
        }
        if failed {
            self.error = Some(document);
        }
    }

    fn read_choice(&mut self, cursor: &mut Cursor<'a>, position: u64, shape: Shape) -> Result<(), Broken> {
        if !cursor.open_object() {
            cursor.skip()?;
            return Ok(());
        }
        let mut index = position;
        let mut finish = None;
        while let Some(key) = cursor.key()? {
            match (key.as_ref(), shape) {
                (b"delta", Shape::Stream) | (b"message", Shape::Reply) if cursor.open_object() => {
                    self.read_delta(cursor)?;
                }
                // The older completions have it in place of a delta or message.
                (b"text", _) => self.read_text(cursor)?,
                (b"index", _) => index = count(cursor.skip()?),
                // Some servers write "" or "null" until there is a reason.
                (b"finish_reason", _) => {
                    finish = string(cursor.skip()?).filter(|&reason| reason != b"null");
                }
                // Moonshot's older models report it per choice.
                (b"usage", _) => self.note_usage(cursor.skip()?),
                (b"error", _) => self.note_error(cursor.skip()?),
                _ => {
                    cursor.skip()?;
                }
            }
        }
        let bit = 1 << index.min(127);
        self.choices |= bit;
        if let Some(reason) = finish {
            self.finished |= bit;
            if self.finish.is_none_or(|(first, _)| index < first) {
                self.finish = Some((index, reason));
            }
        }
        Ok(())
    }

    fn read_delta(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Broken> {
        // OpenRouter and others send the same reasoning under two names.
        let mut reasoning_bytes = 0;
        while let Some(key) = cursor.key()? {
            match key.as_ref() {
                // Known to come before, or without, anything generated.
                b"role" | b"channel" | b"name" | b"obfuscation" | b"provider_metadata" => {
                    cursor.skip()?;
                }
                b"content" | b"refusal" => self.read_text(cursor)?,
                b"reasoning_content" | b"reasoning" => {
                    if let Some(text) = string(cursor.skip()?) {
                        self.note_text(inside_quotes(cursor, text));
                        reasoning_bytes = text.len().max(reasoning_bytes);
                    }
                }
                b"tool_calls" if cursor.open_array() => {
                    while cursor.element()? {
                        self.read_call(cursor)?;
                    }
                }
                b"function_call" => self.read_call(cursor)?,
                _ => {
                    let value = cursor.skip()?;
                    let is_content = matches!(value.first(), Some(b'"' | b'{' | b'[')) && is_something(value);
                    self.content_parts += usize::from(is_content);
                }
            }
        }
        self.content_bytes += reasoning_bytes;
        Ok(())
    }

    /// A tool call or a part of one; names and arguments are text the model wrote.
    fn read_call(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Broken> {
        if !cursor.open_object() {
            self.content_parts += usize::from(cursor.skip()? != b"null");
            return Ok(());
        }
        let before = self.content_parts;
        while let Some(key) = cursor.key()? {
            match key.as_ref() {
                b"function" | b"custom" if cursor.open_object() => {
                    while let Some(key) = cursor.key()? {
                        match key.as_ref() {
                            b"name" | b"arguments" | b"input" => self.read_text(cursor)?,
                            _ => {
                                cursor.skip()?;
                            }
                        }
                    }
                }
                b"arguments" | b"name" => self.read_text(cursor)?,
                _ => {
                    cursor.skip()?;
                }
            }
        }
        // A call without a word is still one.
        self.content_parts = self.content_parts.max(before + 1);
        Ok(())
    }

    /// Text, or the list of parts that Mistral and Databricks send in its place.
    fn read_text(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Broken> {
        let value = cursor.skip()?;
        if let Some(text) = string(value) {
            self.note_text(inside_quotes(cursor, text));
            self.content_bytes += text.len();
        } else if value.first() == Some(&b'[') && is_something(value) {
            self.content_parts += 1;
            self.content_bytes += value.len();
        }
        Ok(())
    }

    fn note_text(&mut self, text: Range<usize>) {
        self.content_parts += 1;
        self.text = text;
    }

    pub(super) fn has_content(&self) -> bool {
        self.content_parts > 0
    }
}

/// Where the string stands over which the cursor has just stepped.
fn inside_quotes(cursor: &Cursor<'_>, text: &[u8]) -> Range<usize> {
    let end = cursor.position().saturating_sub(1);
    end.saturating_sub(text.len())..end
}

/// What stands between the quotes of a string that is not empty, escapes and all.
fn string(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] if !inner.is_empty() => Some(inner),
        _ => None,
    }
}
