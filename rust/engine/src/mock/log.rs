//! What the scripted upstream saw and did: one row per accepted request, readable while it is still being answered.
//!
//! The rule: a row holds no secret, so credentials are shown by their last four characters. The surprise: the ring
//! forgets the oldest rows, and an exchange that outlives its own row is then simply not recorded.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::Serialize;

use super::request::{Ask, each_header};

const MOST_ROWS: usize = 100_000;
/// Heads and kept bodies of all rows together.
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// Headers whose value opens something.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/// How an exchange came to its end, seen from the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Still being answered.
    Open,
    /// The response was sent to its proper end.
    Complete,
    /// The peer left first.
    Cancelled,
    /// The script reset the connection.
    Reset,
    /// The script ended the connection with the response unfinished.
    Cut,
}

/// One accepted request. Times are `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: u64,
    /// Requests with the same number came over the same connection.
    pub connection: u64,
    pub model: String,
    pub stream: bool,
    /// Position of the rule that answered, if one did.
    pub rule: Option<usize>,
    pub body_bytes: u64,
    /// The start of the request's body, as far as the script keeps it.
    pub body: Bytes,
    pub arrival_ns: u64,
    pub sent: Sent,
    head: Bytes,
}

/// What went back so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub ended: Ended,
    pub first_byte_ns: Option<u64>,
    pub end_ns: Option<u64>,
    /// Bytes handed to the kernel, head and framing included.
    pub bytes: u64,
    /// Content events of a stream.
    pub events: u64,
    pub completion_tokens: u64,
    pub prompt_tokens: u64,
    /// The reply stated its usage.
    pub usage: bool,
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            ended: Ended::Open,
            first_byte_ns: None,
            end_ns: None,
            bytes: 0,
            events: 0,
            completion_tokens: 0,
            prompt_tokens: 0,
            usage: false,
        }
    }
}

impl Row {
    pub(super) fn new(ask: &Ask, connection: u64, rule: Option<usize>, body: Bytes) -> Self {
        Self {
            id: 0,
            connection,
            model: ask.wants.model.clone(),
            stream: ask.wants.stream,
            rule,
            body_bytes: ask.body_bytes,
            body,
            arrival_ns: ask.arrival_ns,
            sent: Sent::default(),
            head: ask.head.clone(),
        }
    }

    pub fn method(&self) -> &str {
        self.request_line().next().unwrap_or_default()
    }

    /// The path as it came, without its query (which may hold a key).
    pub fn path(&self) -> &str {
        let target = self.request_line().nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    fn request_line(&self) -> impl Iterator<Item = &str> {
        let line = self.head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default().split(' ')
    }

    /// When the peer left before the end.
    pub fn cancel_ns(&self) -> Option<u64> {
        self.sent.end_ns.filter(|_| self.sent.ended == Ended::Cancelled)
    }

    /// The request's headers by lower-case name; credentials only by their last four characters.
    pub fn headers(&self) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        each_header(&self.head, |name, value| {
            let name = name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(value).into_owned();
            let shown = if SECRET_HEADERS.contains(&name.as_str()) { marker(&value) } else { value };
            headers.insert(name, shown);
        });
        headers
    }

    fn size(&self) -> usize {
        self.head.len() + self.body.len() + self.model.len()
    }
}

/// What is shown of a credential: enough to tell two apart.
fn marker(secret: &str) -> String {
    let mut last: Vec<char> = secret.chars().rev().take(4).collect();
    last.reverse();
    // Four characters of a short secret would be most of it.
    let shown: String = if secret.chars().count() < 12 { String::new() } else { last.into_iter().collect() };
    format!("…{shown}")
}

/// The rows, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    rows: VecDeque<Row>,
    /// Id of the row that comes next.
    next_id: u64,
    bytes: usize,
}

impl Log {
    /// Takes a row in and gives it its id.
    pub(super) fn push(&mut self, mut row: Row) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        row.id = id;
        self.bytes += row.size();
        self.rows.push_back(row);
        while self.rows.len() > MOST_ROWS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.rows.pop_front() else {
                break;
            };
            self.bytes -= oldest.size();
        }
        id
    }

    pub(super) fn record(&mut self, id: u64, sent: Sent) {
        let oldest = self.rows.front().map_or(id, |row| row.id);
        let place = id.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(row) = place.and_then(|place| self.rows.get_mut(place)) {
            row.sent = sent;
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }
}

/// A row as `GET /__mock/log` gives it.
#[derive(Serialize)]
pub(super) struct View<'a> {
    id: u64,
    connection: u64,
    method: &'a str,
    path: &'a str,
    model: &'a str,
    stream: bool,
    rule: Option<usize>,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    arrival_ns: u64,
    first_byte_ns: Option<u64>,
    end_ns: Option<u64>,
    cancel_ns: Option<u64>,
    ended: Ended,
    bytes_sent: u64,
    events_sent: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    usage_sent: bool,
    headers: BTreeMap<String, String>,
}

impl<'a> From<&'a Row> for View<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            id: row.id,
            connection: row.connection,
            method: row.method(),
            path: row.path(),
            model: &row.model,
            stream: row.stream,
            rule: row.rule,
            body_bytes: row.body_bytes,
            body: std::str::from_utf8(&row.body).ok().filter(|body| !body.is_empty()),
            arrival_ns: row.arrival_ns,
            first_byte_ns: row.sent.first_byte_ns,
            end_ns: row.sent.end_ns,
            cancel_ns: row.cancel_ns(),
            ended: row.sent.ended,
            bytes_sent: row.sent.bytes,
            events_sent: row.sent.events,
            prompt_tokens: row.sent.prompt_tokens,
            completion_tokens: row.sent.completion_tokens,
            usage_sent: row.sent.usage,
            headers: row.headers(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(head: &str) -> Row {
        let ask = Ask::parse(head.as_bytes(), 7).unwrap().unwrap();
        Row::new(&ask, 1, None, Bytes::new())
    }

    #[test]
    fn a_credential_is_never_shown_whole() {
        let row = row(concat!(
            "POST /v1/embeddings?key=sk-in-the-query HTTP/1.1\r\n",
            "Authorization: Bearer sk-0123456789abcdef\r\nx-api-key: short\r\nx-request-id: r1\r\n\r\n"
        ));
        let shown = serde_json::to_string(&View::from(&row)).unwrap();
        assert!(!shown.contains("sk-") && !shown.contains("short"), "{shown}");
        assert_eq!(row.headers()["authorization"], "…cdef");
        assert_eq!(row.headers()["x-request-id"], "r1");
        assert_eq!((row.method(), row.path()), ("POST", "/v1/embeddings"));
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_ids_go_on() {
        let mut log = Log::default();
        for _ in 0..=MOST_ROWS {
            log.push(row("GET / HTTP/1.1\r\n\r\n"));
        }
        assert_eq!(log.rows().next().map(|row| row.id), Some(1));
        log.record(0, Sent { bytes: 9, ..Sent::default() });
        log.record(5, Sent { bytes: 5, ..Sent::default() });
        let changed: Vec<_> = log.rows().filter(|row| row.sent.bytes > 0).map(|row| row.id).collect();
        assert_eq!(changed, [5]);
        log.clear();
        log.record(6, Sent::default());
        assert_eq!((log.push(row("GET / HTTP/1.1\r\n\r\n")), log.bytes), (MOST_ROWS as u64 + 1, 18));
    }
}
