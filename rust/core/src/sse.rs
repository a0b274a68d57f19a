//! Server-sent events: a push parser and a writer, after the "event stream interpretation" of the HTML standard.
//!
//! One rule: any chunking of the same bytes gives the same events, in time linear in the bytes. One surprise: a line
//! that ends in CR is done at the CR, so the LF of a CRLF may be the first byte of the next chunk.

use memchr::{memchr, memchr2};

pub mod writer;

#[cfg(test)]
mod tests;

/// How much of one stream may be in memory. A stream that goes beyond is refused, not truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One line, without its end.
    pub line_bytes: usize,
    /// All lines of one block together.
    pub event_bytes: usize,
}

impl Default for Limits {
    /// 1 MiB each: text deltas stay below 100 KiB; models that stream images or audio are given more.
    fn default() -> Self {
        Self { line_bytes: 1 << 20, event_bytes: 1 << 20 }
    }
}

/// A stream went beyond its [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseError {
    /// How many bytes of this chunk belong to blocks that were finished before it.
    pub finished: usize,
}

impl std::fmt::Display for SseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event of the stream is longer than its limit")
    }
}

impl std::error::Error for SseError {}

/// One dispatched event. It borrows from the chunk when it lies in it whole with a single data line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Empty means `message`.
    pub name: &'a [u8],
    /// Data lines joined by LF.
    pub data: &'a [u8],
    /// The last `id` the stream has set, by this event or an earlier one.
    pub last_id: &'a [u8],
    /// Offset in this chunk where the block began; 0 when it began in an earlier chunk.
    pub start: usize,
    /// Offset in this chunk just after the block.
    pub end: usize,
    /// Not an event at all but lines of JSON that stand in the stream without `data:`.
    pub bare: bool,
}

/// Data lines of the block that is being read.
#[derive(Clone, Copy)]
enum Data {
    None,
    /// The only one so far, still in this chunk.
    InChunk(usize, usize),
    /// In `Parser::data`.
    Owned,
}

/// What the lines since the last blank line are, comments apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Empty,
    Fields,
    BareJson,
    /// Beyond the limits: the stream is over.
    Refused,
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Above this, a buffer is given back after use: thousands of streams are open at once.
const KEPT_BYTES: usize = 64 * 1024;

/// Reads a stream of events chunk by chunk. Bytes only: a UTF-8 sequence may be cut anywhere.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    keeps_bare_json: bool,
    /// Bytes of a leading byte order mark seen so far; 3 when that question is settled.
    bom_seen: usize,
    /// The last line ended in CR at the end of a chunk.
    skips_lf: bool,
    block: Block,
    /// Bytes of the finished lines of the current block.
    block_bytes: usize,
    has_data: bool,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    data: Vec<u8>,
    name: Vec<u8>,
    last_id: Vec<u8>,
    retry_ms: Option<u64>,
}

