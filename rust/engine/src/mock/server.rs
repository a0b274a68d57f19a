//! The listener and the connection loop: read a request, find its rule, answer, log, again.
//!
//! Written on bare TCP, because a server framework would refuse to misbehave. The fast path (no rule, a unary chat) is
//! one read, one copied template and one write, so that the upstream is never what a benchmark measures.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use memchr::memmem;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::chunked::Chunked;
use super::clock::monotonic_ns;
use super::control;
use super::log::{Ended, Log, Row, Sent};
use super::matching::Rules;
use super::play::{Next, Play, identifier};
use super::reply::{self, Voice};
use super::request::{Ask, Body, Endpoint, LONGEST_HEAD_BYTES, Length, Refused};
use super::script::{Script, Stamp};
use super::wire::Wire;

/// What a quiet connection holds.
const HEAD_BUFFER_BYTES: usize = 4096;
/// One read of a body that does not come with its head.
const BODY_BUFFER_BYTES: usize = 128 * 1024;
/// How long a closed connection is still listened to, so that the peer sees FIN and not RST.
const LINGER: Duration = Duration::from_secs(2);
/// Rendered embedding replies that are kept; a benchmark asks for one again and again.
const MOST_EMBEDDINGS: usize = 8;
/// Stands for an answer's identifier in a template.
const PLACEHOLDER: &str = "@@@@@@@@@@@@@@@@";

/// What all connections of one upstream share.
#[derive(Debug)]
pub(super) struct Shared {
    log: Mutex<Log>,
    rules: ArcSwap<Rules>,
    news: Notify,
    embeddings: Mutex<HashMap<EmbeddingsShape, Bytes>>,
    connections: AtomicU64,
    open_connections: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
}

/// What an embeddings reply depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct EmbeddingsShape {
    model: String,
    inputs: usize,
    dimensions: usize,
    as_base64: bool,
    tokens: Option<u64>,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Requests that were read and logged.
    pub accepted: u64,
    /// Of those, being answered now.
    pub open: u64,
    pub connections: u64,
    pub open_connections: u64,
}

impl Shared {
    pub(super) fn new(script: Script) -> Self {
        Self {
            log: Mutex::default(),
            rules: ArcSwap::from_pointee(Rules::new(script)),
            news: Notify::new(),
            embeddings: Mutex::default(),
            connections: AtomicU64::new(0),
            open_connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
        }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_script(&self, script: Script) {
        self.rules.store(Arc::new(Rules::new(script)));
    }

    pub(super) fn news(&self) -> &Notify {
        &self.news
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            accepted: self.accepted.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            open_connections: self.open_connections.load(Ordering::Relaxed),
        }
    }

    fn accept(&self, row: Row) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let id = self.log().push(row);
        self.news.notify_waiters();
        id
    }

    pub(super) fn record(&self, row: u64, sent: Sent) {
        self.log().record(row, sent);
        self.news.notify_waiters();
    }

    /// The embeddings reply to a request, rendered once per shape.
    pub(super) fn embeddings(&self, ask: &Ask, dimensions: usize, usage: bool) -> Bytes {
        let shape = EmbeddingsShape {
            model: ask.wants.model.clone(),
            inputs: ask.wants.inputs,
            dimensions,
            as_base64: ask.wants.as_base64,
            tokens: usage.then(|| ask.prompt_tokens()),
        };
        let mut known = self.embeddings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = known.get(&shape) {
            return reply.clone();
        }
        if known.len() >= MOST_EMBEDDINGS {
            known.clear();
        }
        let reply: Bytes =
            reply::embeddings(&shape.model, shape.inputs, dimensions, shape.as_base64, shape.tokens).into();
        known.insert(shape, reply.clone());
        reply
    }
}

/// Accepts connections until the future is dropped.
pub(super) async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                    shared.open_connections.fetch_add(1, Ordering::Relaxed);
                    Connection::new(stream, number).attend(&shared).await;
                    shared.open_connections.fetch_sub(1, Ordering::Relaxed);
                });
            }
            // A peer that left while it queued, or no descriptor left: neither ends the server.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A unary reply with holes for its identifier, valid while the question and the script stay the same.
struct Template {
    rules: Arc<Rules>,
    model: String,
    prompt_tokens: u64,
    completion_tokens: u64,
    bytes: Vec<u8>,
    holes: Vec<usize>,
}

struct Connection {
    stream: TcpStream,
    number: u64,
    /// What has been read and not yet used.
    input: Vec<u8>,
    template: Option<Template>,
}

