//! What the scripted upstream learns of a request: its head, and the few fields of its body that shape an answer.
//!
//! The surprise: unless a rule looks into bodies, they are not parsed. `model` and `stream` are searched for in the
//! first and last 64 KiB, which is right for any body whose fields stand in the usual places and costs next to nothing.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Both ends of a body that is not parsed are searched this far.
pub(super) const SEARCHED_BYTES: usize = 64 * 1024;
/// A body that a rule wants parsed is kept whole up to here.
const LONGEST_PARSED_BYTES: usize = 64 * 1024 * 1024;
/// nginx's default is four lines of 8 KiB; a mock may be more patient.
pub(super) const LONGEST_HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;

/// What is asked for, by path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Messages,
    Embeddings,
    Models,
    Control,
    Unknown,
}

/// How the request says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
}

/// One request, as far as it has been read.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) head: Bytes,
    path: Range<usize>,
    query: Range<usize>,
    pub(super) endpoint: Endpoint,
    pub(super) length: Length,
    /// The connection ends with this exchange: HTTP/1.0, or `connection: close`.
    pub(super) last: bool,
    /// HTTP/1.0 knows no chunks.
    pub(super) chunks_known: bool,
    pub(super) expects_continue: bool,
    pub(super) arrival_ns: u64,
    pub(super) wants: Wants,
    pub(super) body_bytes: u64,
}

/// What a body says about the answer it wants.
#[derive(Debug, Default)]
pub(super) struct Wants {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) inputs: usize,
    pub(super) dimensions: Option<usize>,
    pub(super) as_base64: bool,
}

/// Why a head cannot be answered, as a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u16);

impl Ask {
    /// Reads a head; `None` while it is incomplete.
    pub(super) fn parse(bytes: &[u8], arrival_ns: u64) -> Result<Option<Self>, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Refused(431));
            }
            Err(_) => return Err(Refused(400)),
        };
        let method = request.method.unwrap_or_default();
        let target = request.path.unwrap_or_default();
        let start = method.len() + 1;
        let path_length = target.find('?').unwrap_or(target.len());
        let path = start..start + path_length;
        let mut ask = Self {
            head: Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default()),
            endpoint: endpoint(method, target.get(..path_length).unwrap_or_default()),
            query: path.end..start + target.len(),
            path,
            length: Length::Known(0),
            last: request.version == Some(0),
            chunks_known: request.version == Some(1),
            expects_continue: false,
            arrival_ns,
            wants: Wants::default(),
            body_bytes: 0,
        };
        for header in request.headers.iter() {
            ask.note(header)?;
        }
        Ok(Some(ask))
    }

    fn note(&mut self, header: &httparse::Header<'_>) -> Result<(), Refused> {
        let (name, value) = (header.name, header.value.trim_ascii());
        // Lengths first: most headers are none of these, and a length is cheaper to compare than a name.
        match name.len() {
            // Two lengths for one body are how requests are smuggled; nobody should send them here.
            14 | 17 if framed_twice(self.length, name) => return Err(Refused(400)),
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.length = Length::Known(length.ok_or(Refused(400))?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.length = Length::Chunked,
            10 if name.eq_ignore_ascii_case("connection") => {
                self.last |= value.eq_ignore_ascii_case(b"close");
            }
            6 if name.eq_ignore_ascii_case("expect") => self.expects_continue = true,
            _ => {}
        }
        Ok(())
    }

    /// The path without its query and without a leading `/v1`.
    pub(super) fn path(&self) -> &str {
        let path = self.text(self.path.clone());
        path.strip_prefix("/v1").unwrap_or(path)
    }

    pub(super) fn query(&self) -> &str {
        self.text(self.query.clone())
    }

    pub(super) fn method(&self) -> &str {
        self.text(0..self.path.start.saturating_sub(1))
    }

    fn text(&self, place: Range<usize>) -> &str {
        let bytes = self.head.get(place).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The value of a header; the last one when it comes several times.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let mut found = None;
        each_header(&self.head, |each, value| {
            if each.eq_ignore_ascii_case(name) {
                found = Some(String::from_utf8_lossy(value).into_owned());
            }
        });
        found
    }

    /// A rough count, the same for the same request: four bytes make a token.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.body_bytes / 4 + 1
    }

    /// Fills in what the body says. `whole` bodies are parsed, others only searched at both ends.
    pub(super) fn learn(&mut self, start: &[u8], end: &[u8], whole: bool) {
        self.wants = if whole { Wants::parse(start) } else { Wants::search(start, end) };
    }
}

