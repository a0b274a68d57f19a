//! Reads one response as it arrives: head, framing, and for streams the events inside.
//!
//! The rule: nothing is forgiven. A stream without its last event, a body shorter than announced or a closed connection
//! is a fault with a class of its own, because a load test that overlooks errors measures how fast things fail.

use memchr::{memchr, memmem};

use super::super::chunked::Chunked;

const MOST_HEADERS: usize = 128;
const LONGEST_HEAD_BYTES: usize = 64 * 1024;
/// An event line longer than this is no longer searched for a stamp.
const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// Why a response is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection could not be made.
    Connect,
    /// RST, or another error of the socket.
    Reset,
    /// The connection ended before the response did.
    Closed,
    /// The same, but on a connection that had been idle, and before the first byte of the response.
    Stale,
    Malformed,
    Status,
    /// A stream that ended without its last event.
    Truncated,
    /// A stream that ended with an error inside.
    ErrorEvent,
    Timeout,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Stale => "stale",
            Self::Malformed => "malformed",
            Self::Status => "status",
            Self::Truncated => "truncated",
            Self::ErrorEvent => "error_event",
            Self::Timeout => "timeout",
        }
    }
}

#[derive(Debug)]
enum Framing {
    Head,
    Length { left: u64 },
    Chunked(Chunked),
    UntilClose,
    Done,
}

#[derive(Debug)]
pub(super) struct Response {
    framing: Framing,
    /// A head that came in pieces.
    head: Vec<u8>,
    pub(super) status: u16,
    pub(super) body_bytes: u64,
    /// The server closes the connection after this response.
    pub(super) last: bool,
    pub(super) events: Option<Events>,
}

impl Response {
    pub(super) fn new(stream: bool) -> Self {
        Self {
            framing: Framing::Head,
            head: Vec::new(),
            status: 0,
            body_bytes: 0,
            last: false,
            events: stream.then(Events::default),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.framing, Framing::Head) && self.head.is_empty()
    }

    /// Takes what one read gave; calls `stamped` for each event with a send time.
    pub(super) fn feed(&mut self, bytes: &[u8], stamped: &mut dyn FnMut(u64)) -> Result<(), Fault> {
        if !matches!(self.framing, Framing::Head) {
            return self.feed_body(bytes, stamped);
        }
        // Nearly always the head is there at once and nothing is copied.
        if self.head.is_empty() {
            if let Some(length) = self.read_head(bytes)? {
                return self.feed_body(bytes.get(length..).unwrap_or_default(), stamped);
            }
            self.head.extend_from_slice(bytes);
            return Ok(());
        }
        if self.head.len() > LONGEST_HEAD_BYTES {
            return Err(Fault::Malformed);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(bytes);
        if let Some(length) = self.read_head(&head)? {
            return self.feed_body(head.get(length..).unwrap_or_default(), stamped);
        }
        self.head = head;
        Ok(())
    }

    fn feed_body(&mut self, mut bytes: &[u8], stamped: &mut dyn FnMut(u64)) -> Result<(), Fault> {
        match &mut self.framing {
            Framing::Head | Framing::Done if bytes.is_empty() => {}
            // More than one response to one request.
            Framing::Head | Framing::Done => return Err(Fault::Malformed),
            Framing::UntilClose => {
                self.body_bytes += bytes.len() as u64;
                if let Some(events) = &mut self.events {
                    events.feed(bytes, stamped);
                }
            }
            Framing::Length { left } => {
                let length = bytes.len() as u64;
                *left = left.checked_sub(length).ok_or(Fault::Malformed)?;
                self.body_bytes += length;
                let done = *left == 0;
                if let Some(events) = &mut self.events {
                    events.feed(bytes, stamped);
                }
                if done {
                    self.framing = Framing::Done;
                }
            }
            Framing::Chunked(coding) => {
                while let Some(data) = coding.next(&mut bytes).map_err(|_| Fault::Malformed)? {
                    self.body_bytes += data.len() as u64;
                    if let Some(events) = &mut self.events {
                        events.feed(data, stamped);
                    }
                }
                if let Some(events) = &mut self.events {
                    events.chunks = coding.chunks;
                }
                if coding.is_done() {
                    self.framing = Framing::Done;
                }
            }
        }
        Ok(())
    }

    /// Reads a head of the response; its length, or `None` while it is incomplete.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(parsed) = response.parse(bytes) else {
            return Err(Fault::Malformed);
        };
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        self.status = response.code.unwrap_or(0);
        self.last = response.version == Some(0);
        let mut framing = Framing::UntilClose;
        for header in response.headers.iter() {
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let text = std::str::from_utf8(header.value).unwrap_or_default();
                    let left = text.trim().parse().map_err(|_| Fault::Malformed)?;
                    framing = if left == 0 { Framing::Done } else { Framing::Length { left } };
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing = Framing::Chunked(Chunked::default());
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    self.last |= header.value.eq_ignore_ascii_case(b"close");
                }
                _ => {}
            }
        }
        if matches!(self.status, 204 | 304) {
            framing = Framing::Done;
        }
        self.last |= matches!(framing, Framing::UntilClose);
        self.framing = framing;
        Ok(Some(length))
    }

    /// The peer sent FIN: the end of a body that lasts until then, a fault in any other.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.framing {
            Framing::Done => Ok(()),
            Framing::UntilClose => {
                self.framing = Framing::Done;
                Ok(())
            }
            _ => Err(Fault::Closed),
        }
    }

    /// What a response that arrived whole was worth.
    pub(super) fn verdict(&self) -> Result<(), Fault> {
        if !(200..300).contains(&self.status) {
            return Err(Fault::Status);
        }
        match &self.events {
            Some(events) if events.failed => Err(Fault::ErrorEvent),
            Some(events) if !events.terminated => Err(Fault::Truncated),
            _ => Ok(()),
        }
    }
}