impl Parser {
    /// A parser after the standard: lines of unknown fields are ignored.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keeps_bare_json: false,
            bom_seen: 0,
            skips_lf: false,
            block: Block::Empty,
            block_bytes: 0,
            has_data: false,
            line: Vec::new(),
            data: Vec::new(),
            name: Vec::new(),
            last_id: Vec::new(),
            retry_ms: None,
        }
    }

    /// The same, but a block whose first line begins with `{` or `[`, which no field name does, is dispatched as
    /// [`Event::bare`]: some servers break off with a plain JSON error between events or instead of them.
    pub fn with_bare_json(limits: Limits) -> Self {
        Self { keeps_bare_json: true, ..Self::new(limits) }
    }

    /// The reconnection time the stream asked for.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// The last line ended in CR; an LF at the start of the next chunk belongs to it.
    pub fn awaits_lf(&self) -> bool {
        self.skips_lf
    }

    /// Feeds one chunk and calls `on` for each event that it completes. Returns how many bytes of this chunk belong
    /// to finished blocks (events, comments, blank lines); the rest begins an unfinished one. Once the stream went
    /// beyond its limits every call fails.
    pub fn feed(&mut self, chunk: &[u8], mut on: impl FnMut(Event<'_>)) -> Result<usize, SseError> {
        if self.block == Block::Refused {
            return Err(SseError { finished: 0 });
        }
        let mut round = Round::new(chunk, self.has_data);
        round.at = self.pass_bom(chunk);
        if self.skips_lf && round.at < chunk.len() {
            self.skips_lf = false;
            if chunk.get(round.at) == Some(&b'\n') {
                round.at += 1;
                if self.block == Block::Empty {
                    round.close();
                }
            }
        }
        while let Some(offset) = chunk.get(round.at..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let (start, end) = (round.at, round.at + offset);
            round.at = end + 1;
            if chunk.get(end) == Some(&b'\r') {
                match chunk.get(round.at) {
                    Some(b'\n') => round.at += 1,
                    Some(_) => {}
                    None => self.skips_lf = true,
                }
            }
            let line = chunk.get(start..end).unwrap_or_default();
            if self.line.is_empty() {
                self.take_line(line, Some(start), &mut round, &mut on)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole, None, &mut round, &mut on)?;
                self.line = recycled(whole);
            }
        }
        self.line.extend_from_slice(chunk.get(round.at..).unwrap_or_default());
        self.check(self.line.len(), &round)?;
        self.has_data = !matches!(round.data, Data::None);
        if let Data::InChunk(start, end) = round.data {
            self.data.clear();
            self.data.extend_from_slice(chunk.get(start..end).unwrap_or_default());
        }
        Ok(round.finished)
    }

    /// The input ended. The standard would drop a last event that lacks its blank line; providers do send such a
    /// one, so it is dispatched here. A reader that wants the standard's behaviour does not call this.
    pub fn end(&mut self, mut on: impl FnMut(Event<'_>)) -> Result<(), SseError> {
        if self.block == Block::Refused {
            return Err(SseError { finished: 0 });
        }
        let mut round = Round::new(&[], self.has_data);
        if self.bom_seen < BOM.len() {
            self.line.extend_from_slice(BOM.get(..self.bom_seen).unwrap_or_default());
            self.bom_seen = BOM.len();
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, None, &mut round, &mut on)?;
        }
        self.take_line(&[], None, &mut round, &mut on)
    }

    /// Steps over a leading byte order mark, which may come one byte per chunk.
    fn pass_bom(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while self.bom_seen < BOM.len() && at < chunk.len() {
            if chunk.get(at) == BOM.get(self.bom_seen) {
                self.bom_seen += 1;
                at += 1;
            } else {
                // No mark after all: its bytes begin the first line.
                self.line.extend_from_slice(BOM.get(..self.bom_seen).unwrap_or_default());
                self.bom_seen = BOM.len();
            }
        }
        at
    }

    fn check(&mut self, line_bytes: usize, round: &Round<'_>) -> Result<(), SseError> {
        if line_bytes > self.limits.line_bytes || self.block_bytes + line_bytes > self.limits.event_bytes {
            self.block = Block::Refused;
            return Err(SseError { finished: round.finished });
        }
        Ok(())
    }

    /// One whole line, which lies in the chunk at `offset` if there is one.
    fn take_line(
        &mut self,
        line: &[u8],
        offset: Option<usize>,
        round: &mut Round<'_>,
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<(), SseError> {
        self.check(line.len(), round)?;
        let Some(&first) = line.first() else {
            self.dispatch(round, on);
            return Ok(());
        };
        if first == b':' && self.block == Block::Empty {
            // A comment between blocks is a block of its own: nothing needs to wait for it.
            round.close();
            return Ok(());
        }
        self.block_bytes += line.len() + 1;
        if self.block == Block::Empty {
            let json = self.keeps_bare_json && matches!(first, b'{' | b'[');
            self.block = if json { Block::BareJson } else { Block::Fields };
        }
        if self.block == Block::BareJson {
            self.add_data(line, offset, round);
        } else if let Some(value) = line.strip_prefix(b"data:") {
            let skipped = if value.first() == Some(&b' ') { 6 } else { 5 };
            self.add_data(line.get(skipped..).unwrap_or_default(), offset.map(|start| start + skipped), round);
        } else {
            self.take_field(line, round);
        }
        Ok(())
    }

    fn take_field(&mut self, line: &[u8], round: &mut Round<'_>) {
        let colon = memchr(b':', line).unwrap_or(line.len());
        let field = line.get(..colon).unwrap_or_default();
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add_data(value, None, round),
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            b"id" if memchr(0, value).is_none() => {
                self.last_id.clear();
                self.last_id.extend_from_slice(value);
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                self.retry_ms = Some(digits.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }

    fn add_data(&mut self, value: &[u8], offset: Option<usize>, round: &mut Round<'_>) {
        round.data = match (round.data, offset) {
            (Data::None, Some(start)) => Data::InChunk(start, start + value.len()),
            (before, _) => {
                match before {
                    Data::None => self.data.clear(),
                    Data::InChunk(start, end) => {
                        self.data.clear();
                        self.data.extend_from_slice(round.chunk.get(start..end).unwrap_or_default());
                        self.data.push(b'\n');
                    }
                    Data::Owned => self.data.push(b'\n'),
                }
                self.data.extend_from_slice(value);
                Data::Owned
            }
        };
    }

    /// A blank line: the block is over, and an event if it has data.
    fn dispatch(&mut self, round: &mut Round<'_>, on: &mut impl FnMut(Event<'_>)) {
        let data = match round.data {
            Data::None => None,
            Data::InChunk(start, end) => round.chunk.get(start..end),
            Data::Owned => Some(self.data.as_slice()),
        };
        if let Some(data) = data {
            on(Event {
                name: &self.name,
                data,
                last_id: &self.last_id,
                start: round.finished,
                end: round.at,
                bare: self.block == Block::BareJson,
            });
        }
        self.data = recycled(std::mem::take(&mut self.data));
        self.name.clear();
        self.block = Block::Empty;
        self.block_bytes = 0;
        round.data = Data::None;
        round.close();
    }
}

/// One call of [`Parser::feed`].
struct Round<'c> {
    chunk: &'c [u8],
    /// Where reading goes on.
    at: usize,
    /// Everything before this belongs to finished blocks; the open block begins here or in an earlier chunk.
    finished: usize,
    data: Data,
}

impl<'c> Round<'c> {
    fn new(chunk: &'c [u8], has_data: bool) -> Self {
        let data = if has_data { Data::Owned } else { Data::None };
        Self { chunk, at: 0, finished: 0, data }
    }

    fn close(&mut self) {
        self.finished = self.at;
    }
}

fn recycled(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > KEPT_BYTES {
        return Vec::new();
    }
    buffer.clear();
    buffer
}

/// Whether a `content-type` names an event stream: that type alone, whatever its parameters.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
