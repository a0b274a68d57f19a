//! A request as a door hands it over: read, scanned, its head reduced to what matters.

use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::dialects::said::Said;
use fastroute_core::dialects::{Dialect, Family};
use fastroute_core::json::Scan;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::decider::{Door, Question};
use crate::problem::{EVENT_STREAM, JSON};
use crate::spoken::Spoken;
use crate::waits::Waits;

/// Client headers that go upstream unchanged. Everything else (keys, cookies, hosts, hop-by-hop) stays here.
const FORWARDED: [&str; 4] = ["traceparent", "tracestate", "openai-beta", "idempotency-key"];
/// The same, to a target that speaks Anthropic's dialect as the client does.
const FORWARDED_TO_ANTHROPIC: [&str; 5] =
    ["traceparent", "tracestate", "idempotency-key", "anthropic-version", "anthropic-beta"];
/// The same, where bodies are passed on unread: what one is must be said with it.
const FORWARDED_UNREAD: [&str; 5] = ["traceparent", "tracestate", "openai-beta", "idempotency-key", "content-type"];
/// As much of a member's value is looked at.
const SHORT_BYTES: usize = 16 << 10;
/// Longest client-chosen request id that is taken over.
const REQUEST_ID_BYTES: usize = 128;

/// See the module.
pub struct Ingress {
    pub started: Instant,
    pub request_id: Arc<str>,
    pub door: Door,
    /// What the client speaks: what its frames are in, and what its reply will be.
    pub spoken: Spoken,
    /// Headers for the upstream.
    pub forward: HeaderMap,
    /// How long the client will wait.
    pub waits: Waits,
    /// The body as it was received, never joined.
    pub frames: Vec<Bytes>,
    pub scan: Scan,
}

impl Ingress {
    pub fn model(&self) -> &str {
        self.spoken.model.as_deref().or(self.scan.model.as_deref()).unwrap_or_default()
    }

    /// Whether its stream may hold comments while nothing comes. A list has no place for them, and Google's SDKs take every
    /// line for an event.
    pub(crate) fn hears_comments(&self) -> bool {
        !self.spoken.list && self.dialect() != Dialect::Gemini
    }

    pub fn dialect(&self) -> Dialect {
        self.spoken.dialect
    }

    pub fn stream(&self) -> bool {
        self.spoken.stream.or(self.scan.stream) == Some(true)
            && self.dialect().family() == Family::Chat
            && self.spoken.opaque.is_none()
    }

    /// What the reply to it is, where it is not passed on unread.
    pub(crate) fn reply_kind(&self) -> HeaderValue {
        if self.stream() && !self.spoken.list { EVENT_STREAM } else { JSON }
    }

    /// Usage is asked for on the client's behalf, and its extra frame hidden from the client.
    pub fn forces_usage(&self) -> bool {
        matches!(self.dialect(), Dialect::OpenAiChat | Dialect::OpenAiCompletions)
            && self.stream()
            && self.scan.include_usage != Some(true)
    }

    /// What it says that not every dialect has words for.
    pub(crate) fn said(&self) -> Said {
        Said::of(self.dialect(), |name| {
            let at = self.scan.member(&self.frames, name)?.value();
            // What is looked at is short; a longer value says something by being there.
            let at = at.start..at.end.min(at.start + SHORT_BYTES);
            let mut start = 0;
            let mut value = Vec::with_capacity(at.len());
            for frame in &self.frames {
                let within = at.start.saturating_sub(start)..at.end.saturating_sub(start).min(frame.len());
                value.extend_from_slice(frame.get(within).unwrap_or_default());
                start += frame.len();
            }
            Some(value.into())
        })
        .heard(self.scan.media.audio > 0)
    }

    pub fn question(&self) -> Question {
        let scan = &self.scan;
        Question {
            model: self.model().into(),
            dialect: self.spoken.name(),
            door: self.door,
            stream: self.stream(),
            body_bytes: scan.bytes as u64,
            text_bytes: scan.text_bytes,
            messages: scan.messages,
            tools: scan.tools,
            media: scan.media.image + scan.media.audio + scan.media.file,
            max_tokens: scan.max_tokens,
        }
    }
}

