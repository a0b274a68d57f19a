//! A client that speaks another dialect than its exchange: its request is said as chat, and its reply said back to it.
//!
//! Everything between (decision, attempts, commit point, honest ends) is the exchange's own, in chat. The rule: what
//! this client is told, errors of the door and of streams included, is told in its dialect.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fastroute_core::dialects::message::Envelope;
use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::passes::{Names, Shape};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address, StreamTranslator};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use crate::awaited::COMMENT;
use crate::delivery::{BrokenOff, ReplyBody};
use crate::doors::body;
use crate::exchange;
use crate::ingress::Ingress;
use crate::io::{Bounds, Io};
use crate::problem::{Problem, Reply, X_REQUEST_ID};

/// What exchanges are in.
const EXCHANGED: Dialect = Dialect::OpenAiChat;
/// A reply that is translated as a whole is held as a whole.
const REPLY_BYTES: usize = 64 << 20;
/// Names of what the request said and its target's dialect cannot.
const X_DROPPED: HeaderName = HeaderName::from_static("x-fastroute-dropped");
/// Where Anthropic's SDKs look for what others call `x-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const DROPPED_BYTES: usize = 1024;
/// A longer request is translated on another thread: others wait for this one.
const AT_ONCE_BYTES: usize = 128 << 10;

/// Which dialect a client speaks, and what its address said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub dialect: Dialect,
    pub model: Option<Box<str>>,
    pub stream: Option<bool>,
}

impl Spoken {
    pub fn by_body(dialect: Dialect) -> Self {
        Self { dialect, model: None, stream: None }
    }

    pub fn is_foreign(&self) -> bool {
        is_foreign(self.dialect)
    }
}

/// Exchanges are in another dialect.
pub fn is_foreign(dialect: Dialect) -> bool {
    !matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiEmbeddings)
}

/// What it takes to say the reply in the client's dialect.
pub struct Foreign {
    dialect: Dialect,
    names: Names,
    include_usage: bool,
    stream: bool,
    dropped: Option<HeaderValue>,
    model: Box<str>,
    id: Arc<str>,
}

/// Runs one exchange for a client of another dialect.
pub async fn run(io: Arc<Io>, spoken: Spoken, ingress: Ingress) -> Reply {
    let (id, dialect) = (ingress.request_id.clone(), spoken.dialect);
    let adopted = if ingress.scan.bytes > AT_ONCE_BYTES {
        let shared = io.shared.clone();
        let adopted = tokio::task::spawn_blocking(move || adopt(&spoken, ingress, &shared.bounds)).await;
        adopted.unwrap_or_else(|_| Err(Problem::internal("the request could not be translated")))
    } else {
        adopt(&spoken, ingress, &io.shared.bounds)
    };
    match adopted {
        Ok((foreign, ingress)) => {
            let answer = Box::pin(exchange::run(io.clone(), ingress, None));
            foreign.say(exchange::contained(&io.shared, &id, answer).await).await
        }
        Err(problem) => restyled(problem.reply(&id), dialect),
    }
}

/// Says a request as chat, in its place; gives what the reply is said back with.
fn adopt(spoken: &Spoken, mut ingress: Ingress, bounds: &Bounds) -> Result<(Foreign, Ingress), Problem> {
    let joined;
    let whole: &[u8] = match ingress.frames.as_slice() {
        [only] => only,
        several => {
            joined = several.concat();
            &joined
        }
    };
    let address = Address { model: spoken.model.as_deref(), stream: spoken.stream };
    let told = translate::request(whole, spoken.dialect, EXCHANGED, &Shape::OPENAI_CHAT, address)
        .map_err(|error| unreadable(&error))?;
    let mut scanner = body::scanner(EXCHANGED, bounds);
    scanner.feed(&told.body).map_err(|error| body::unreadable(&error))?;
    ingress.scan = scanner.finish().map_err(|error| body::unreadable(&error))?;
    body::required(&ingress.scan, EXCHANGED)?;
    ingress.frames = vec![told.body];
    ingress.dialect = EXCHANGED;
    let foreign = Foreign {
        dialect: spoken.dialect,
        dropped: listed(&told.dropped, &told.changed),
        names: told.names,
        include_usage: told.include_usage,
        stream: told.stream,
        model: ingress.model().into(),
        id: ingress.request_id.clone(),
    };
    Ok((foreign, ingress))
}

fn unreadable(error: &DialectError) -> Problem {
    let problem = Problem::request(400, error.code.unwrap_or("invalid_value"), error.to_string());
    match &error.param {
        Some(param) => problem.at(param.as_str()),
        None => problem,
    }
}

