//! What goes to the upstream, and what a connection that fails under it means.
//!
//! The client's own bytes go, with the model renamed. The surprise: a request may be written twice, but only where the
//! upstream cannot have read it the first time.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::anthropic_messages::{Host, invoked};
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::json::{self, Edit, Field, Limits, Shape, splice};
use fastroute_core::passes::Demands;
use fastroute_core::quirks;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, Entry, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use smallvec::SmallVec;
use tokio::time::timeout_at;

use super::crossed::listed;
use super::{Frames, Words, bad, joined};
use crate::clocks::Due;
use crate::ingress::Ingress;
use crate::opaque::{Body, Opaque};
use crate::problem::JSON;
use crate::table::Target;
use crate::upstream::{ConnectError, Lease, Outgoing, Pool, SendError};
use crate::{failpoint, render};

/// A peer that closed a connection while it was idle says so to the first byte that comes, within a round trip. One that
/// took longer had the request, and may have worked on it.
const FOUND_CLOSED_WITHIN: Duration = Duration::from_millis(250);

/// Names the attempt to the upstream as the journal does, so that the two can be matched.
const X_ATTEMPT: HeaderName = HeaderName::from_static("x-fastroute-attempt");

/// The dialect that is meant where nobody says which version.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The client's frames with the model renamed and, for streams, usage asked for.
pub(super) fn edited(
    ingress: &Ingress,
    target: &Target,
    demands: &Demands,
) -> Result<(Frames, Option<HeaderValue>), Failure> {
    failpoint::pass("attempt.edit");
    let scan = &ingress.scan;
    let mut edits: SmallVec<[Edit; 2]> = SmallVec::new();
    if let Some(at) = scan.span(Field::Model) {
        let renamed = match &target.model {
            Some(model) => Some(model.clone()),
            None => ingress.model().split_once('/').map(|(_, rest)| fastroute_core::json::quote(rest)),
        };
        if let Some(with) = renamed {
            edits.push(Edit { at, with });
        }
    } else if !matches!(ingress.dialect(), Dialect::Gemini | Dialect::GeminiEmbeddings) {
        // The client's address named it.
        let name = fastroute_core::json::quote(model_of(ingress, target));
        edits.push(scan.insert(&[("model", name)]));
    }
    let mut dropped = None;
    if demands.edits() {
        let wanted = quirks::edits(&ingress.frames, scan, &demands.quirks, demands.limit(), demands.on_loss);
        let wanted = wanted.map_err(|error| bad(&error))?;
        dropped = listed(&wanted.dropped, &wanted.changed);
        edits.extend(wanted.edits);
    }
    if ingress.forces_usage() && demands.quirks.asks_for_usage() {
        edits.extend(scan.ask_for_usage());
    }
    let spliced = splice(&ingress.frames, &edits);
    let frames = spliced.map_err(|_| Failure::new(Kind::Internal).saying("the request could not be edited"))?;
    Ok((frames.into_iter().collect(), dropped))
}

/// The same request for those who have the model in the address, and the version in the body.
pub(super) fn addressed(ingress: &Ingress, frames: &Frames, dialect: Dialect, host: Host) -> Result<Frames, Failure> {
    if dialect == Dialect::CohereEmbeddings {
        return embedded(frames, ingress.dialect() != dialect);
    }
    let same = ingress.dialect() == Dialect::AnthropicMessages && host == Host::Bedrock;
    let told = ingress.forward.get("anthropic-beta").filter(|_| same).and_then(|value| value.to_str().ok());
    let betas: SmallVec<[&str; 4]> = told.iter().flat_map(|told| told.split(',')).map(str::trim).collect();
    let body = invoked(&joined(frames), host, &betas).map_err(|error| bad(&error))?;
    Ok([body].into_iter().collect())
}

/// Cohere's embeddings at Bedrock, which knows vectors as numbers only: those that are `translated` are asked for so, and
/// their clients get them as they want them.
fn embedded(frames: &Frames, translated: bool) -> Result<Frames, Failure> {
    const BASE64: &[u8] = b"\"base64\"";
    let of_ours = || Failure::new(Kind::Internal).saying("the request could not be edited");
    let limits = Limits { body_bytes: u32::MAX as usize, ..Limits::default() };
    let scan = json::scan(&joined(frames), Shape::Any, &limits).map_err(|_| of_ours())?;
    let mut edits = scan.field(Field::Model).map(|model| scan.drop_members(&[model])).unwrap_or_default();
    if let Some(types) = scan.member(frames, "embedding_types").filter(|_| translated) {
        let body = joined(frames);
        let at = body.get(types.value()).and_then(|value| memchr::memmem::find(value, BASE64));
        edits.extend(at.map(|at| {
            let start = types.value().start + at;
            Edit { at: start..start + BASE64.len(), with: Bytes::from_static(b"\"float\"") }
        }));
    }
    let spliced = splice(frames, &edits).map_err(|_| of_ours())?;
    Ok(spliced.into_iter().collect())
}

