//! What an upstream answered, up to the commit point: refused, whole, or begun.
//!
//! The surprise: where a stream was asked for, an answer that is none is
//! still read, since it may be an error in the clothes of a success.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastroute_core::dialects::{Dialect, Family};
use fastroute_core::eventstream::is_event_stream;
use fastroute_core::failure::{ErrorReply, Failure, Kind};
use fastroute_core::relay::{Inspect, Relay, RelaySpec, ReplyFacts, Stream, TailInspector, inspect_reply_of};
use fastroute_core::sse;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::crossed::{Crossed, X_DROPPED, longer};
use super::framing::{begins_as_reply, cut, frame_by, misframed, passed_on};
use super::{Failed, Flow, Frames, REPLY_BYTES, Running, Success, WHOLE_REPLY_BYTES, Whole, Words, joined};
use crate::clocks::{Due, Patience};
use crate::failpoint;
use crate::ingress::Ingress;
use crate::table::Target;
use crate::upstream::Lease;

/// What is kept of an error reply.
const ERROR_BODY_BYTES: usize = 64 * 1024;
/// How long the body of an error reply is waited for: its status is enough to go on elsewhere.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// What an upstream's answer is read with.
pub(super) struct Answer<'a> {
    pub(super) target: &'a Target,
    /// What it was told.
    pub(super) words: &'a Words<'a>,
    pub(super) ingress: &'a Ingress,
    pub(super) patience: &'a Patience,
    pub(super) due: Due,
}

