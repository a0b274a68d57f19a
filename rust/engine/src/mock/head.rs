//! The head of a response: status line, headers, and how it says where the body ends.

use std::fmt::Write as _;

use hyper::StatusCode;

use super::script::{Framing, Head};

impl Framing {
    /// Says something that what follows will not keep to.
    pub(super) fn lies(self) -> bool {
        matches!(self, Self::Length(_) | Self::LengthAndChunked(_))
    }
}

impl Head {
    /// Writes it out for one answer. Headers of the script replace `content-type` and `x-request-id`, and stand beside
    /// all others, so that a script can send what must not be sent twice.
    pub(super) fn render(&self, id: &str, content_type: &str, framing: Framing, last: bool) -> Vec<u8> {
        let status = self.status.unwrap_or(200);
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        let content_type = self.content_type.as_deref().unwrap_or(content_type);
        let given = |name: &str| self.headers.keys().any(|each| each.eq_ignore_ascii_case(name));
        // Writing to a string cannot fail.
        if !given("content-type") {
            let _ = write!(head, "content-type: {content_type}\r\n");
        }
        if !given("x-request-id") {
            let _ = write!(head, "x-request-id: req_{id}\r\n");
        }
        if let Framing::Length(length) | Framing::LengthAndChunked(length) = framing {
            let _ = write!(head, "content-length: {length}\r\n");
        }
        if let Framing::Chunked | Framing::LengthAndChunked(_) = framing {
            head.push_str("transfer-encoding: chunked\r\n");
        }
        if last {
            head.push_str("connection: close\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or("Unnamed")
}
