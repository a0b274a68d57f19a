//! A stream whose head goes out before anyone knows who answers, because its client has heard nothing for too long.
//!
//! Comments keep the client and everything between from giving up. They commit status and head but no content: failover
//! goes on unseen behind them, and only what nobody can mend any more is told, as an event, for the status is out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::translate;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::{Instant, Sleep, timeout_at};

use crate::decider::Plan;
use crate::delivery::ReplyBody;
use crate::exchange::{answer, content};
use crate::ingress::Ingress;
use crate::io::Io;
use crate::outcome::{Ending, Story};
use crate::problem::{EVENT_STREAM, Reply};
use crate::table::Table;
use crate::walk::Walked;
use crate::walking::Walking;

/// What a silent stream says; clients pass over it.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Walks, and answers after a silence of `after` at the latest, where comments are sent.
pub(crate) async fn reply(
    io: Arc<Io>,
    table: Arc<Table>,
    plan: Plan,
    ingress: Ingress,
    mut story: Story,
    after: Option<Duration>,
) -> Reply {
    let (started, id) = (ingress.started, ingress.request_id.clone());
    let (dialect, kind) = (ingress.dialect(), ingress.reply_kind());
    story.head_out_at = after.map(|after| started + after);
    let mut walking = Walking::begin(io.clone(), table, plan, ingress, story);
    let Some(after) = after else { return answer(&io, walking.await, (dialect, kind), &id) };
    let by = started + after;
    if let Ok(walked) = timeout_at(by, &mut walking).await {
        return answer(&io, walked, (dialect, kind), &id);
    }
    let timer = Box::pin(tokio::time::sleep_until(by));
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = ReplyBody::Awaited(Box::new(Awaited { walking, io, dialect, timer, every: after / 2 }));
    Reply { status: StatusCode::OK, headers, body, said_in: dialect }.with_request_id(&id)
}

/// A walk that goes on behind a head. Dropping it is the client's leaving, like anywhere else.
pub struct Awaited {
    walking: Walking,
    io: Arc<Io>,
    /// What the client reads.
    dialect: Dialect,
    timer: Pin<Box<Sleep>>,
    every: Duration,
}

/// What comes next of an awaited body.
pub(crate) enum Next {
    Comment,
    /// The walk is over; this is what is left to say.
    Body(ReplyBody),
}

impl Awaited {
    /// A defect of ours, noted and told.
    #[cold]
    pub(crate) fn fail(&self) -> Bytes {
        self.io.shared.metrics.defects.note();
        translate::error_event(self.dialect, &Failure::new(Kind::Internal))
    }

    pub(crate) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(walked) = Pin::new(&mut self.walking).poll(task) {
            return Poll::Ready(Next::Body(body(&self.io, walked, self.dialect)));
        }
        if self.timer.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        self.timer.as_mut().reset(Instant::now() + self.every);
        Poll::Ready(Next::Comment)
    }
}

fn body(io: &Io, walked: Walked, dialect: Dialect) -> ReplyBody {
    match walked {
        Walked::Content(found) => content(io, found),
        Walked::Nothing { failed, mut story, .. } => {
            let told = match &failed.reply {
                Some(theirs) => translate::quoted_event(dialect, theirs),
                None => translate::error_event(dialect, &failed.failure),
            };
            if let Some(outcome) = story.outcome() {
                outcome.status = 200;
            }
            story.close(Ending::Broken, Some(failed.failure));
            ReplyBody::whole(told)
        }
    }
}
