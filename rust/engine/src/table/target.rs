//! Something that can be called, with what a request to it needs already rendered.
//!
//! The key is in the head's headers, marked as sensitive, and nowhere else. The surprise: the length stands among them as
//! well, with a value that is never sent.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::anthropic_messages::Host;
use fastroute_core::dialects::said::Said;
use fastroute_core::passes::{Demands, OnLoss, SamplingRule};
use fastroute_core::relay::Secrets;
use fastroute_core::usage::UsageRule;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use hyper::http::uri::PathAndQuery;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::known::{ByModel, Each};
use super::paths::{Paths, path_below};
use super::spec::{OnClientGone, ProviderSpec, TargetSpec};
use crate::credentials::Credential;
use crate::opaque::{Opaque, Passing};
use crate::spoken::Spoken;
use crate::ttft::Ttft;
use crate::upstream::Origin;

/// Request line and headers of one target in one dialect, ready to be cloned.
pub struct Head {
    pub dialect: Dialect,
    pub paths: Paths,
    pub headers: HeaderMap,
    /// What the target demands of a request.
    demands: Box<Each>,
    /// The same, where requests name its model.
    by_model: Option<Box<ByModel>>,
    /// A request in its own dialect must be read and written anew for it.
    pub rewrites: bool,
    /// Who serves somebody else's model under an address that names it.
    pub host: Option<Host>,
    /// What among the headers is nobody else's business.
    secrets: Secrets,
    /// What proves each request, beyond the headers.
    pub(crate) credential: Credential,
}

impl Head {
    /// What an upstream knows of us that no client may see, as things are now.
    pub(crate) fn secrets(&self) -> Secrets {
        self.credential.secrets(&self.secrets)
    }
}

impl Head {
    /// What any model of the target demands.
    pub fn demands(&self, on_loss: OnLoss) -> &Demands {
        self.demands.of(on_loss)
    }

    /// What this model demands.
    pub fn demands_of(&self, model: &str, on_loss: OnLoss) -> &Demands {
        let any = self.demands.of(on_loss);
        self.by_model.as_ref().and_then(|by_model| by_model.of(model, any)).unwrap_or(any)
    }
}

/// Where a target's bytes come from.
pub enum Kind {
    /// The built-in model, answered in this process.
    Echo,
    Http(Arc<Origin>),
}

/// Something that can be called.
pub struct Target {
    pub index: u32,
    /// `provider/model` for headers and logs.
    pub label: HeaderValue,
    pub provider: Arc<str>,
    /// Row of the provider in its table, and of the key among the provider's: targets that agree in it share a key.
    pub key: (usize, Option<usize>),
    /// Digest of the key, for the journal.
    pub key_id: Arc<str>,
    /// JSON string literal that replaces the client's model; `None` for pass-through targets.
    pub model: Option<Bytes>,
    pub kind: Kind,
    /// How this provider's token counts depart from the invariant.
    pub usage_rule: UsageRule,
    pub on_client_gone: OnClientGone,
    /// The same, as it is.
    pub name: Option<Box<str>>,
    heads: SmallVec<[Head; 2]>,
    /// How it is called where nobody looks into bodies.
    passage: Option<Box<Passage>>,
    /// Failures since the last success, as this process saw them; the snapshot puts failing targets last.
    pub failures_in_a_row: AtomicU32,
    /// How slow the first content of its streams usually is.
    pub ttft: Ttft,
    pub in_flight: AtomicU32,
    /// Those of them whose plan the decider did not make for their request, so that it has not counted them.
    pub unasked: AtomicU32,
}

/// One head for all endpoints of [`Opaque`] that a target has, and where each is.
struct Passage {
    head: Head,
    paths: Vec<(Opaque, Box<str>)>,
}

impl Target {
    /// Whether it has what a client asks for.
    pub(crate) fn serves(&self, spoken: &Spoken) -> bool {
        match (&self.kind, &spoken.opaque) {
            (Kind::Echo, passing) => passing.is_none(),
            (Kind::Http(_), Some(passing)) => self.path_of(passing.endpoint).is_some(),
            (Kind::Http(_), None) => self.is_spoken_to(spoken.dialect),
        }
    }

    pub(crate) fn has(&self, endpoint: Opaque) -> bool {
        self.path_of(endpoint).is_some()
    }

    fn path_of(&self, endpoint: Opaque) -> Option<&str> {
        let passage = self.passage.as_deref()?;
        passage.paths.iter().find_map(|(one, path)| (*one == endpoint).then_some(&**path))
    }

    /// How it is called for a request that is passed on, and where; no path for a name that makes none.
    pub(crate) fn passage(
        &self,
        passing: &Passing,
        model: &str,
        query: Option<&str>,
    ) -> Option<(&Head, Option<PathAndQuery>)> {
        let path = self.path_of(passing.endpoint)?;
        Some((&self.passage.as_deref()?.head, path_below(path, model, &passing.below, query)))
    }

    /// Whether it is spoken to in the client's dialect or in another one of the family.
    fn is_spoken_to(&self, client: Dialect) -> bool {
        self.heads.iter().any(|head| head.dialect.family() == client.family())
    }

    /// How it is spoken to for a client of this dialect: in the same one where it can, else in the one of the family that
    /// loses least of what is said.
    pub fn head(&self, client: Dialect, said: impl FnOnce() -> Said) -> Option<&Head> {
        if let Some(same) = self.heads.iter().find(|head| head.dialect == client) {
            return Some(same);
        }
        let mut family = self.heads.iter().filter(|head| head.dialect.family() == client.family());
        let first = family.next()?;
        let Some(second) = family.next() else { return Some(first) };
        let said = said();
        let loses = |head: &&Head| {
            let refuses = head.demands(OnLoss::Drop).capabilities.sampling == Some(SamplingRule::Reject);
            let said = if refuses { said.unsampled() } else { said };
            (Reverse(said.unsaid_in(head.dialect)), head.dialect.richness())
        };
        [first, second].into_iter().chain(family).max_by_key(loses)
    }
}

