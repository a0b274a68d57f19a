//! AWS's binary event stream (`application/vnd.amazon.eventstream`): a push parser and a writer.
//!
//! A message is two lengths and a checksum of them, headers, a payload, and a checksum of all before it; numbers are
//! big-endian, checksums CRC-32. Its rule: nothing of a message is told before both sums are right, and any chunking of
//! the same bytes gives the same messages. The surprise: an error is a message like any other, told apart by a header.

use crate::sse::Limits;

#[cfg(test)]
mod tests;

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// A message without headers and payload.
const LEAST_BYTES: usize = PRELUDE_BYTES + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 4;
/// Above this, a buffer is given back after use: thousands of streams are open at once.
const KEPT_BYTES: usize = 64 * 1024;

/// What a message is, by its header `:message-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Event,
    /// An error that the service's model names; its payload says more.
    Exception,
    /// Any other error: all it says stands in headers.
    Error,
}

/// One message whose checksums are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: Kind,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub name: &'a str,
    /// `:error-message`.
    pub error_message: &'a str,
    pub payload: &'a [u8],
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStreamError {
    /// A message goes beyond the limits.
    TooLong,
    /// A checksum is wrong: bytes were changed or lost.
    Checksum,
    /// Lengths or headers do not fit into their message.
    Malformed,
}

impl EventStreamError {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "an event of the stream is longer than its limit",
            Self::Checksum => "a checksum of the stream is wrong",
            Self::Malformed => "a message of the stream contradicts its own lengths",
        }
    }
}

impl std::fmt::Display for EventStreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for EventStreamError {}

/// Reads a stream of messages chunk by chunk. What is kept is the beginning of one message, within the limits.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    held: Vec<u8>,
    fault: Option<EventStreamError>,
}

impl Parser {
    pub fn new(limits: Limits) -> Self {
        Self { limit: limits.event_bytes, held: Vec::new(), fault: None }
    }

    /// Calls `on` for each message that `chunk` completes. After a failure every call fails.
    pub fn feed(&mut self, chunk: &[u8], on: impl FnMut(Message<'_>)) -> Result<(), EventStreamError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let fed = self.take(chunk, on);
        self.fault = fed.err();
        fed
    }

    fn take(&mut self, mut rest: &[u8], mut on: impl FnMut(Message<'_>)) -> Result<(), EventStreamError> {
        // A message that lies in the chunk whole is read where it lies.
        while self.held.is_empty()
            && let Some(length) = self.length(rest)?
            && let Some((whole, behind)) = rest.split_at_checked(length)
        {
            on(read(whole)?);
            rest = behind;
        }
        while !rest.is_empty() {
            let wanted = self.length(&self.held)?.unwrap_or(PRELUDE_BYTES);
            let missing = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (piece, behind) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.held.extend_from_slice(piece);
            rest = behind;
            if self.length(&self.held)? == Some(self.held.len()) {
                let mut whole = std::mem::take(&mut self.held);
                on(read(&whole)?);
                if whole.capacity() <= KEPT_BYTES {
                    whole.clear();
                    self.held = whole;
                }
            }
        }
        Ok(())
    }

    /// The length of the message that begins here; `None` before its prelude is complete.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, EventStreamError> {
        let Some((lengths, behind)) = bytes.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let Some((sum, _)) = behind.split_first_chunk::<4>() else {
            return Ok(None);
        };
        if crc32fast::hash(lengths) != u32::from_be_bytes(*sum) {
            return Err(EventStreamError::Checksum);
        }
        let (length, headers) = (number(lengths.get(..4)), number(lengths.get(4..)));
        if length > self.limit {
            return Err(EventStreamError::TooLong);
        }
        if length < LEAST_BYTES || headers > length - LEAST_BYTES {
            return Err(EventStreamError::Malformed);
        }
        Ok(Some(length))
    }
}

/// Reads one whole message, of which the prelude has been checked.
fn read(whole: &[u8]) -> Result<Message<'_>, EventStreamError> {
    let Some((told, sum)) = whole.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(EventStreamError::Malformed);
    };
    if crc32fast::hash(told) != u32::from_be_bytes(*sum) {
        return Err(EventStreamError::Checksum);
    }
    let headers = number(told.get(4..8));
    let behind = told.get(PRELUDE_BYTES..).and_then(|behind| behind.split_at_checked(headers));
    let (mut headers, payload) = behind.ok_or(EventStreamError::Malformed)?;
    let mut message = Message { payload, ..Message::default() };
    while !headers.is_empty() {
        let (name, value) = header(&mut headers).ok_or(EventStreamError::Malformed)?;
        match name {
            b":message-type" => {
                message.kind = match value {
                    "exception" => Kind::Exception,
                    "error" => Kind::Error,
                    _ => Kind::Event,
                };
            }
            b":event-type" | b":exception-type" | b":error-code" => message.name = value,
            b":error-message" => message.error_message = value,
            _ => {}
        }
    }
    Ok(message)
}

/// Takes one header off the front. Values that are not text are stepped over.
fn header<'a>(headers: &mut &'a [u8]) -> Option<(&'a [u8], &'a str)> {
    let (length, behind) = headers.split_first()?;
    let (name, behind) = behind.split_at_checked(usize::from(*length))?;
    let (kind, behind) = behind.split_first()?;
    let (value, behind) = match kind {
        // True and false have no value.
        0 | 1 => behind.split_at_checked(0)?,
        2 => behind.split_at_checked(1)?,
        3 => behind.split_at_checked(2)?,
        4 => behind.split_at_checked(4)?,
        // A whole number and a time.
        5 | 8 => behind.split_at_checked(8)?,
        // Bytes and text.
        6 | 7 => {
            let (length, behind) = behind.split_first_chunk::<2>()?;
            behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?
        }
        // A UUID.
        9 => behind.split_at_checked(16)?,
        _ => return None,
    };
    *headers = behind;
    let text = if *kind == 7 { std::str::from_utf8(value).ok()? } else { "" };
    Some((name, text))
}

fn number(bytes: Option<&[u8]>) -> usize {
    bytes.unwrap_or_default().iter().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

/// Appends one message with text headers; `fill` writes its payload. A name or value too long for its length is left out.
pub fn write(out: &mut Vec<u8>, headers: &[(&str, &str)], fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        let (Ok(name_length), Ok(value_length)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
            continue;
        };
        out.push(name_length);
        out.extend_from_slice(name.as_bytes());
        out.push(7);
        out.extend_from_slice(&value_length.to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers_end = out.len();
    fill(out);
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let length = out.len() - start + CHECKSUM_BYTES;
    let lengths = [size(length), size(headers_end - start - PRELUDE_BYTES)].concat();
    let prelude = [lengths.as_slice(), &crc32fast::hash(&lengths).to_be_bytes()].concat();
    if let Some(place) = out.get_mut(start..start + PRELUDE_BYTES) {
        place.copy_from_slice(&prelude);
    }
    let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

/// Whether a `content-type` names such a stream: that type alone, whatever its parameters.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/vnd.amazon.eventstream")
}