impl Connection {
    fn new(stream: TcpStream, number: u64) -> Self {
        Self { stream, number, input: Vec::with_capacity(HEAD_BUFFER_BYTES), template: None }
    }

    async fn attend(mut self, shared: &Shared) {
        // Without it a small reply can wait 40 ms for the acknowledgement of the one before.
        if self.stream.set_nodelay(true).is_err() {
            return;
        }
        loop {
            match self.turn(shared).await {
                Next::KeepAlive => {}
                Next::Close => return self.close().await,
                Next::Reset => {
                    // A zero linger time makes the drop send RST. When that fails the peer has already gone.
                    let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                    return;
                }
            }
        }
    }

    /// One request and its answer.
    async fn turn(&mut self, shared: &Shared) -> Next {
        let mut ask = match self.read_head().await {
            Ok(Some(ask)) => ask,
            Ok(None) => return Next::Close,
            Err(Refused(status)) => return self.refuse(status).await,
        };
        let rules = shared.rules.load_full();
        if rules.before_body
            && let Some((place, rule)) = rules.find(&ask, true)
        {
            ask.last = true;
            let row = shared.accept(Row::new(&ask, self.number, Some(place), Bytes::new()));
            return self.play(&ask, &rules, Some(&rule.steps), shared, row).await;
        }
        let kept = match self.read_body(&mut ask, &rules).await {
            Ok(Some(kept)) => kept,
            Ok(None) => {
                let row = shared.accept(Row::new(&ask, self.number, None, Bytes::new()));
                let end_ns = Some(monotonic_ns());
                shared.record(row, Sent { ended: Ended::Cancelled, end_ns, ..Sent::default() });
                shared.open.fetch_sub(1, Ordering::Relaxed);
                return Next::Close;
            }
            Err(Refused(status)) => return self.refuse(status).await,
        };
        if ask.endpoint == Endpoint::Control {
            return self.control(&ask, &kept, shared).await;
        }
        let found = rules.find(&ask, false);
        let row = shared.accept(Row::new(&ask, self.number, found.map(|(place, _)| place), kept));
        match found {
            None if ask.endpoint == Endpoint::Chat && !ask.wants.stream && !ask.last => {
                self.answer_from_template(&ask, &rules, shared, row).await
            }
            found => self.play(&ask, &rules, found.map(|(_, rule)| rule.steps.as_slice()), shared, row).await,
        }
    }

    async fn play(
        &mut self,
        ask: &Ask,
        rules: &Rules,
        steps: Option<&[super::script::Step]>,
        shared: &Shared,
        row: u64,
    ) -> Next {
        let wire = Wire::new(&mut self.stream, &mut self.input);
        let next = Play::new(wire, ask, &rules.script.defaults, shared, row).perform(steps).await;
        shared.open.fetch_sub(1, Ordering::Relaxed);
        next
    }

    async fn answer_from_template(&mut self, ask: &Ask, rules: &Arc<Rules>, shared: &Shared, row: u64) -> Next {
        let usable = self.template.take().filter(|template| template.fits(ask, rules));
        let mut template = usable.unwrap_or_else(|| Template::new(ask, rules));
        template.fill(&identifier(row));
        let first_byte_ns = Some(monotonic_ns());
        let written = self.stream.write_all(&template.bytes).await;
        shared.record(
            row,
            Sent {
                ended: if written.is_ok() { Ended::Complete } else { Ended::Cancelled },
                first_byte_ns,
                end_ns: Some(monotonic_ns()),
                bytes: if written.is_ok() { template.bytes.len() as u64 } else { 0 },
                events: 0,
                completion_tokens: template.completion_tokens,
                prompt_tokens: template.prompt_tokens,
                usage: true,
            },
        );
        shared.open.fetch_sub(1, Ordering::Relaxed);
        self.template = Some(template);
        if written.is_ok() { Next::KeepAlive } else { Next::Close }
    }

    async fn control(&mut self, ask: &Ask, body: &[u8], shared: &Shared) -> Next {
        let answer = control::answer(ask, body, shared);
        match self.stream.write_all(&answer).await {
            Ok(()) if !ask.last => Next::KeepAlive,
            _ => Next::Close,
        }
    }

