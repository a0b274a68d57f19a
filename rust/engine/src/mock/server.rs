//! The listener and the connection loop: read a request, find its rule, answer, log, again.
//!
//! Written on bare TCP, because a server framework would refuse to misbehave. The fast path (no rule, a unary chat) is
//! one read, one copied template and one write, so that the upstream is never what a benchmark measures.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::chunked::Chunked;
use super::clock::monotonic_ns;
use super::control;
use super::log::{Ended, Row, Sent};
use super::matching::Rules;
use super::play::{Next, Play, identifier};
use super::request::{Ask, Body, Endpoint, LONGEST_HEAD_BYTES, Length, Refused};
use super::shared::Shared;
use super::template::Template;
use super::wire::Wire;

/// What a quiet connection holds.
const HEAD_BUFFER_BYTES: usize = 4096;
/// One read of a body that does not come with its head.
const BODY_BUFFER_BYTES: usize = 128 * 1024;
/// How long a closed connection is still listened to, so that the peer sees FIN and not RST.
const LINGER: Duration = Duration::from_secs(2);

/// Accepts connections until the future is dropped.
pub(super) async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let number = shared.connect();
                    Connection::new(stream, number).attend(&shared).await;
                    shared.disconnect();
                });
            }
            // A peer that left while it queued, or no descriptor left: neither ends the server.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
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
        let rules = shared.rules();
        ask.last |= ask.endpoint != Endpoint::Control && !rules.script.defaults.keep_alive;
        if rules.before_body
            && let Some((place, rule)) = rules.find(&ask, true, shared.open())
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
                shared.release();
                return Next::Close;
            }
            Err(Refused(status)) => return self.refuse(status).await,
        };
        if ask.endpoint == Endpoint::Control {
            return self.control(&ask, &kept, shared).await;
        }
        let found = rules.find(&ask, false, shared.open());
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
        shared.release();
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
        shared.release();
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
        // A copy, because the spare room of a large buffer would live as long as its row.
        Ok(arrived.then(|| Bytes::copy_from_slice(&body.start)))
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
