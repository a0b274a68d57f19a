//! The engine as its owner holds it: threads, table, doors.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::admission::Queue;
use crate::bars::Bars;
use crate::decider::Decider;
use crate::dice::Dice;
use crate::doors;
use crate::io::{Bounds, Hooks, Shared, Tables, Thread};
use crate::journal::{Journal, JournalSpec};
use crate::metrics::Metrics;
use crate::table::{Table, TableError, TableSpec};
use crate::upstream::Resolver;

/// See the module. Threads start in [`Engine::start`] and end with the process.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    journal: Option<Journal>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Engine").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

/// Why an engine did not start.
#[derive(Debug)]
pub enum StartError {
    Table(TableError),
    Io(std::io::Error),
    Journal(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => error.fmt(out),
            Self::Io(error) => error.fmt(out),
            Self::Journal(error) => write!(out, "the journal cannot be read: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Engine {
    /// `threads` of zero means one per core this process may use.
    pub fn start(
        spec: TableSpec,
        bounds: Bounds,
        threads: usize,
        decider: Arc<dyn Decider>,
        hooks: &Hooks,
        journal: Option<JournalSpec>,
    ) -> Result<Self, StartError> {
        let table = Table::compile(spec).map_err(StartError::Table)?;
        let count = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let metrics = Metrics::default();
        let dice = Arc::new(Dice::seeded_by_the_system());
        let journal = journal
            .map(|spec| Journal::open(spec, count, metrics.journal.clone(), dice.clone(), metrics.defects.clone()))
            .transpose()
            .map_err(StartError::Journal)?;
        metrics.reloads.took(table.generation);
        let shared = Arc::new(Shared {
            tables: Tables::new(table),
            decider,
            metrics,
            pressure: Arc::default(),
            queue: Queue::default(),
            bars: Bars::default(),
            bounds,
            dice,
            ready: AtomicBool::new(true),
            stopping: watch::Sender::new(false),
            ending: watch::Sender::new(false),
        });
        let defects = shared.metrics.defects.clone();
        shared.pressure.watch(shared.bounds.memory_bytes, defects).map_err(StartError::Io)?;
        let resolver = Arc::new(Resolver::default());
        let threads = (0..count)
            .map(|index| {
                let lane = journal.as_ref().and_then(|journal| journal.lane(index));
                Thread::start(index, count, shared.clone(), resolver.clone(), lane, hooks.clone())
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartError::Io)?;
        Ok(Self { shared, threads, journal })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// The thread with the fewest exchanges open.
    pub fn thread(&self) -> Option<&Thread> {
        self.threads.iter().min_by_key(|thread| thread.io.open.load(Ordering::Relaxed))
    }

    /// Serves the edge door on a bound, listening socket. Every thread accepts from it.
    pub fn serve(&self, listener: &TcpListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        for thread in &self.threads {
            let listener = listener.try_clone()?;
            let io = thread.io.clone();
            thread.handle.spawn(async move { doors::http::serve(io, listener).await });
        }
        Ok(())
    }

    /// Serves metrics and health on a bound, listening socket of their own.
    pub fn serve_admin(&self, listener: &TcpListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        if let Some(thread) = self.threads.first() {
            let listener = listener.try_clone()?;
            let shared = self.shared.clone();
            thread.handle.spawn(async move { doors::admin::serve(shared, listener).await });
        }
        Ok(())
    }

    /// Replaces the table; running exchanges keep theirs.
    pub fn swap(&self, table: Table) {
        self.shared.metrics.reloads.took(table.generation);
        self.shared.tables.swap(table);
    }

    /// `/readyz` turns to 503.
    pub fn unready(&self) {
        self.shared.ready.store(false, Ordering::Relaxed);
    }

    /// Doors stop accepting and close connections as their exchanges end.
    pub fn stop(&self) {
        self.unready();
        self.shared.stopping.send_replace(true);
    }

    /// Replies that still run end now, each with an error in its client's dialect.
    pub fn end(&self) {
        self.shared.ending.send_replace(true);
    }

    /// Exchanges under way at all doors.
    pub fn in_flight(&self) -> usize {
        self.shared.metrics.in_flight.load(Ordering::Relaxed)
    }
}
