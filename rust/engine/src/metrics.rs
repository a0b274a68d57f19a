//! Counters of one process: plain atomics, read by whoever renders them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::defect::Defects;
use crate::journal::Counters;
use crate::pressure::Pressure;

#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections open at the edge door.
    pub connections: AtomicUsize,
    /// Exchanges under way, both doors.
    pub in_flight: AtomicUsize,
    /// Bytes of request bodies held, both doors.
    pub body_bytes: AtomicUsize,
    /// Announced by heads of requests, and not come yet.
    pub promised_bytes: AtomicUsize,
    pub exchanges: AtomicU64,
    /// Exchanges decided by a plan that stood, without asking.
    pub standing: AtomicU64,
    /// Exchanges decided by the engine's snapshot because the decider was late.
    pub snapshots: AtomicU64,
    /// Requests turned away because a bound was reached.
    pub shed: AtomicU64,
    /// Attempts after the first of their exchange.
    pub retries: AtomicU64,
    /// Attempts that did not follow because their route's retry budget was used up.
    pub retries_denied: AtomicU64,
    /// Attempts begun beside a slow one, those of them that answered first, and those that their budget did not pay for.
    pub hedges: AtomicU64,
    pub hedges_won: AtomicU64,
    pub hedges_denied: AtomicU64,
    /// Targets that were not asked because they have no words for the request.
    pub passed_over: AtomicU64,
    /// Defects of ours that were caught.
    pub defects: Defects,
    pub journal: Arc<Counters>,
    /// What the decider says of itself, in the same format.
    told: Mutex<String>,
    pub reloads: Reloads,
}

/// Name, kind, help text, value: everything a text exposition needs.
type Row = (&'static str, &'static str, &'static str, u64);

/// What became of the configuration since the process started.
#[derive(Debug)]
pub struct Reloads {
    generation: AtomicU64,
    refused: AtomicU64,
    /// Whether the last one was taken; the start counts as one.
    taken: AtomicU64,
    at_s: AtomicU64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            generation: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            taken: AtomicU64::new(1),
            at_s: AtomicU64::new(seconds_since_1970()),
        }
    }
}

impl Reloads {
    /// The table of this generation decides from now on.
    pub fn took(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
        self.taken.store(1, Ordering::Relaxed);
        self.at_s.store(seconds_since_1970(), Ordering::Relaxed);
    }

    /// A configuration was looked at and not taken.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.at_s.store(seconds_since_1970(), Ordering::Relaxed);
    }

    fn rows(&self) -> [Row; 4] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("fastroute_config_generation", "gauge", "Number of the table that decides.", read(&self.generation)),
            (
                "fastroute_config_reload_successful",
                "gauge",
                "1 if the last configuration was taken.",
                read(&self.taken),
            ),
            (
                "fastroute_config_reload_timestamp_seconds",
                "gauge",
                "When the last configuration was looked at.",
                read(&self.at_s),
            ),
            (
                "fastroute_config_reloads_refused_total",
                "counter",
                "Configurations that were not taken.",
                read(&self.refused),
            ),
        ]
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Metrics {
    pub fn rows(&self) -> [Row; 15] {
        let size = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("fastroute_edge_connections", "gauge", "Connections open at the edge door.", size(&self.connections)),
            ("fastroute_in_flight", "gauge", "Exchanges under way.", size(&self.in_flight)),
            ("fastroute_request_body_bytes", "gauge", "Bytes of request bodies held.", size(&self.body_bytes)),
            (
                "fastroute_promised_body_bytes",
                "gauge",
                "Bytes of large request bodies announced and not come yet.",
                size(&self.promised_bytes),
            ),
            ("fastroute_exchanges_total", "counter", "Exchanges begun.", count(&self.exchanges)),
            (
                "fastroute_standing_decisions_total",
                "counter",
                "Exchanges decided by a plan that stood.",
                count(&self.standing),
            ),
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
            ("fastroute_hedges_total", "counter", "Attempts begun beside a slow one.", count(&self.hedges)),
            ("fastroute_hedges_won_total", "counter", "Those of them that answered first.", count(&self.hedges_won)),
            (
                "fastroute_hedges_denied_total",
                "counter",
                "Slow attempts that got none beside them because their model's budget for it was used up.",
                count(&self.hedges_denied),
            ),
            (
                "fastroute_passed_over_total",
                "counter",
                "Targets not asked because their dialect has no words for the request.",
                count(&self.passed_over),
            ),
            ("fastroute_panics_total", "counter", "Defects of the gateway that were caught.", self.defects.count()),
        ]
    }

    /// Takes rows of the decider's, in place of those it told before.
    pub fn tell(&self, rows: String) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Prometheus text exposition, format 0.0.4.
    pub fn render(&self, pressure: &Pressure) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(2048);
        let rows = self.rows().into_iter().chain(self.reloads.rows()).chain(pressure.rows());
        for (name, kind, help, value) in rows.chain(self.journal.rows()) {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        out.push_str(&self.told.lock().unwrap_or_else(PoisonError::into_inner));
        out
    }
}
