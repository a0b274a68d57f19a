//! A walk in a box of its own, which may go on when its client leaves.
//!
//! The rule: only an attempt under way is carried on, only where its provider asks for it (`on_client_gone: finish`),
//! to its own end and never to another target. Dropping a walk that waits for anything else aborts it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use crate::attempt::{Success, Tried};
use crate::decider::Plan;
use crate::defect;
use crate::delivery::{Delivery, Reader, place_for};
use crate::ingress::Ingress;
use crate::io::{Io, Of, Share};
use crate::outcome::Story;
use crate::table::Table;
use crate::walk::{Found, Walked, walk};

type Walk = Pin<Box<dyn Future<Output = Walked> + Send>>;

/// See the module.
pub(crate) struct Walking {
    /// `None` once it is over.
    walk: Option<Walk>,
    carry: Option<Carry>,
}

/// What it takes to go on alone.
struct Carry {
    io: Arc<Io>,
    presence: Arc<Presence>,
    body_bytes: usize,
}

impl Walking {
    pub(crate) fn begin(io: Arc<Io>, table: Arc<Table>, plan: Plan, ingress: Ingress, story: Story) -> Self {
        let carries_on = table.route(plan.route).is_some_and(|route| route.carries_on);
        let carry =
            carries_on.then(|| Carry { io: io.clone(), presence: Arc::default(), body_bytes: ingress.scan.bytes });
        let presence = carry.as_ref().map(|carry| carry.presence.clone());
        let walk: Walk = Box::pin(async move { walk(&io, &table, &plan, &ingress, story, presence.as_deref()).await });
        Self { walk: Some(walk), carry }
    }
}

impl Future for Walking {
    type Output = Walked;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Walked> {
        let Some(walk) = &mut self.walk else { return Poll::Pending };
        let polled = walk.as_mut().poll(task);
        if polled.is_ready() {
            self.walk = None;
        }
        polled
    }
}

impl Drop for Walking {
    fn drop(&mut self) {
        let (Some(walk), Some(carry)) = (self.walk.take(), self.carry.take()) else { return };
        if carry.presence.carried.load(Ordering::Relaxed) == 0 || std::thread::panicking() {
            return;
        }
        let Carry { io, presence, body_bytes } = carry;
        let place = place_for(&io.shared);
        let body = Share::try_take(&io.shared, Of::BodyBytes, body_bytes);
        if let (Some(place), Some(body), Ok(runtime)) = (place, body, tokio::runtime::Handle::try_current()) {
            presence.left.store(true, Ordering::Relaxed);
            runtime.spawn(async move {
                let carried = defect::outlived(Box::pin(async {
                    let walked = walk.await;
                    drop(body);
                    end(&io, walked).await;
                }));
                if carried.await.is_none() {
                    io.shared.metrics.defects.note();
                }
                drop(place);
            });
        }
    }
}

/// Tells what a walk came to that nobody waited for.
async fn end(io: &Io, walked: Walked) {
    match walked {
        // What failed is told; its client was gone before.
        Walked::Nothing { story, .. } => drop(story),
        Walked::Content(Found { success: Success::Whole(whole), mut story, .. }) => {
            if let Some(outcome) = story.outcome() {
                outcome.usage = whole.facts.usage;
            }
            story.close_unseen(Ok(()));
        }
        Walked::Content(Found { success: Success::Running(running), clock, story, flying, .. }) => {
            Delivery::new(&io.shared, *running, clock, story, flying, Reader::Nobody).to_its_end().await;
        }
    }
}

/// What a walk and whoever drops it know of each other. Both are of one task, so neither waits for the other.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Attempts under way that go on without their client.
    carried: AtomicU32,
    left: AtomicBool,
}

impl Presence {
    /// The client left, and the walk was carried on.
    pub(crate) fn left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Waits until the walk is carried on: whoever carries it on polls it, and with it everything that waits in it.
    pub(crate) async fn gone(&self) {
        poll_fn(|_| if self.left() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Runs an attempt that is to come to its end with or without its client.
    pub(crate) async fn carry(&self, trying: impl Future<Output = Tried>) -> Tried {
        let _carried = Carried::on(self);
        trying.await
    }
}

/// Holds for as long as an attempt runs that is to be carried on.
struct Carried<'a>(&'a Presence);

impl<'a> Carried<'a> {
    fn on(presence: &'a Presence) -> Self {
        presence.carried.fetch_add(1, Ordering::Relaxed);
        Self(presence)
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.0.carried.fetch_sub(1, Ordering::Relaxed);
    }
}
