//! The chunked transfer coding (RFC 9112, 7.1), read piece by piece from whatever has arrived.
//!
//! Any split of the same bytes gives the same data. Chunk extensions and trailers are passed over.

/// Longest size line or trailer section that is still read as one.
const LONGEST_LINE_BYTES: usize = 16 * 1024;

/// Where in the coding the next byte stands.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Chunks with data whose size line has been read.
    pub(super) chunks: u64,
    line_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    /// In the trailer section; `empty` while the current line holds nothing.
    Trailer {
        empty: bool,
    },
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

/// The bytes are no chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunked {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The next run of data in `input`, which is moved past what was read; `None` when more bytes are needed or the
    /// body is over.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        loop {
            if let State::Data { left } = self.state {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                if length == 0 {
                    return Ok(None);
                }
                let (data, rest) = input.split_at(length);
                *input = rest;
                let left = left - length as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                return Ok(Some(data));
            }
            if self.is_done() {
                return Ok(None);
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.framing(byte)?;
        }
    }

    /// One byte that is not data.
    fn framing(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line_bytes += 1;
        if self.line_bytes > LONGEST_LINE_BYTES {
            return Err(Malformed);
        }
        self.state = match (self.state, byte) {
            (State::Size { digits, value }, b'\n') if digits > 0 => self.begin(value),
            (State::Size { digits, value }, b';' | b'\r' | b' ' | b'\t') if digits > 0 => State::Extension { value },
            (State::Size { value, digits }, byte) if digits < 15 => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Extension { value }, b'\n') => self.begin(value),
            (State::DataEnd, b'\n') => {
                self.line_bytes = 0;
                State::default()
            }
            (State::Trailer { empty: true }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { empty: true },
            (state @ (State::Trailer { .. } | State::DataEnd), b'\r') | (state @ State::Extension { .. }, _) => state,
            (State::Trailer { .. }, _) => State::Trailer { empty: false },
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn begin(&mut self, size: u64) -> State {
        self.line_bytes = 0;
        if size == 0 {
            return State::Trailer { empty: true };
        }
        self.chunks += 1;
        State::Data { left: size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, u64), Malformed> {
        let mut coding = Chunked::default();
        let mut data = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(run) = coding.next(&mut input)? {
                data.extend_from_slice(run);
            }
        }
        Ok((data, coding.is_done(), coding.chunks))
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_data() {
        let coded = b"4;a=b\r\nwiki\r\n00A\r\npedia has \r\n0\r\nx-t: 1\r\n\r\n";
        let expected = (b"wikipedia has ".to_vec(), true, 2);
        for at in 0..=coded.len() {
            let (first, second) = coded.split_at(at);
            assert_eq!(read(&[first, second]), Ok(expected.clone()), "split at {at}");
        }
        let bytes: Vec<&[u8]> = coded.chunks(1).collect();
        assert_eq!(read(&bytes), Ok(expected));
    }

    #[test]
    fn a_body_without_its_last_chunk_is_not_done() {
        assert_eq!(read(&[b"4\r\nwiki\r\n"]), Ok((b"wiki".to_vec(), false, 1)));
    }

    #[test]
    fn what_is_no_size_is_malformed() {
        for coded in [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"4\r\nwikiX", b"fffffffffffffffff\r\n"] {
            assert_eq!(read(&[coded]), Err(Malformed), "{}", coded.escape_ascii());
        }
    }
}
