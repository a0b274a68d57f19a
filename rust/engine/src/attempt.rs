//! One try at one target: send, wait, classify, and stop at the commit point.
//!
//! An attempt succeeds when there is content to show: the whole reply, the first 64 KiB of a long one, or a stream's
//! first content event. Everything before that can still fail over unseen. Dropping an attempt aborts it upstream.

mod crossed;
mod framing;
mod passed;
mod reply;
mod request;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::failure::Failure;
use fastroute_core::relay::{ReplyFacts, Slices, Stream, TailInspector, quotes};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};

use self::framing::{acceptable, is_stream};
use self::reply::Answer;
use self::request::{Letter, send};
use crate::clocks::{Ambiguous, Due, Patience};
use crate::ingress::Ingress;
use crate::io::Io;
use crate::table::{self, Head, Target};
use crate::upstream::Lease;
use crate::{echo, failpoint};

pub(crate) use crossed::{bad, joined};
pub(crate) use framing::cut;
pub(crate) use passed::PASSED_BYTES;
pub(crate) use words::{Words, words};

/// A unary reply up to here is judged whole; a longer one commits here and is relayed frame by frame.
pub(crate) const WHOLE_REPLY_BYTES: usize = 64 * 1024;
/// A plain reply beyond this is refused: nobody's answer is that long, and each open one may fill buffers on its way.
pub(crate) const REPLY_BYTES: u64 = 64 * 1024 * 1024;
/// The same for a stream: some 128,000 tokens, each in an event of its own, stay below a quarter of it.
pub(crate) const STREAM_BYTES: u64 = 256 * 1024 * 1024;

pub(crate) type Frames = Slices;

/// There is content to show.
pub(crate) enum Success {
    /// The complete reply is in hand and valid.
    Whole(Box<Whole>),
    /// Content has begun; the rest is on its way.
    Running(Box<Running>),
}

impl Success {
    /// The upstream's headers that go on, with room for ours.
    pub(crate) fn take_headers(&mut self) -> HeaderMap {
        let headers = match self {
            Self::Whole(whole) => &mut whole.headers,
            Self::Running(running) => &mut running.headers,
        };
        std::mem::take(headers)
    }

    /// Of the reply: the upstream's where that means something to its client.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(whole) => whole.status,
            Self::Running(running) => running.status,
        }
    }
}

/// A reply with nothing left to wait for; also a stream, where it was made in this process.
pub(crate) struct Whole {
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) frames: Frames,
    pub(crate) facts: ReplyFacts,
}

/// A committed reply that is still arriving.
pub(crate) struct Running {
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) first: Frames,
    pub(crate) body: Incoming,
    pub(crate) lease: Option<Lease>,
    pub(crate) flow: Flow,
    /// Length the upstream announced, for replies relayed frame by frame.
    pub(crate) length: Option<u64>,
}

/// How the rest of a reply is inspected.
pub(crate) enum Flow {
    Stream(Box<Stream>),
    Long(Box<TailInspector>),
    /// Not at all: it is nothing that could be read here.
    Unread,
}

/// No content came of it.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// The upstream's own error reply in the client's dialect, where the client may see it.
    pub(crate) reply: Option<Bytes>,
}

impl Failed {
    /// Not in words that quote what we told the upstream about ourselves: a key, or another of the provider's headers.
    fn hiding(mut self, head: &Head) -> Self {
        self.reply = self.reply.filter(|reply| !quotes(reply, &head.secrets()));
        self
    }
}

/// What an attempt came to.
pub(crate) type Tried = Result<Success, Failed>;

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, reply: None }
    }
}

/// Runs one attempt up to its commit point; without words it is answered in this process.
pub(crate) async fn attempt(
    io: &Arc<Io>,
    (target, words): (&Target, Option<&Words<'_>>),
    ingress: &Ingress,
    patience: &Patience,
    due: Due,
    id: Option<HeaderValue>,
) -> Result<Success, Failed> {
    let (table::Kind::Http(origin), Some(words)) = (&target.kind, words) else {
        return Box::pin(echo::answer(ingress)).await.map_err(Failed::from);
    };
    let head = words.head;
    let answer = Answer { target, words, ingress, patience, due };
    if let Some(passing) = &ingress.spoken.opaque {
        let passed = passed::attempt(io, origin, answer, passing, id);
        return Box::pin(passed).await;
    }
    head.credential.ready(io, due).await?;
    let letter = Letter { words, ingress };
    let repeats = patience.ambiguous_retry == Ambiguous::Once;
    let (response, lease) = send(&io.pools.of(origin), &letter, due, id, repeats).await?;
    failpoint::pass("attempt.head");
    if !response.status().is_success() {
        if response.status() == StatusCode::UNAUTHORIZED {
            head.credential.refused();
        }
        return Err(Box::pin(answer.refused(response, lease)).await.hiding(head));
    }
    acceptable(&response, REPLY_BYTES)?;
    let streams = is_stream(head.dialect, response.headers());
    let tried = if ingress.stream() && streams {
        answer.first_content(response, lease).await
    } else if words.gathers && streams {
        Box::pin(answer.gathered(response, lease)).await
    } else {
        answer.whole(response, lease).await
    };
    tried.map_err(|failed| failed.hiding(head))
}