/// Picks the headers that go upstream.
pub fn forwarded(headers: &HeaderMap, spoken: &Spoken) -> HeaderMap {
    let connection = || headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let mut picked = HeaderMap::new();
    for (name, value) in headers {
        if forwarded_names(spoken).contains(&name.as_str()) && !is_for_one_hop(name.as_str(), connection()) {
            picked.entry(name).or_insert_with(|| value.clone());
        }
    }
    picked
}

/// Whether the values of `connection` name this header as one for the next hop alone (RFC 9110, section 7.6.1).
pub fn is_for_one_hop<'a>(name: &str, mut connection: impl Iterator<Item = &'a [u8]>) -> bool {
    connection.any(|value| {
        let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        options.any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// The names a door must look up when it cannot iterate over a header map.
pub fn forwarded_names(spoken: &Spoken) -> &'static [&'static str] {
    match spoken.dialect {
        _ if spoken.opaque.is_some() => &FORWARDED_UNREAD,
        Dialect::AnthropicMessages => &FORWARDED_TO_ANTHROPIC,
        _ => &FORWARDED,
    }
}

/// Headers a client may name its request with, the first that can be used winning.
pub const REQUEST_IDS: [&str; 2] = ["x-request-id", "x-client-request-id"];

/// The first of the offered ids that is short and printable, else a new one.
pub fn request_id(offered: impl Iterator<Item: AsRef<str>>, fresh: impl FnOnce() -> Arc<str>) -> Arc<str> {
    let usable =
        |id: &str| !id.is_empty() && id.len() <= REQUEST_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
    let mut offered = offered.filter(|id| usable(id.as_ref()));
    offered.next().map_or_else(fresh, |id| id.as_ref().into())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    const CASES: u64 = 200_000;
    const NAMES: [&str; 16] = [
        "traceparent",
        "tracestate",
        "openai-beta",
        "idempotency-key",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "authorization",
        "cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "x-request-id",
    ];
    const PIECES: [&[u8]; 16] = [
        b"a",
        b"close",
        b"keep-alive",
        b", ",
        b",",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\t",
        b" ",
        b"\xff",
        b"x: y",
        b"traceparent",
        b"Idempotency-Key",
        b"\x7f",
    ];

    /// A number below `most` (Marsaglia's xorshift).
    fn drawn(state: &mut u64, most: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 33).unwrap() % most
    }

    fn text(state: &mut u64) -> Vec<u8> {
        (0..drawn(state, 6)).flat_map(|_| PIECES[drawn(state, PIECES.len())]).copied().collect()
    }

    #[test]
    fn nothing_a_client_writes_makes_a_header_of_its_own_or_goes_further_than_it_may() {
        let (mut state, mut kept, mut dropped, mut taken) = (0x9E37_79B9_7F4A_7C15, 0, 0, 0);
        for _ in 0..CASES {
            let mut headers = HeaderMap::new();
            for _ in 0..drawn(&mut state, 8) {
                let name = HeaderName::from_static(NAMES[drawn(&mut state, NAMES.len())]);
                if let Ok(value) = HeaderValue::from_bytes(&text(&mut state)) {
                    headers.append(name, value);
                }
            }
            let named = headers.get_all(CONNECTION).iter().map(|value| value.as_bytes().to_ascii_lowercase());
            let named: Vec<Vec<u8>> = named.collect();
            let picked = forwarded(&headers, &Spoken::by_body(Dialect::OpenAiChat));
            for (name, value) in &picked {
                assert!(FORWARDED.contains(&name.as_str()), "{name}");
                assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)), "{value:?}");
                let whole = |named: &Vec<u8>| {
                    named.split(|byte| *byte == b',').any(|one| one.trim_ascii() == name.as_str().as_bytes())
                };
                assert!(!named.iter().any(whole), "{name} was for one hop: {headers:?}");
                assert_eq!(headers.get_all(name).iter().next(), Some(value));
            }
            kept += picked.len();
            dropped += headers.keys_len() - picked.len();

            let offered = [text(&mut state), text(&mut state)];
            let offered = offered.iter().filter_map(|id| std::str::from_utf8(id).ok());
            let id = request_id(offered, || "fresh".into());
            assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
            taken += usize::from(&*id != "fresh");
        }
        assert!(kept > 10_000 && dropped > 10_000 && taken > 10_000, "{kept}, {dropped}, {taken}: too few of a kind");
    }
}