/// Sends, with one replay of our own: only when the connection was reused after a rest and ended at once without one byte,
/// because then the peer had most likely closed it while it was idle (hyperium/hyper#2136) and has not seen the request,
/// and only where that may be sent twice (`repeats`); or when hyper says that it wrote nothing.
pub(super) async fn send(
    pool: &Arc<Pool>,
    letter: &Letter<'_>,
    due: Due,
    id: Option<HeaderValue>,
    repeats: bool,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let mut fresh = false;
    loop {
        let ready = if fresh { None } else { pool.ready(due.began) };
        let mut lease = if let Some(lease) = ready {
            lease
        } else {
            // Boxed: connecting is rare and large, and every exchange would carry it.
            let leased = timeout_at(due.by, Box::pin(pool.lease(fresh))).await.map_err(|_| due.missed())?;
            leased.map_err(|error| unreachable(&error))?
        };
        failpoint::pass("attempt.send");
        match lease.send(letter.compose(id.clone()), due.began, due.by).await {
            Ok(response) => return Ok((response, lease)),
            Err(SendError::Broken(_)) if lease.defective() => return Err(Failure::new(Kind::Internal)),
            Err(SendError::Late) => return Err(due.missed()),
            Err(SendError::Unread) => {
                return Err(
                    Failure::new(Kind::UpstreamTimeout).saying("The provider did not take the request in time.")
                );
            }
            Err(SendError::Broken(error)) if lease.silent() && unconfirmed(&error) => {
                pool.forget_idle();
                // As good as no connection, unless it was in use a moment ago: then the confirmation may be what was lost.
                return Err(Failure::new(if lease.rested() { Kind::ConnectTimeout } else { Kind::Reset }));
            }
            Err(SendError::Broken(error))
                if lease.silent()
                    && !fresh
                    && (repeats && lease.rested() && due.began.elapsed() < FOUND_CLOSED_WITHIN
                        || lease.reused() && error.is_canceled()) =>
            {
                fresh = true;
            }
            Err(SendError::Broken(error)) => return Err(broken(&error, lease.silent())),
        }
    }
}

/// A request that is ready to go, as often as it takes.
pub(super) struct Letter<'r> {
    pub(super) words: &'r Words<'r>,
    pub(super) ingress: &'r Ingress,
}

impl Letter<'_> {
    /// The request as it goes upstream.
    fn compose(&self, id: Option<HeaderValue>) -> Request<Outgoing> {
        let Words { head, path, frames, .. } = self.words;
        let passing = self.ingress.spoken.opaque.as_deref();
        let method = passing.map_or(Method::POST, |passing| passing.method.clone());
        let mut request = Request::new(Outgoing::new(frames.iter().cloned()));
        *request.uri_mut() = Uri::from(path.clone());
        let length = request.body().size_hint().exact().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&head.headers);
        if length == 0 && method != Method::POST {
            headers.remove(CONTENT_LENGTH);
        } else {
            headers.insert(CONTENT_LENGTH, render::number(length));
        }
        let same = passing.is_some() || head.dialect == self.ingress.dialect();
        for (name, value) in &self.ingress.forward {
            if !same && of_one_dialect(name) {
                continue;
            }
            match headers.entry(name) {
                Entry::Vacant(place) => drop(place.insert(value.clone())),
                // Lists of features add up.
                Entry::Occupied(mut place) if name == "anthropic-beta" => {
                    place.append(value.clone());
                }
                // What the operator set for this provider stands; a second value beside it would mean nothing.
                Entry::Occupied(_) => {}
            }
        }
        if head.dialect == Dialect::AnthropicMessages
            || passing.is_some_and(|passing| passing.endpoint == Opaque::AnthropicTokens)
        {
            headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
        }
        if passing.is_some_and(|passing| passing.body == Body::Json) {
            headers.entry(CONTENT_TYPE).or_insert(JSON);
        }
        if let Some(id) = id {
            headers.insert(X_ATTEMPT, id);
        }
        *request.method_mut() = method;
        // Last: a signature covers what stands here.
        head.credential.prove(&mut request, frames, SystemTime::now());
        request
    }
}

/// Headers that mean something in the client's dialect alone.
fn of_one_dialect(name: &HeaderName) -> bool {
    name.as_str().starts_with("anthropic-") || name == "openai-beta"
}

/// The model as the target knows it.
pub(super) fn model_of<'r>(ingress: &'r Ingress, target: &'r Target) -> &'r str {
    let passed_on = || ingress.model().split_once('/').map_or(ingress.model(), |(_, rest)| rest);
    target.name.as_deref().unwrap_or_else(passed_on)
}

fn unreachable(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Resolve => Failure::new(Kind::Dns),
        ConnectError::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Failure::new(Kind::ConnectTimeout),
        ConnectError::Connect(_) => Failure::new(Kind::Refused),
        ConnectError::Tls => Failure::new(Kind::Tls),
    }
}

/// The peer's kernel did not confirm what was sent, so this one gave up.
fn unconfirmed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable))
}

/// What a transport error means once the request was on its way.
fn broken(error: &hyper::Error, silent: bool) -> Failure {
    let reset = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe));
    if silent && error.is_canceled() {
        // hyper's word for a request that it never began to write.
        Failure::new(Kind::ResetUnwritten)
    } else if error.is_parse() || error.is_user() {
        Failure::new(Kind::Malformed)
    } else if reset || silent || error.is_incomplete_message() {
        Failure::new(Kind::Reset)
    } else {
        Failure::new(Kind::Malformed)
    }
}