impl Wants {
    fn search(start: &[u8], end: &[u8]) -> Self {
        let says = |key| found_true(start, key) || found_true(end, key);
        let model = found_text(start, &KEYS.model).or_else(|| found_text(end, &KEYS.model));
        let stream = says(&KEYS.stream);
        Self {
            model: model.unwrap_or_default().to_owned(),
            stream,
            include_usage: stream && says(&KEYS.include_usage),
            ..Self::default()
        }
    }

    /// What is no JSON, or not of the known shape, wants nothing in particular.
    fn parse(body: &[u8]) -> Self {
        let Ok(fields) = serde_json::from_slice::<Fields<'_>>(body) else {
            return Self::default();
        };
        let usage = fields.stream_options.map(|options| options.include_usage);
        Self {
            model: fields.model.unwrap_or_default().into_owned(),
            stream: fields.stream.unwrap_or(false),
            include_usage: usage.unwrap_or(false),
            inputs: fields.input.map_or(1, inputs),
            dimensions: fields.dimensions,
            as_base64: fields.encoding_format.as_deref() == Some("base64"),
        }
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    dimensions: Option<usize>,
    #[serde(borrow)]
    encoding_format: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// How many texts an embeddings request holds: a list of numbers is one text, already cut into tokens.
fn inputs(input: &RawValue) -> usize {
    let text = input.get();
    let Ok(items) = serde_json::from_str::<Vec<IgnoredAny>>(text) else {
        return 1;
    };
    let first = text.trim_start_matches(['[', ' ', '\n', '\r', '\t']);
    let tokens = first.starts_with(|c: char| c.is_ascii_digit()) && !text.starts_with("[[");
    if tokens { 1 } else { items.len().max(1) }
}

fn framed_twice(length: Length, name: &str) -> bool {
    match length {
        Length::Chunked => name.eq_ignore_ascii_case("content-length"),
        Length::Known(length) => length > 0 && name.eq_ignore_ascii_case("transfer-encoding"),
    }
}

fn endpoint(method: &str, path: &str) -> Endpoint {
    if path.starts_with("/__mock/") {
        return Endpoint::Control;
    }
    // By their end, so that one mock can stand for several upstreams under different first folders.
    let ends = |with: &str| path.ends_with(with);
    match method {
        "POST" if ends("/chat/completions") => Endpoint::Chat,
        "POST" if ends("/messages") => Endpoint::Messages,
        "POST" if ends("/embeddings") => Endpoint::Embeddings,
        "GET" if ends("/models") => Endpoint::Models,
        _ => Endpoint::Unknown,
    }
}

/// Calls `each` with the name and value of every header of a head that was already accepted.
pub(super) fn each_header(head: &[u8], mut each: impl FnMut(&str, &[u8])) {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head).is_ok() {
        for header in request.headers.iter() {
            each(header.name, header.value);
        }
    }
}

/// The keys a body is searched for; preparing a search takes as long as one over a small body.
struct Keys {
    model: memmem::Finder<'static>,
    stream: memmem::Finder<'static>,
    include_usage: memmem::Finder<'static>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    model: memmem::Finder::new(b"\"model\""),
    stream: memmem::Finder::new(b"\"stream\""),
    include_usage: memmem::Finder::new(b"\"include_usage\""),
});

/// What follows the first `"key" :` in the bytes. A quote inside a JSON text is escaped, so no prompt can look like a key.
fn after_key<'a>(bytes: &'a [u8], key: &memmem::Finder<'_>) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(at) = key.find(bytes.get(from..)?) {
        from += at + key.needle().len();
        let after = bytes.get(from..)?.trim_ascii_start();
        if let Some(value) = after.strip_prefix(b":") {
            return Some(value.trim_ascii_start());
        }
    }
    None
}