impl Answer<'_> {
    /// Reads an error reply and classifies it.
    pub(super) async fn refused(&self, response: Response<Incoming>, lease: Lease) -> Failed {
        let by = self.due.by;
        let status = response.status().as_u16();
        let (parts, body) = response.into_parts();
        let by = by.min(Instant::now() + ERROR_BODY_WAIT);
        let collected = timeout_at(by, http_body_util::Limited::new(body, ERROR_BODY_BYTES).collect()).await;
        // A body that is cut, late or too long leaves the status, which is enough to go on.
        let body = match collected {
            Ok(Ok(body)) => {
                lease.done();
                body.to_bytes()
            }
            _ => Bytes::new(),
        };
        failpoint::pass("attempt.refused");
        let header = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
        let failure = ErrorReply {
            status,
            body: &body,
            retry_after: header("retry-after"),
            retry_after_ms: header("retry-after-ms"),
            should_retry: header("x-should-retry"),
            now: SystemTime::now(),
        }
        .classify();
        let json = body.first() == Some(&b'{');
        let reply = (failure.pass_through && json).then(|| self.in_clients_words(body, failure.status));
        Failed { failure, reply }
    }

    fn in_clients_words(&self, error: Bytes, status: u16) -> Bytes {
        match &self.words.crossed {
            Some(crossed) => crossed.error(&error, status),
            None => error,
        }
    }

    /// Reads a unary reply until it is whole or longer than [`WHOLE_REPLY_BYTES`].
    pub(super) async fn whole(self, response: Response<Incoming>, lease: Lease) -> Result<Success, Failed> {
        let Self { target, ingress, .. } = self;
        let at_most = self.held_bytes();
        let (parts, mut body) = response.into_parts();
        // What the framing promises, which a header may contradict.
        let length = body.size_hint().exact();
        let (mut frames, ended) = self.held(&mut body, &lease, at_most).await?;
        if !ended && at_most > WHOLE_REPLY_BYTES {
            return Err(Failure::new(Kind::ResponseTooLarge).into());
        }
        if !ended {
            // The client asked for a stream and got a long plain reply: nobody can relay that as events. Nor does what begins
            // like no reply become one by being long.
            if ingress.stream() || !begins_as_reply(&frames) {
                return Err(Failure::new(Kind::Malformed).into());
            }
            let mut inspector = TailInspector::new(target.usage_rule);
            for frame in &frames {
                inspector.feed(frame.clone());
            }
            return Ok(Success::Running(Box::new(Running {
                headers: self.passed_on(parts.headers),
                status: StatusCode::OK,
                first: frames,
                body,
                lease: Some(lease),
                flow: Flow::Long(Box::new(inspector)),
                length,
            })));
        }
        failpoint::pass("attempt.whole");
        let facts = self.inspected(&mut frames).await?;
        if facts.empty && ingress.dialect().family() == Family::Chat {
            self.refuse_empty(facts.finish_reason.as_deref())?;
        }
        // Only now: a peer that answers with something else is not asked again on the same connection.
        lease.done();
        if ingress.stream() {
            return Err(Failure::new(Kind::Malformed)
                .saying("the upstream answered a stream request without a stream")
                .into());
        }
        let headers = self.named(self.passed_on(parts.headers), &facts.unsaid);
        Ok(Success::Whole(Box::new(Whole { headers, status: StatusCode::OK, frames, facts })))
    }

    /// Reads a stream to its end, and answers with what it comes to: its client did not ask for a stream.
    pub(super) async fn gathered(self, response: Response<Incoming>, lease: Lease) -> Result<Success, Failed> {
        let (parts, mut body) = response.into_parts();
        let most = usize::try_from(REPLY_BYTES).unwrap_or(usize::MAX);
        let (frames, ended) = self.held(&mut body, &lease, most).await?;
        failpoint::pass("attempt.whole");
        let Some(crossed) = self.words.crossed.as_ref().filter(|_| ended) else {
            return Err(Failure::new(Kind::ResponseTooLarge).into());
        };
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let (said, facts) = crossed.gathered(joined(&frames), Bytes::copy_from_slice(kind)).await?;
        if facts.empty {
            self.refuse_empty(facts.finish_reason.as_deref())?;
        }
        lease.done();
        let headers = self.named(self.passed_on(parts.headers), &facts.unsaid);
        let frames = [said].into_iter().collect();
        Ok(Success::Whole(Box::new(Whole { headers, status: StatusCode::OK, frames, facts })))
    }

    /// Reads until the reply is whole (then true), or more than `at_most` of it is there.
    pub(super) async fn held(
        &self,
        body: &mut Incoming,
        lease: &Lease,
        at_most: usize,
    ) -> Result<(Frames, bool), Failure> {
        let due = self.due;
        let mut frames = Frames::new();
        let mut held = 0;
        loop {
            let idle = || Instant::now() + crate::clocks::seconds(self.patience.idle_timeout_s);
            match frame_by(body, || due.by.min(idle())).await {
                Err(_) if Instant::now() < due.by => return Err(Failure::new(Kind::Stalled)),
                Err(_) => return Err(due.missed()),
                Ok(None) => return Ok((frames, true)),
                Ok(Some(Err(_))) if lease.defective() => return Err(Failure::new(Kind::Internal)),
                Ok(Some(Err(error))) => {
                    let kind = if misframed(&error) { Kind::Malformed } else { Kind::Truncated };
                    return Err(Failure::new(kind));
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        held += data.len();
                        frames.push(data);
                    }
                }
            }
            // Known from the framing: one look less at the clock, and at the connection.
            if body.is_end_stream() {
                return Ok((frames, true));
            }
            if held > at_most {
                return Ok((frames, false));
            }
        }
    }

    /// How much of a reply is held before it is judged. One that is said in other words is said as a whole.
    fn held_bytes(&self) -> usize {
        match self.words.head.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings
                if self.words.crossed.is_none() =>
            {
                WHOLE_REPLY_BYTES
            }
            _ => usize::try_from(REPLY_BYTES).unwrap_or(usize::MAX),
        }
    }

    /// Reads a whole reply, and says it in the client's dialect.
    async fn inspected(&self, frames: &mut Frames) -> Result<ReplyFacts, Failed> {
        let rule = self.target.usage_rule;
        let joined = match frames.as_slice() {
            [only] => only.clone(),
            several => several.concat().into(),
        };
        let inspected = match &self.words.crossed {
            None => inspect_reply_of(self.words.head.dialect, &joined, rule),
            Some(crossed) => crossed.reply(joined.clone(), rule).await.map(|(said, facts)| {
                *frames = [said].into_iter().collect();
                facts
            }),
        };
        // An error in a reply that says it is none: where it speaks of the request, the client reads it as it was told.
        inspected.map_err(|failure| {
            let json = joined.first() == Some(&b'{');
            let status = failure.status;
            let reply = (failure.pass_through && json).then(|| self.in_clients_words(joined, status));
            Failed { failure, reply }
        })
    }

    /// Reads a stream until its first content event. What came before is held and goes out with it.
    pub(super) async fn first_content(self, response: Response<Incoming>, lease: Lease) -> Result<Success, Failed> {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let relay = self.stream(kind)?;
        let running = self.first_of(relay, body, lease).await?;
        if let Flow::Stream(relay) = &running.flow
            && relay.content_events() == 0
        {
            self.refuse_empty(relay.finish_reason())?;
        }
        Ok(Success::Running(Box::new(Running { headers: self.passed_on(parts.headers), ..running })))
    }

    /// The same of a stream that is read so.
    pub(super) async fn first_of(
        &self,
        mut relay: Box<Stream>,
        mut body: Incoming,
        lease: Lease,
    ) -> Result<Running, Failed> {
        let Self { patience, due, .. } = *self;
        let mut first = Frames::new();
        let mut ended = false;
        let mut next_by = due;
        while !relay.content_started() && !ended {
            let fed = match frame_by(&mut body, || next_by.by).await {
                Err(_) => Err(next_by.missed()),
                Ok(None) => {
                    ended = true;
                    relay.end(&mut first)
                }
                Ok(Some(Err(_))) if lease.defective() => Err(Failure::new(Kind::Internal)),
                // Reset after its last word, perhaps: the relay knows.
                Ok(Some(Err(error))) => {
                    ended = true;
                    relay.cut(&mut first).map_err(|failure| cut(&error, failure))
                }
                Ok(Some(Ok(frame))) => frame.into_data().map_or(Ok(()), |data| relay.feed(data, &mut first)),
            };
            failpoint::pass("attempt.first");
            if let Err(failure) = fed {
                let reply = if failure.pass_through { relay.error_body().cloned() } else { None };
                return Err(Failed { failure, reply });
            }
            if !relay.content_started() {
                // From its first bytes on a silence is a stall; until then the model may be reading a long prompt.
                next_by = due.or(Instant::now() + crate::clocks::seconds(patience.idle_timeout_s), Kind::Stalled);
            }
        }
        Ok(Running {
            headers: HeaderMap::new(),
            status: StatusCode::OK,
            first,
            body,
            lease: Some(lease),
            flow: Flow::Stream(relay),
            length: None,
        })
    }

    fn stream(&self, content_type: &[u8]) -> Result<Box<Stream>, Failure> {
        let ingress = self.ingress;
        let spec = RelaySpec {
            inspect: match self.words.head.dialect {
                Dialect::OpenAiChat | Dialect::OpenAiCompletions => Inspect::OpenAiChat,
                other => Inspect::Events(other),
            },
            choices: ingress.scan.n.unwrap_or_default(),
            secrets: self.words.head.secrets(),
            usage_rule: self.target.usage_rule,
            hide_usage: ingress.forces_usage(),
            limits: sse::Limits::default(),
        };
        let stream = match &self.words.crossed {
            None if !is_event_stream(content_type) => Stream::Passed(Relay::new(spec)),
            None => Stream::Crossed(Crossed::reframed(ingress).stream(spec, content_type)?),
            Some(crossed) => Stream::Crossed(crossed.stream(spec, content_type)?),
        };
        Ok(Box::new(if ingress.spoken.list { stream.listed() } else { stream }))
    }

    /// A reply without content is a failure where the route or the provider's row says so. One that a filter emptied is
    /// not: asking elsewhere would be shopping for another opinion.
    fn refuse_empty(&self, finish_reason: Option<&str>) -> Result<(), Failure> {
        let quirk = || self.words.head.demands(self.patience.on_loss).quirks.empty_content_is_failure;
        if finish_reason == Some("content_filter") || !(self.patience.retry_empty || quirk()) {
            return Ok(());
        }
        Err(Failure::new(Kind::Malformed).saying("The provider's reply holds no content."))
    }

    fn passed_on(&self, headers: HeaderMap) -> HeaderMap {
        let mut kept = passed_on(headers);
        if let Some(dropped) = self.words.dropped.clone() {
            kept.insert(X_DROPPED, dropped);
        }
        kept
    }

    /// Names beside what the target was not told what its reply could not tell the client.
    fn named(&self, mut headers: HeaderMap, unsaid: &[String]) -> HeaderMap {
        if !unsaid.is_empty() {
            let dropped = self.words.dropped.as_ref().and_then(|dropped| dropped.to_str().ok());
            headers.extend(longer(dropped.unwrap_or_default(), unsaid).map(|all| (X_DROPPED, all)));
        }
        headers
    }
}
