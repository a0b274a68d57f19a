//! Writes events: LF only, a space after the colon, one blank line. A payload with line breaks becomes several lines.

use bytes::Bytes;
use memchr::memchr2;

/// The end mark of OpenAI's streams.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// `data: …` and a blank line.
pub fn data(payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 8);
    field(&mut out, b"data: ", payload);
    out.push(b'\n');
    Bytes::from(out)
}

/// `event: …`, `data: …` and a blank line. A name ends at its first line break: it cannot hold one.
pub fn event(name: &str, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(name.len() + payload.len() + 16);
    let end = memchr2(b'\n', b'\r', name.as_bytes()).unwrap_or(name.len());
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes().get(..end).unwrap_or_default());
    out.push(b'\n');
    field(&mut out, b"data: ", payload);
    out.push(b'\n');
    Bytes::from(out)
}

/// A comment and a blank line: keeps proxies and clients from giving up on a silent stream.
pub fn comment(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 4);
    field(&mut out, b": ", text.as_bytes());
    out.push(b'\n');
    Bytes::from(out)
}

/// Lines of one field. CR, LF and CRLF in the payload all become a new line, as a reader would take them.
fn field(out: &mut Vec<u8>, name: &[u8], payload: &[u8]) {
    let mut rest = payload;
    loop {
        out.extend_from_slice(name);
        let Some(end) = memchr2(b'\n', b'\r', rest) else {
            out.extend_from_slice(rest);
            out.push(b'\n');
            return;
        };
        let (line, after) = rest.split_at(end);
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = after.strip_prefix(b"\r\n").unwrap_or_else(|| after.get(1..).unwrap_or_default());
    }
}
