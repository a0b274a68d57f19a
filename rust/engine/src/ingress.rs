//! A request as a door hands it over: read, scanned, its head reduced to what matters.

use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::json::Scan;
use hyper::header::HeaderMap;
use tokio::time::Instant;

use crate::decider::{Door, Question};
use crate::waits::Waits;

/// Client headers that go upstream unchanged. Everything else (keys, cookies, hosts, hop-by-hop) stays here.
const FORWARDED: [&str; 4] = ["traceparent", "tracestate", "openai-beta", "idempotency-key"];
/// Longest client-chosen request id that is taken over.
const REQUEST_ID_BYTES: usize = 128;

/// See the module.
pub struct Ingress {
    pub started: Instant,
    pub request_id: Arc<str>,
    pub door: Door,
    pub dialect: Dialect,
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
        self.scan.model.as_deref().unwrap_or_default()
    }

    pub fn stream(&self) -> bool {
        self.scan.stream == Some(true) && self.dialect == Dialect::OpenAiChat
    }

    /// Usage is asked for on the client's behalf, and its extra frame hidden from the client.
    pub fn forces_usage(&self) -> bool {
        self.stream() && self.scan.include_usage != Some(true)
    }

    pub fn question(&self) -> Question {
        let scan = &self.scan;
        Question {
            model: self.model().into(),
            dialect: self.dialect,
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
pub fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for (name, value) in headers {
        if FORWARDED.contains(&name.as_str()) {
            picked.entry(name).or_insert_with(|| value.clone());
        }
    }
    picked
}

/// The names a door must look up when it cannot iterate over a header map.
pub fn forwarded_names() -> &'static [&'static str] {
    &FORWARDED
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