/// Server-sent events, as far as a load test looks at them.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Events with data, the terminator included.
    pub(super) count: u64,
    pub(super) chunks: u64,
    terminated: bool,
    failed: bool,
    /// A line that has not ended.
    line: Vec<u8>,
    has_data: bool,
    stamp_ns: Option<u64>,
}

impl Events {
    fn feed(&mut self, mut bytes: &[u8], stamped: &mut dyn FnMut(u64)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.read_line(line, stamped);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.read_line(&whole, stamped);
            }
        }
        if self.line.len() < LONGEST_LINE_BYTES {
            self.line.extend_from_slice(bytes);
        }
    }

    fn read_line(&mut self, line: &[u8], stamped: &mut dyn FnMut(u64)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                self.count += 1;
            }
            if let Some(stamp_ns) = self.stamp_ns.take() {
                stamped(stamp_ns);
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.trim_ascii_start();
            self.has_data = true;
            self.terminated |= data == b"[DONE]" || data.starts_with(b"{\"type\":\"message_stop\"");
            self.failed |= data.starts_with(b"{\"error\"") || data.starts_with(b"{\"type\":\"error\"");
            self.stamp_ns = self.stamp_ns.or_else(|| stamp(data));
        }
    }
}

/// The number after `t_ns`, whatever quotes or signs stand between.
fn stamp(data: &[u8]) -> Option<u64> {
    let after = data.get(memmem::find(data, b"t_ns")? + 4..)?;
    let start = after.iter().position(u8::is_ascii_digit).filter(|&start| start <= 4)?;
    let digits = after.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.take(19).try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        12\r\ndata: {\"t_ns\":77}\n\r\n1\r\n\n\r\n19\r\n: ping\n\ndata: t_ns=78 x\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> (Response, Vec<u64>) {
        let mut response = Response::new(true);
        let mut stamps = Vec::new();
        for piece in pieces {
            response.feed(piece, &mut |stamp| stamps.push(stamp)).unwrap();
        }
        (response, stamps)
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_events() {
        for at in 0..STREAM.len() {
            let (first, second) = STREAM.split_at(at);
            let (response, stamps) = read(&[first, second]);
            assert!(response.is_done() && response.verdict().is_ok(), "split at {at}");
            let events = response.events.as_ref().map(|events| (events.count, events.chunks));
            assert_eq!((stamps.as_slice(), events), (&[77, 78][..], Some((3, 4))), "split at {at}");
        }
    }

    #[test]
    fn a_stream_without_its_last_event_is_a_fault() {
        let (mut response, _) = read(&[b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n"]);
        response.end().unwrap();
        assert_eq!(response.verdict(), Err(Fault::Truncated));
        let (response, _) = read(&[b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\ndata: {\"error\":{\"a\":1}}\n"]);
        assert_eq!(response.verdict(), Err(Fault::ErrorEvent));
    }

    #[test]
    fn a_short_body_and_a_long_one_are_faults() {
        let (mut response, _) = read(&[b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"]);
        assert_eq!(response.end(), Err(Fault::Closed));
        let long = Response::new(false).feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc", &mut |_| ());
        assert_eq!(long, Err(Fault::Malformed));
    }
}
