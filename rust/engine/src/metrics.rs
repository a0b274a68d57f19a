//! Counters of one process: plain atomics, read by whoever renders them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::journal::Counters;

#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections open at the edge door.
    pub connections: AtomicUsize,
    /// Exchanges under way, both doors.
    pub in_flight: AtomicUsize,
    /// Bytes of request bodies held, both doors.
    pub body_bytes: AtomicUsize,
    pub exchanges: AtomicU64,
    /// Exchanges decided by the engine's snapshot because the decider was late.
    pub snapshots: AtomicU64,
    /// Requests turned away because a bound was reached.
    pub shed: AtomicU64,
    /// Attempts after the first of their exchange.
    pub retries: AtomicU64,
    /// Attempts that did not follow because their route's retry budget was used up.
    pub retries_denied: AtomicU64,
    /// Panics caught at an exchange.
    pub panics: AtomicU64,
    pub journal: Arc<Counters>,
    /// What the decider says of itself, in the same format.
    told: Mutex<String>,
}

impl Metrics {
    /// Name, help text, value: everything a text exposition needs.
    pub fn rows(&self) -> [(&'static str, &'static str, &'static str, u64); 9] {
        let size = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("fastroute_edge_connections", "gauge", "Connections open at the edge door.", size(&self.connections)),
            ("fastroute_in_flight", "gauge", "Exchanges under way.", size(&self.in_flight)),
            ("fastroute_request_body_bytes", "gauge", "Bytes of request bodies held.", size(&self.body_bytes)),
            ("fastroute_exchanges_total", "counter", "Exchanges begun.", count(&self.exchanges)),
            (
                "fastroute_snapshot_decisions_total",
                "counter",
                "Exchanges decided by the snapshot of their route.",
                count(&self.snapshots),
            ),
            ("fastroute_shed_total", "counter", "Requests turned away at a bound.", count(&self.shed)),
            ("fastroute_retries_total", "counter", "Attempts after the first of their request.", count(&self.retries)),
            (
                "fastroute_retries_denied_total",
                "counter",
                "Attempts that did not follow because the retry budget of their model was used up.",
                count(&self.retries_denied),
            ),
            ("fastroute_panics_total", "counter", "Panics caught at an exchange.", count(&self.panics)),
        ]
    }

    /// Takes rows of the decider's, in place of those it told before.
    pub fn tell(&self, rows: String) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Prometheus text exposition, format 0.0.4.
    pub fn render(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(2048);
        for (name, kind, help, value) in self.rows().into_iter().chain(self.journal.rows()) {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        out.push_str(&self.told.lock().unwrap_or_else(PoisonError::into_inner));
        out
    }
}
