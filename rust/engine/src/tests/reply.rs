//! A reply as its client reads it off the wire.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::rig::PATIENCE;

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) head: String,
    /// The body without its chunked coding.
    pub(super) body: String,
    /// The body came to the end that its framing announced.
    pub(super) whole: bool,
}

impl Reply {
    pub(super) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset is an end, too; what came before it counts.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the reply never ended");
        Self::parse(&bytes)
    }

    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut rest = bytes.get(end + 4..).unwrap_or_default();
        let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        if header(&head, "transfer-encoding") != Some("chunked") {
            let announced = header(&head, "content-length").map(|length| length.parse::<usize>().unwrap());
            let whole = announced.is_none_or(|length| length == rest.len());
            return Self { head, body: text(rest), whole };
        }
        let mut body = Vec::new();
        while let Some(line) = memchr::memmem::find(rest, b"\r\n") {
            let size = usize::from_str_radix(&text(&rest[..line]), 16).unwrap();
            if size == 0 {
                return Self { head, body: text(&body), whole: true };
            }
            rest = &rest[line + 2..];
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
        Self { head, body: text(&body), whole: false }
    }

    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// `error.code` of an error reply.
    pub(super) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The data of each event.
    pub(super) fn events(&self) -> Vec<&str> {
        self.body.split(['\r', '\n']).filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    /// The code of the error event a stream ended with.
    pub(super) fn error_event(&self) -> Option<String> {
        let last: serde_json::Value = serde_json::from_str(self.events().last()?).ok()?;
        last["error"]["code"].as_str().map(str::to_owned)
    }
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