    /// Bytes that are no acceptable request: nobody to log, nothing to script.
    async fn refuse(&mut self, status: u16) -> Next {
        let answer = format!("HTTP/1.1 {status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // The connection ends either way.
        let _ = self.stream.write_all(answer.as_bytes()).await;
        Next::Close
    }

    /// Reads up to the end of a head; `None` when the peer leaves before one is complete.
    async fn read_head(&mut self) -> Result<Option<Ask>, Refused> {
        loop {
            if !self.input.is_empty()
                && let Some(ask) = Ask::parse(&self.input, monotonic_ns())?
            {
                self.input.drain(..ask.head.len());
                return Ok(Some(ask));
            }
            if self.input.len() >= LONGEST_HEAD_BYTES {
                return Err(Refused(431));
            }
            self.input.reserve(HEAD_BUFFER_BYTES);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// Reads the body, and what it says, into `ask`; gives what the log keeps of it, or `None` when the peer left.
    async fn read_body(&mut self, ask: &mut Ask, rules: &Rules) -> Result<Option<Bytes>, Refused> {
        let control = ask.endpoint == Endpoint::Control;
        let logged = rules.script.keep_body_bytes;
        let whole = control || rules.reads_bodies || ask.endpoint == Endpoint::Embeddings;
        if let Length::Known(length) = ask.length
            && let Some(body) = usize::try_from(length).ok().and_then(|length| self.input.get(..length))
        {
            ask.body_bytes = length;
            ask.learn(body, b"", whole);
            let shown = if control { body.len() } else { logged.min(body.len()) };
            let kept = Bytes::copy_from_slice(body.get(..shown).unwrap_or_default());
            self.input.drain(..body.len());
            return Ok(Some(kept));
        }
        if ask.expects_continue && self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return Ok(None);
        }
        let mut body = Body::new(whole, logged);
        let arrived = self.gather(ask.length, &mut body).await?;
        ask.body_bytes = body.total;
        ask.learn(&body.start, &body.end, whole);
        if !control {
            body.start.truncate(logged);
        }
        Ok(arrived.then(|| Bytes::from(body.start)))
    }

    /// Feeds everything up to the end of the body; false when the peer left before it.
    async fn gather(&mut self, length: Length, body: &mut Body) -> Result<bool, Refused> {
        let mut coding = Chunked::default();
        let mut input = std::mem::take(&mut self.input);
        loop {
            let mut rest = input.as_slice();
            let done = match length {
                Length::Known(length) => {
                    let missing = usize::try_from(length - body.total).unwrap_or(usize::MAX);
                    let (now, after) = rest.split_at(missing.min(rest.len()));
                    body.take(now, Some((missing - now.len()) as u64));
                    rest = after;
                    body.total == length
                }
                Length::Chunked => {
                    while let Some(data) = coding.next(&mut rest).map_err(|_| Refused(400))? {
                        body.take(data, None);
                    }
                    coding.is_done()
                }
            };
            if done {
                self.input.extend_from_slice(rest);
                return Ok(true);
            }
            input.clear();
            input.reserve(BODY_BUFFER_BYTES);
            match self.stream.read_buf(&mut input).await {
                Ok(0) | Err(_) => return Ok(false),
                Ok(_) => {}
            }
        }
    }

    /// Sends FIN, then waits for the peer's: a socket that is dropped with unread bytes sends RST instead.
    async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut rest = Vec::with_capacity(HEAD_BUFFER_BYTES);
            while matches!(self.stream.read_buf(&mut rest).await, Ok(read) if read > 0) {
                rest.clear();
            }
        };
        // Either way the connection is over.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}

impl Template {
    fn new(ask: &Ask, rules: &Arc<Rules>) -> Self {
        let defaults = &rules.script.defaults;
        let voice = Voice {
            anthropic: false,
            id: PLACEHOLDER,
            model: &ask.wants.model,
            prompt_tokens: ask.prompt_tokens(),
            usage_asked: false,
            stamp: Stamp::None,
        };
        let (body, completion_tokens) = voice.unary(None, defaults.reply_bytes, true);
        let bytes = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_{PLACEHOLDER}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
        Self {
            rules: Arc::clone(rules),
            model: ask.wants.model.clone(),
            prompt_tokens: ask.prompt_tokens(),
            completion_tokens,
            holes: memmem::find_iter(&bytes, PLACEHOLDER).collect(),
            bytes,
        }
    }

    fn fits(&self, ask: &Ask, rules: &Arc<Rules>) -> bool {
        Arc::ptr_eq(&self.rules, rules) && self.model == ask.wants.model && self.prompt_tokens == ask.prompt_tokens()
    }

    fn fill(&mut self, identifier: &str) {
        for &hole in &self.holes {
            if let Some(place) = self.bytes.get_mut(hole..hole + PLACEHOLDER.len()) {
                place.copy_from_slice(identifier.as_bytes());
            }
        }
    }
}
