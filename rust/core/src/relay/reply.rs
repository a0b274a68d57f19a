//! Replies that are no streams: a whole one in hand, and a long one of which only both ends are kept.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::{memchr2, memchr3, memmem};

use crate::{
    cursor::{Cursor, text},
    failure::{ErrorBody, Failure, Kind, classify},
    relay::{
        chunk::{Chunk, Shape},
        seen::{failed_finish, name},
    },
    usage::{Usage, UsageRule},
};

/// What a reply says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyFacts {
    pub usage: Option<Usage>,
    /// Of the first choice, as the upstream wrote it, or, where the reply was translated, the neutral word for it.
    pub finish_reason: Option<Box<str>>,
    /// As the upstream names it.
    pub model: Option<Box<str>>,
    /// Bytes of generated text, as written in JSON, or, where the reply was translated, of the text itself; unknown, so 0,
    /// for a long reply.
    pub content_bytes: u64,
    /// It has no choices, or no text, call or anything else in them; unknown, so false, for a long reply.
    pub empty: bool,
    /// Names of what it holds and its client's dialect has no words for.
    pub unsaid: Vec<String>,
}

/// Reads a whole reply that came with status 200. Refuses what is not one whole JSON object as malformed or
/// truncated, and an error under that status as what the error says it is. White space around it is fine: DeepSeek
/// sends empty lines while it works.
pub fn inspect_reply(body: &[u8], rule: UsageRule) -> Result<ReplyFacts, Failure> {
    inspect(body, rule, false)
}

/// As [`inspect_reply`]; `talks`: what has no list of choices is no reply.
pub(super) fn inspect(body: &[u8], rule: UsageRule, talks: bool) -> Result<ReplyFacts, Failure> {
    let mut start = Cursor::new(body);
    match start.peek() {
        Some(b'{') => {}
        Some(b'[') => return Err(error_in_array(body)),
        _ => return Err(Failure::new(Kind::Malformed)),
    }
    let chunk = Chunk::parse(body, Shape::Reply).map_err(|_| {
        let whole = body.trim_ascii().last() == Some(&b'}');
        Failure::new(if whole { Kind::Malformed } else { Kind::Truncated })
    })?;
    if let Some(error) = chunk.error {
        return Err(classify(200, &ErrorBody::parse(error)));
    }
    if let Some(failure) = failed_finish(&chunk) {
        return Err(failure);
    }
    if talks && !chunk.has_choices && !is_deferred(body) {
        return Err(no_reply(body));
    }
    Ok(ReplyFacts {
        usage: chunk.usage.and_then(|usage| Usage::from_openai(usage, rule)),
        finish_reason: chunk.finish.map(|(_, reason)| name(reason)),
        model: chunk.model.map(name),
        content_bytes: chunk.content_bytes as u64,
        empty: !chunk.has_content(),
        unsaid: Vec::new(),
    })
}

/// xAI answers a request that it will work on later with an id to ask for it, and nothing else.
fn is_deferred(body: &[u8]) -> bool {
    let mut cursor = Cursor::new(body);
    let mut names = cursor.open_object().then_some(0_u32);
    while let (Some(seen), Ok(Some(name))) = (names, cursor.key()) {
        let is_id = name.as_ref() == b"request_id" && cursor.skip().is_ok_and(|value| text(value).is_some());
        names = is_id.then_some(seen + 1);
    }
    names == Some(1)
}

/// What an object means that is no reply: an error in words of its own, or nothing.
pub(super) fn no_reply(body: &[u8]) -> Failure {
    let said = ErrorBody::parse(body);
    if said.message.is_empty() { Failure::new(Kind::Malformed) } else { classify(200, &said) }
}

/// Vertex wraps its one error in an array; no reply is one.
pub(super) fn error_in_array(body: &[u8]) -> Failure {
    let mut cursor = Cursor::new(body);
    let first = cursor.open_array() && cursor.element() == Ok(true);
    let inner = if first { cursor.skip().ok() } else { None };
    match inner.map(|inner| Chunk::parse(inner, Shape::Reply)) {
        Some(Ok(Chunk { error: Some(error), .. })) => classify(200, &ErrorBody::parse(error)),
        _ => Failure::new(Kind::Malformed),
    }
}

const HEAD_BYTES: usize = 4 * 1024;
const TAIL_BYTES: usize = 16 * 1024;

