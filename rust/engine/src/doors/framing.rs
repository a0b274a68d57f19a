//! Where the heads of an HTTP/1 connection begin and end, read beside hyper from the bytes it is given.
//!
//! The rule: what two servers could frame in two ways is refused (RFC 9112, sections 6.3 and 11.2). The surprise: no
//! byte is changed or kept back. hyper drops a content-length beside a transfer-encoding and takes a lone line feed for
//! a line end without a word, so this only says which head is to be refused, and the service answers that one.

use memchr::memchr;

/// A head, its request line included; also the longest line of a chunked body's own.
pub(super) const HEAD_BYTES: u32 = 32 * 1024;

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The head of this number, counted from one, is not to be obeyed.
    Head(u32, &'static str),
    /// A chunked body is not framed as it should be; so many bytes of this read are before the fault.
    Body(usize, &'static str),
}

#[derive(Clone, Copy, Debug)]
enum Part {
    RequestLine,
    Fields,
    /// Bytes that are nobody's lines, and whether they are a chunk's.
    Data(u64, bool),
    ChunkSize,
    Trailers,
    /// A fault was found: nothing behind it is read as a request.
    Over,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    /// Heads that were complete.
    heads: u32,
    /// A line that did not come whole; empty nearly always.
    held: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self { part: Part::RequestLine, heads: 0, held: Vec::new(), length: None, chunked: false }
    }

    /// Looks at what was read. After a flaw everything is let through: the connection is about to end.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.part {
                Part::Over => return Ok(()),
                Part::Data(left, chunk) => self.skip(rest, left, chunk),
                _ => {
                    let at = bytes.len() - rest.len();
                    self.line(rest).map_err(|flaw| self.flaw(at, flaw))?
                }
            };
        }
        Ok(())
    }

    fn flaw(&mut self, at: usize, flaw: &'static str) -> Flaw {
        let of_body = matches!(self.part, Part::ChunkSize | Part::Trailers);
        self.part = Part::Over;
        if of_body { Flaw::Body(at, flaw) } else { Flaw::Head(self.heads + 1, flaw) }
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, chunk: bool) -> &'a [u8] {
        let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.part = match left - here as u64 {
            0 if chunk => Part::ChunkSize,
            0 => Part::RequestLine,
            left => Part::Data(left, chunk),
        };
        bytes.get(here..).unwrap_or_default()
    }

    /// Takes one line, or what is there of it, and gives what is behind it.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], &'static str> {
        let Some((line, rest)) = memchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end + 1)) else {
            if self.held.len() + bytes.len() > HEAD_BYTES as usize {
                return Err("a line is too long");
            }
            self.held.extend_from_slice(bytes);
            return Ok(&[]);
        };
        if self.held.is_empty() {
            self.whole(line)?;
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(line);
            self.whole(&held)?;
        }
        Ok(rest)
    }

    fn whole(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\r\n").ok_or("a line ends in a line feed without a carriage return")?;
        match self.part {
            // Empty lines before a request are skipped, as hyper does (RFC 9112, section 2.2).
            Part::RequestLine if line.is_empty() => {}
            Part::RequestLine => {
                (self.length, self.chunked) = (None, false);
                self.part = Part::Fields;
            }
            Part::Fields if line.is_empty() => return self.head(),
            Part::Fields => return self.field(line),
            Part::ChunkSize => self.part = after_chunk_size(line)?,
            Part::Trailers if line.is_empty() => self.part = Part::RequestLine,
            Part::Trailers | Part::Data(..) | Part::Over => {}
        }
        Ok(())
    }

    /// Names that only resemble one of these (folded lines, a space before the colon) are refused by hyper's parser.
    fn field(&mut self, line: &[u8]) -> Result<(), &'static str> {
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length") {
                    let length = decimal(value).ok_or("content-length is not a number")?;
                    if self.length.replace(length).is_some_and(|before| before != length) {
                        return Err("content-length is given twice, and differs");
                    }
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err("transfer-encoding may only be chunked, and only once");
                    }
                    self.chunked = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), &'static str> {
        if self.chunked && self.length.is_some() {
            return Err("content-length and transfer-encoding exclude each other");
        }
        self.heads += 1;
        self.part = match self.length {
            _ if self.chunked => Part::ChunkSize,
            None | Some(0) => Part::RequestLine,
            Some(length) => Part::Data(length, false),
        };
        Ok(())
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // The colon first: it tells nearly all other names apart without a look at their letters.
    let (start, value) = line.split_at_checked(name.len()).filter(|(_, value)| value.first() == Some(&b':'))?;
    start.eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    let plain = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// What follows the line `size [; extension]`.
