//! Counters of the journal: plain atomics, rendered with the process's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counters {
    /// Lanes that do not write for themselves, plus 1 while syncing is in trouble.
    pub degraded: AtomicU64,
    pub open: AtomicU64,
    pub writes: AtomicU64,
    pub bytes: AtomicU64,
    /// Writes and syncs that failed or were slow.
    pub troubles: AtomicU64,
    pub lost: AtomicU64,
    pub refused: AtomicU64,
}

impl Counters {
    /// Name, kind, help text, value.
    pub fn rows(&self) -> [(&'static str, &'static str, &'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            (
                "fastroute_journal_degraded",
                "gauge",
                "1 while the journal's disk is in trouble.",
                u64::from(read(&self.degraded) > 0),
            ),
            ("fastroute_journal_open_attempts", "gauge", "Attempts on record without an end.", read(&self.open)),
            ("fastroute_journal_writes_total", "counter", "Writes of the journal.", read(&self.writes)),
            ("fastroute_journal_bytes_total", "counter", "Bytes written to the journal.", read(&self.bytes)),
            (
                "fastroute_journal_troubles_total",
                "counter",
                "Writes and syncs of the journal that failed or were slow.",
                read(&self.troubles),
            ),
            ("fastroute_journal_lost_total", "counter", "Records that found no room.", read(&self.lost)),
            (
                "fastroute_journal_refused_total",
                "counter",
                "Attempts not made because they could not be put on record.",
                read(&self.refused),
            ),
        ]
    }
}