pub(super) fn origin(provider: &ProviderSpec) -> Result<Option<Arc<Origin>>, String> {
    match provider.scheme.as_str() {
        "mock" => Ok(None),
        "http" | "https" => {
            let tls = provider.scheme == "https";
            Origin::new(provider, tls).map(Some)
        }
        other => Err(format!("scheme: `{other}` is neither http nor https")),
    }
}

pub(super) fn compile(
    index: u32,
    provider: &ProviderSpec,
    origin: Option<&Arc<Origin>>,
    target: &TargetSpec,
) -> Result<Target, String> {
    let model = target.model.as_deref();
    let label = format!("{}/{}", provider.name, model.unwrap_or("*"));
    let label = HeaderValue::from_str(&label)
        .map_err(|_| "model: the name holds a character that no header may carry".to_owned())?;
    let key = match target.key {
        None => None,
        Some(at) => Some(provider.keys.get(at).ok_or_else(|| format!("key: there is no key {at}"))?),
    };
    let mut heads = SmallVec::new();
    for dialect in Dialect::ALL.iter().copied() {
        if let (Some(path), Some(origin)) = (provider.speaks.get(dialect.name()), origin) {
            heads.push(compile_head(provider, key, origin, dialect, path, target)?);
        }
    }
    let passage = match origin {
        Some(origin) => compile_passage(provider, key, origin, target)?,
        None => None,
    };
    Ok(Target {
        index,
        label,
        provider: provider.name.as_str().into(),
        key: (target.provider, target.key),
        key_id: target.key_id.as_str().into(),
        model: model.map(fastroute_core::json::quote),
        kind: origin.map_or(Kind::Echo, |origin| Kind::Http(origin.clone())),
        usage_rule: provider.quirks.usage_rule(),
        on_client_gone: provider.on_client_gone,
        name: model.map(Box::from),
        heads,
        passage,
        failures_in_a_row: AtomicU32::new(0),
        ttft: Ttft::new(Instant::now()),
        in_flight: AtomicU32::new(0),
        unasked: AtomicU32::new(0),
    })
}

fn compile_passage(
    provider: &ProviderSpec,
    key: Option<&(String, String)>,
    origin: &Origin,
    target: &TargetSpec,
) -> Result<Option<Box<Passage>>, String> {
    let mut paths = Vec::new();
    for endpoint in Opaque::ALL {
        let Some(path) = provider.speaks.get(endpoint.name()) else { continue };
        let path = format!("{}{path}", provider.prefix);
        if path_below(&path, target.model.as_deref().unwrap_or("m"), "", None).is_none() {
            return Err(format!("speaks: `{path}` is no path"));
        }
        paths.push((endpoint, path.into()));
    }
    if paths.is_empty() {
        return Ok(None);
    }
    let mut head = compile_head(provider, key, origin, Dialect::OpenAiChat, "/", target)?;
    // Each request has a type of its own, or none.
    head.headers.remove(CONTENT_TYPE);
    head.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    Ok(Some(Box::new(Passage { head, paths })))
}

fn host(dialect: Dialect, path: &str) -> Option<Host> {
    match dialect {
        Dialect::AnthropicMessages | Dialect::CohereEmbeddings if path.ends_with("/invoke") => Some(Host::Bedrock),
        Dialect::AnthropicMessages if path.ends_with(":rawPredict") => Some(Host::Vertex),
        _ => None,
    }
}

/// A header's value shorter than this is a word that stands in many replies, and no key.
const SECRET_BYTES: usize = 8;

fn secret(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"Bearer ").unwrap_or(value)
}

/// Headers that say where a message ends or what a connection does; hyper writes them.
const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

fn compile_head(
    provider: &ProviderSpec,
    key: Option<&(String, String)>,
    origin: &Origin,
    dialect: Dialect,
    path: &str,
    target: &TargetSpec,
) -> Result<Head, String> {
    let paths = Paths::compile(&format!("{}{}", provider.prefix, path), target.model.as_deref())?;
    let (credential, key) = Credential::of(provider, key)?;
    let mut headers = HeaderMap::with_capacity(8 + provider.headers.len());
    // Its place only: each request sets its own, and a copy that does not grow is cheaper than one that does.
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(HOST, origin.authority().clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("fastroute/", env!("CARGO_PKG_VERSION"))));
    // Streams must not wait for a compressor's block, and no reply is inflated here.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in provider.headers.iter().chain(key) {
        let header = HeaderName::try_from(name.as_str()).map_err(|_| format!("headers: `{name}` is no header name"))?;
        if FRAMING.contains(&header) {
            return Err(format!("headers: `{name}` belongs to the connection, not to a provider"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("headers.{name}: the value holds a character that no header may carry"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    let secrets = headers.values().filter(|value| value.is_sensitive()).map(|value| secret(value.as_bytes()));
    let secrets = secrets.chain(credential.fixed_secrets());
    let secrets = secrets.filter(|secret| secret.len() >= SECRET_BYTES).map(Box::from).collect();
    let demands = Each::new(dialect, &target.capabilities, &provider.quirks);
    let rewrites = demands.rewrites(dialect);
    let by_model = target.model.is_none().then(|| Box::new(ByModel::new(&provider.known)));
    Ok(Head {
        dialect,
        paths,
        headers,
        secrets,
        credential,
        demands: Box::new(demands),
        by_model,
        rewrites,
        host: host(dialect, path),
    })
}