/// A tail of more pieces than this is copied into one: each piece may keep a whole read buffer alive.
const TAIL_PIECES: usize = 64;

/// Watches a reply that is too long to hold while it is relayed frame by frame.
///
/// It keeps the first 4 KiB and the last 16 KiB, where usage, model and finish reason stand, and finds them by name
/// there: inside a string the quotes of a name would be escaped, so a name followed by a colon is a key.
#[derive(Debug)]
pub struct TailInspector {
    rule: UsageRule,
    braces: Braces,
    head: Vec<u8>,
    tail: VecDeque<Bytes>,
    tail_bytes: usize,
}

impl TailInspector {
    pub fn new(rule: UsageRule) -> Self {
        Self { rule, braces: Braces::default(), head: Vec::new(), tail: VecDeque::new(), tail_bytes: 0 }
    }

    /// Takes the next frame of the body. A clone of the handle is enough; the bytes stay where they are.
    pub fn feed(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        self.braces.feed(&frame);
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(frame.len());
        self.head.extend_from_slice(frame.get(..room).unwrap_or_default());
        self.tail_bytes += frame.len();
        self.tail.push_back(frame);
        while let Some(first) = self.tail.front()
            && self.tail_bytes - first.len() >= TAIL_BYTES
        {
            self.tail_bytes -= first.len();
            self.tail.pop_front();
        }
        if self.tail.len() > TAIL_PIECES {
            let whole = self.tail();
            self.tail_bytes = whole.len();
            self.tail = VecDeque::from([Bytes::from(whole)]);
        }
    }

    /// The body ended. Refuses one that is no JSON object, or ends before its last brace.
    pub fn end(&self) -> Result<ReplyFacts, Failure> {
        if self.head.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::new(Kind::Malformed));
        }
        if !self.braces.closed {
            return Err(Failure::new(Kind::Truncated));
        }
        let tail = self.tail();
        let places = [tail.as_slice(), self.head.as_slice()];
        let usage = places
            .iter()
            .find_map(|place| last_value(place, b"\"usage\"", |value| Usage::from_openai(value, self.rule)));
        let finish_reason = places.iter().find_map(|place| last_value(place, b"\"finish_reason\"", text));
        let model = places.iter().rev().find_map(|place| last_value(place, b"\"model\"", text));
        Ok(ReplyFacts {
            usage,
            finish_reason: finish_reason.map(|reason| name(&reason)),
            model: model.map(|model| name(&model)),
            content_bytes: 0,
            empty: false,
            unsaid: Vec::new(),
        })
    }

    /// The last bytes of the body, in one piece.
    fn tail(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.tail_bytes);
        for piece in &self.tail {
            whole.extend_from_slice(piece);
        }
        let surplus = whole.len().saturating_sub(TAIL_BYTES);
        whole.drain(..surplus);
        whole
    }
}

/// Follows a JSON object to its last brace. Everything else is jumped over, so long vectors and texts cost little.
#[derive(Debug, Default)]
struct Braces {
    depth: u64,
    in_string: bool,
    after_backslash: bool,
    closed: bool,
}

impl Braces {
    fn feed(&mut self, text: &[u8]) {
        let mut at = usize::from(std::mem::take(&mut self.after_backslash));
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() && !self.closed) {
            let found = if self.in_string { memchr2(b'"', b'\\', rest) } else { memchr3(b'"', b'{', b'}', rest) };
            let Some(offset) = found else { return };
            at += offset + 1;
            match rest.get(offset) {
                Some(b'"') => self.in_string = !self.in_string,
                Some(b'{') => self.depth += 1,
                Some(b'}') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.closed = self.depth == 0;
                }
                _ => at += 1,
            }
        }
        // A backslash was the last byte: what it escapes is in the next frame.
        self.after_backslash = at > text.len();
    }
}

/// The value of the last key of this name that `read` can read.
fn last_value<'t, T>(place: &'t [u8], quoted_name: &[u8], read: impl Fn(&'t [u8]) -> Option<T>) -> Option<T> {
    memmem::rfind_iter(place, quoted_name).find_map(|at| {
        // `\"usage"` is the end of a longer string.
        if at > 0 && place.get(at - 1) == Some(&b'\\') {
            return None;
        }
        let after = place.get(at + quoted_name.len()..)?.trim_ascii_start();
        read(Cursor::new(after.strip_prefix(b":")?).skip().ok()?)
    })
}