fn after_chunk_size(line: &[u8]) -> Result<Part, &'static str> {
    const WRONG: &str = "a chunk's size is not a number";
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let plain = size.iter().all(u8::is_ascii_hexdigit);
    let size = str::from_utf8(size).ok().filter(|_| plain).ok_or(WRONG)?;
    let size = u64::from_str_radix(size, 16).map_err(|_| WRONG)?;
    // The line end behind a chunk's bytes is checked by hyper, to the byte.
    Ok(if size == 0 { Part::Trailers } else { Part::Data(size.saturating_add(2), true) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /v1/models HTTP/1.1\r\nHost: x\r\n";

    fn fed(bytes: &[u8]) -> Result<u32, Flaw> {
        let mut framing = Framing::new();
        framing.feed(bytes).map(|()| framing.heads)
    }

    /// Every cut of the same bytes in two, and every byte alone, must end alike.
    fn always(bytes: &str) -> Result<u32, &'static str> {
        let text = |flaw| match flaw {
            Flaw::Head(_, text) | Flaw::Body(_, text) => text,
        };
        let bytes = bytes.as_bytes();
        let whole = fed(bytes).map_err(text);
        let cuts = (0..=bytes.len()).map(|cut| bytes.split_at(cut)).map(|(a, b)| vec![a, b]);
        for pieces in cuts.chain([bytes.chunks(1).collect()]) {
            let mut framing = Framing::new();
            let ended = pieces.iter().try_for_each(|piece| framing.feed(piece)).map(|()| framing.heads);
            assert_eq!(ended.map_err(text), whole, "{pieces:?}");
        }
        whole
    }

    #[test]
    fn pipelined_requests_are_counted_whatever_their_bodies_hold() {
        let chunked = "transfer-encoding: Chunked\r\n\r\n1a;x=\"\r\nabcdefghijklmnopqrstuvwx\n\n\r\n0\r\nt: 1\r\n\r\n";
        let all = format!(
            "\r\n{HEAD}content-length: 4\r\n\r\n\nX\r\n{HEAD}\r\n{HEAD}{chunked}GET / HTTP/1.0\r\n\r\n{HEAD}CONTENT-LENGTH:\t02\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        assert_eq!(always(&all), Ok(5));
    }

    #[test]
    fn a_head_that_could_be_framed_in_two_ways_is_refused() {
        for fields in [
            "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "content-length: 2\r\ncontent-length: 3\r\n\r\n",
            "content-length: 2, 2\r\n\r\n",
            "content-length: +2\r\n\r\n",
            "content-length:\r\n\r\n",
            "content-length: 18446744073709551616\r\n\r\n",
            "transfer-encoding: gzip, chunked\r\n\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "transfer-encoding: xchunked\r\n\r\n",
            "x: y\n\r\n",
            "x: y\r\n\n",
        ] {
            assert!(always(&format!("{HEAD}{fields}")).is_err(), "{fields:?}");
        }
        assert!(always("GET / HTTP/1.1\nhost: x\r\n\r\n").is_err());
        assert!(always("\nGET / HTTP/1.1\r\nhost: x\r\n\r\n").is_err());
    }

    #[test]
    fn a_body_whose_chunks_are_framed_loosely_is_cut_before_the_fault() {
        let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
        for body in ["2\n{}\r\n0\r\n\r\n", "\r\n", "-1\r\n", "0x2\r\n{}", "10000000000000000\r\n", "0\r\nx: y\n\r\n"] {
            assert!(always(&format!("{head}{body}")).is_err(), "{body:?}");
        }
        let whole = format!("{head}2\r\n{{}}\r\nZ\r\n");
        assert_eq!(fed(whole.as_bytes()), Err(Flaw::Body(whole.len() - 3, "a chunk's size is not a number")));
    }

    #[test]
    fn the_refused_head_is_named_and_nothing_behind_it_counts() {
        let mut framing = Framing::new();
        let bytes = format!("{HEAD}\r\n{HEAD}x: y\n\r\n{HEAD}\r\n");
        assert!(matches!(framing.feed(bytes.as_bytes()), Err(Flaw::Head(2, _))));
        assert_eq!(framing.feed(bytes.as_bytes()), Ok(()));
        assert_eq!(framing.heads, 1);
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let mut framing = Framing::new();
        let ended = (0..100).try_for_each(|_| framing.feed(&[b'x'; 1024]));
        assert_eq!(ended, Err(Flaw::Head(1, "a line is too long")));
        assert!(framing.held.len() <= HEAD_BYTES as usize);
    }
}