fn found_true(bytes: &[u8], key: &memmem::Finder<'_>) -> bool {
    after_key(bytes, key).is_some_and(|value| value.starts_with(b"true"))
}

fn found_text<'a>(bytes: &'a [u8], key: &memmem::Finder<'_>) -> Option<&'a str> {
    let text = after_key(bytes, key)?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text)?;
    std::str::from_utf8(text.get(..end)?).ok()
}

/// A body while it arrives: both ends of it, or all of it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) total: u64,
    keep: usize,
}

impl Body {
    /// Keeps everything when `whole`, and in any case as much of the start as the log wants.
    pub(super) fn new(whole: bool, logged_bytes: usize) -> Self {
        let keep = if whole { LONGEST_PARSED_BYTES } else { SEARCHED_BYTES.max(logged_bytes) };
        Self { start: Vec::new(), end: Vec::new(), total: 0, keep }
    }

    /// Takes the next bytes; `left` is how many are still to come, where that is known.
    pub(super) fn take(&mut self, bytes: &[u8], left: Option<u64>) {
        self.total += bytes.len() as u64;
        let space = self.keep - self.start.len().min(self.keep);
        let (first, rest) = bytes.split_at(space.min(bytes.len()));
        self.start.extend_from_slice(first);
        let skipped = left.map_or(0, |left| {
            let wanted = (SEARCHED_BYTES as u64).saturating_sub(left);
            rest.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX))
        });
        self.end.extend_from_slice(rest.get(skipped..).unwrap_or_default());
        if self.end.len() > 4 * SEARCHED_BYTES {
            self.end.drain(..self.end.len() - SEARCHED_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> Ask {
        let head =
            format!("POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        Ask::parse(head.as_bytes(), 1).unwrap().unwrap()
    }

    #[test]
    fn the_cheap_search_and_the_parser_learn_the_same() {
        for body in [
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"messages":[{"role":"user","content":"say \"stream\":true and \"model\":\"n\""}],"model" : "m"}"#,
            r#"{"stream" : false, "model":"m"}"#,
            r"{}",
        ] {
            let (mut searched, mut parsed) = (ask(body), ask(body));
            searched.learn(body.as_bytes(), b"", false);
            parsed.learn(body.as_bytes(), b"", true);
            assert_eq!(
                (&searched.wants.model, searched.wants.stream, searched.wants.include_usage),
                (&parsed.wants.model, parsed.wants.stream, parsed.wants.include_usage),
                "{body}"
            );
        }
    }

    #[test]
    fn fields_at_the_end_of_a_long_body_are_found() {
        let text = "x".repeat(1 << 20);
        let body = format!(r#"{{"model":"m","messages":"{text}","stream":true}}"#);
        for known in [true, false] {
            let mut kept = Body::new(false, 0);
            let mut left = body.len() as u64;
            for piece in body.as_bytes().chunks(10_000) {
                left -= piece.len() as u64;
                kept.take(piece, known.then_some(left));
            }
            assert_eq!(kept.total, body.len() as u64);
            assert!(kept.start.len() + kept.end.len() < 6 * SEARCHED_BYTES);
            let mut ask = ask(&body);
            ask.learn(&kept.start, &kept.end, false);
            assert!(ask.wants.stream && ask.wants.model == "m");
        }
    }

    #[test]
    fn inputs_are_counted_as_the_service_counts_them() {
        for (input, count) in [("\"a\"", 1), ("[\"a\",\"b\"]", 2), ("[1,2,3]", 1), ("[[1],[2]]", 2), ("[ ]", 1)] {
            let raw: &RawValue = serde_json::from_str(input).unwrap();
            assert_eq!(inputs(raw), count, "{input}");
        }
    }

    #[test]
    fn paths_lose_their_prefix_and_query() {
        let ask = ask("{}");
        assert_eq!((ask.method(), ask.path(), ask.query()), ("POST", "/chat/completions", "?a=b"));
        assert_eq!(ask.endpoint, Endpoint::Chat);
    }
}
