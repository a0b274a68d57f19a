//! The streams of HTTP/2 connections as tasks, each under its own write clock.
//!
//! The surprise: while a stream's window is full, hyper waits for it and asks the body nothing, so only the task around
//! both can tell. What the body handed over, and when, reaches that task through a task-local.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep};

tokio::task_local! {
    static HANDED: Arc<Handed>;
}

/// When a body last handed a frame over without having been asked for another since.
#[derive(Debug)]
pub(super) struct Handed {
    opened: Instant,
    /// Milliseconds after `opened`, plus one; zero while the body is being asked.
    at_ms: AtomicU64,
}

impl Handed {
    /// Of the stream whose task this is; `None` over HTTP/1.
    pub(super) fn of_this_stream() -> Option<Arc<Self>> {
        HANDED.try_with(Arc::clone).ok()
    }

    pub(super) fn asked(&self) {
        self.at_ms.store(0, Ordering::Relaxed);
    }

    pub(super) fn gave(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.at_ms.store(since + 1, Ordering::Relaxed);
    }

    fn since(&self) -> Option<Instant> {
        let at_ms = self.at_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.opened + Duration::from_millis(at_ms))
    }
}

/// Runs a connection's streams; one whose client takes nothing for `write_stall` is dropped, which resets it.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) write_stall: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let write_stall = self.write_stall;
        let handed = Arc::new(Handed { opened: Instant::now(), at_ms: AtomicU64::new(0) });
        let watched = handed.clone();
        tokio::spawn(HANDED.scope(handed, async move {
            let mut stream = pin!(stream);
            let mut timer = pin!(sleep(write_stall));
            poll_fn(|task| {
                if stream.as_mut().poll(task).is_ready() {
                    return Poll::Ready(());
                }
                let Some(since) = watched.since() else { return Poll::Pending };
                let due = since + write_stall;
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                timer.as_mut().poll(task)
            })
            .await;
        }));
    }
}