/// As many names as fit, each once.
fn listed(dropped: &[String], changed: &[String]) -> Option<HeaderValue> {
    let mut text = String::new();
    for name in dropped.iter().chain(changed) {
        if text.len() + name.len() > DROPPED_BYTES {
            break;
        }
        if !text.split(", ").any(|known| known == name) {
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(name);
        }
    }
    if text.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
}

/// An error of ours in the client's dialect; every other reply stays as it is.
pub fn restyled(mut reply: Reply, dialect: Dialect) -> Reply {
    if !is_foreign(dialect) {
        return reply;
    }
    if dialect == Dialect::AnthropicMessages
        && let Some(id) = reply.headers.get(X_REQUEST_ID)
    {
        let id = id.clone();
        reply.headers.insert(REQUEST_ID, id);
    }
    if reply.status.as_u16() < 400 {
        return reply;
    }
    if let ReplyBody::Frames(frames) = &mut reply.body {
        let body: Vec<u8> = frames.drain(..).flatten().collect();
        let (status, body) = translate::error(&body, EXCHANGED, dialect, reply.status.as_u16());
        reply.status = StatusCode::from_u16(status).unwrap_or(reply.status);
        reply.body = ReplyBody::whole(body);
    }
    reply
}

impl Foreign {
    /// Says the reply to this client.
    pub async fn say(self, mut reply: Reply) -> Reply {
        if let Some(dropped) = &self.dropped {
            reply.headers.insert(X_DROPPED, dropped.clone());
        }
        if reply.status.as_u16() >= 400 {
            return restyled(reply, self.dialect);
        }
        if self.stream {
            return restyled(self.streamed(reply), self.dialect);
        }
        let reply = match self.whole(&mut reply.body).await {
            Ok(body) => Reply { status: reply.status, headers: reply.headers, body: ReplyBody::whole(body) },
            Err(failure) => {
                let mut problem = Problem::of(&failure).reply(&self.id);
                std::mem::swap(&mut problem.headers, &mut reply.headers);
                problem.headers.extend(reply.headers);
                problem
            }
        };
        restyled(reply, self.dialect)
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            id: &self.id,
            model: &self.model,
            created_s: crate::identity::now_s(),
            include_usage: self.include_usage,
        }
    }

    fn streamed(&self, mut reply: Reply) -> Reply {
        let names = self.names.clone();
        let stream = StreamTranslator::new(EXCHANGED, self.dialect, names, &self.envelope(), Limits::default());
        match stream {
            Some(stream) => {
                reply.body = ReplyBody::Translated(Box::new(Translating { inner: reply.body, stream, over: false }));
                reply
            }
            None => Problem::internal("this dialect has no streams").reply(&self.id),
        }
    }

    async fn whole(&self, from: &mut ReplyBody) -> Result<Bytes, Failure> {
        let mut held = BytesMut::new();
        while let Some(frame) =
            poll_fn(|task| from.poll_next(task)).await.map_err(|broken| Failure::new(broken.kind))?
        {
            held.extend_from_slice(&frame);
            if held.len() > REPLY_BYTES {
                return Err(Failure::new(Kind::ResponseTooLarge));
            }
        }
        translate::reply(&held, EXCHANGED, self.dialect, &self.names, &self.envelope())
            .map_err(|_| Failure::new(Kind::Malformed))
    }
}

/// A stream on its way into the client's dialect.
pub struct Translating {
    inner: ReplyBody,
    stream: StreamTranslator,
    over: bool,
}

impl Translating {
    pub(crate) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        loop {
            if self.over {
                return Poll::Ready(Ok(None));
            }
            let mut out = Vec::new();
            match ready!(self.inner.poll_next(task)) {
                // A sign of life means the same in every dialect.
                Ok(Some(bytes)) if bytes == COMMENT => return Poll::Ready(Ok(Some(bytes))),
                Ok(Some(bytes)) => self.stream.push(&bytes, &mut out),
                Ok(None) => {
                    self.over = true;
                    self.stream.finish(&mut out);
                }
                Err(broken) => self.end(broken.kind, &mut out),
            }
            if !out.is_empty() {
                return Poll::Ready(Ok(Some(out.into())));
            }
        }
    }

    fn end(&mut self, kind: Kind, out: &mut Vec<u8>) {
        self.over = true;
        self.stream.fail(&Failure::new(kind), out);
    }

    /// A defect of ours: what the stream inside says of it, in the client's dialect.
    pub(crate) fn fail(&mut self, inner: Result<Option<Bytes>, BrokenOff>) -> Bytes {
        let mut out = Vec::new();
        if let Ok(Some(event)) = inner {
            self.stream.push(&event, &mut out);
        }
        self.end(Kind::Internal, &mut out);
        out.into()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn inner(&mut self) -> &mut ReplyBody {
        &mut self.inner
    }

    pub(crate) fn into_inner(self) -> ReplyBody {
        self.inner
    }
}
