//! The I/O threads: one current-thread runtime each, with its own upstream pools and its own desk for questions.
//!
//! Connections never change threads, and nothing here ever attaches to Python.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admission::Queue;
use crate::bars::Bars;
use crate::decider::{Decider, Desk};
use crate::defect::{self, Vital, kept};
use crate::dice::Dice;
use crate::failpoint;
use crate::journal::Lane;
use crate::metrics::Metrics;
use crate::pressure::{Pressure, Step};
use crate::share;
use crate::table::Table;
use crate::upstream::{Pools, Resolver};

/// Bounds of a process. Each says in its name what it counts.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// One request body; more is answered 413.
    pub body_bytes: usize,
    /// All request bodies together; more is answered 503.
    pub all_body_bytes: usize,
    /// Exchanges under way; more wait a little and are answered 503.
    pub in_flight: usize,
    /// Memory this process may take; 0 asks the system for the limit of its control group.
    pub memory_bytes: usize,
    /// Connections at the edge door; more are closed at once.
    pub connections: usize,
    /// Head complete, and first byte of a fresh connection, seconds.
    pub head_timeout_s: f64,
    /// First byte of a body, seconds.
    pub body_start_timeout_s: f64,
    /// After this grace a body must come at `body_floor_bytes_s` on average.
    pub body_grace_s: f64,
    pub body_floor_bytes_s: u64,
    /// A whole body, seconds.
    pub body_timeout_s: f64,
    /// An idle keep-alive connection, seconds.
    pub keep_alive_s: f64,
    /// A client that takes no bytes, seconds.
    pub write_stall_s: f64,
    /// Streams of one HTTP/2 connection.
    pub h2_streams: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body_bytes: 32 * 1024 * 1024,
            all_body_bytes: 512 * 1024 * 1024,
            in_flight: 12_000,
            memory_bytes: 0,
            connections: 16_384,
            head_timeout_s: 10.0,
            body_start_timeout_s: 10.0,
            body_grace_s: 5.0,
            body_floor_bytes_s: 1024,
            body_timeout_s: 120.0,
            // Above the 60 s that load balancers commonly keep, so that they close first.
            keep_alive_s: 75.0,
            write_stall_s: 30.0,
            h2_streams: 128,
        }
    }
}

/// The current table and the one before, for plans made just before a swap.
pub struct Tables {
    both: ArcSwap<(Arc<Table>, Option<Arc<Table>>)>,
}

impl Tables {
    pub fn new(table: Table) -> Self {
        Self { both: ArcSwap::from_pointee((Arc::new(table), None)) }
    }

    pub fn current(&self) -> Arc<Table> {
        self.both.load().0.clone()
    }

    /// The table of a generation, while it is remembered.
    pub fn of(&self, generation: u64) -> Option<Arc<Table>> {
        let both = self.both.load();
        if both.0.generation == generation {
            return Some(both.0.clone());
        }
        both.1.as_ref().filter(|table| table.generation == generation).cloned()
    }

    pub fn swap(&self, mut table: Table) {
        let old = self.current();
        table.inherit(&old);
        self.both.store(Arc::new((Arc::new(table), Some(old))));
    }
}

/// What all threads of a process share.
pub struct Shared {
    pub tables: Tables,
    pub decider: Arc<dyn Decider>,
    pub metrics: Metrics,
    pub pressure: Arc<Pressure>,
    pub queue: Queue,
    pub bars: Bars,
    pub bounds: Bounds,
    pub dice: Arc<Dice>,
    /// False while the gateway is stopping: `/readyz` says so, and doors close connections after their reply.
    pub ready: AtomicBool,
    /// Turns true when doors must stop accepting.
    pub stopping: watch::Sender<bool>,
    /// Turns true when the time for running replies is over, too.
    pub ending: watch::Sender<bool>,
}

impl Shared {
    /// A stop has begun: connections over HTTP/1 end with their reply, so that clients and balancers go elsewhere while
    /// they are still served here.
    pub fn leaving(&self) -> bool {
        !self.ready.load(Ordering::Relaxed)
    }

    /// Waits until the time for running exchanges is over.
    pub async fn over(&self) {
        let mut ending = self.ending.subscribe();
        // A closed channel says that the engine is gone, which is an end as well.
        let _ = ending.wait_for(|ending| *ending).await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// One I/O thread, as its tasks see it.
pub struct Io {
    pub shared: Arc<Shared>,
    pub(crate) pools: Pools,
    pub(crate) desk: Desk,
    /// Where attempts of this thread are put on record; `None` where the operator wants no journal.
    pub(crate) lane: Option<Arc<Lane>>,
    /// Exchanges handed to this thread and not yet over.
    pub open: AtomicUsize,
}

impl Io {
    /// Starts what every exchange of this thread leans on. None of it ends before the thread.
    pub(crate) fn look_after(self: &Arc<Self>) {
        let io = self.clone();
        tokio::spawn(async move {
            kept(&io.shared.metrics.defects, || io.desk.mailbox.clone().run(io.shared.decider.clone())).await;
        });
        let io = self.clone();
        tokio::spawn(async move {
            kept(&io.shared.metrics.defects, || io.desk.sweep.clone().run()).await;
        });
        let io = self.clone();
        tokio::spawn(async move {
            kept(&io.shared.metrics.defects, || io.shared.pressure.clone().pulse()).await;
        });
    }
}

/// A running I/O thread. Dropping it lets the thread end with its process.
pub struct Thread {
    pub io: Arc<Io>,
    pub handle: Handle,
}

/// Name lookups of one I/O thread at a time, the only thing that blocks: a resolver that hangs must not cost a thread
/// for every request that waits for it.
const NAME_LOOKUPS: usize = 8;

/// What whoever embeds the engine does on its threads.
#[derive(Clone)]
pub struct Hooks {
    /// On an I/O thread just before it parks: the moment to ring for what was queued meanwhile.
    pub on_park: Arc<dyn Fn() + Send + Sync>,
    /// On a thread that an I/O thread starts for what takes long, before it does any of it.
    pub on_helper: Arc<dyn Fn() + Send + Sync>,
}

impl Thread {
    /// Starts thread number `index` of `count`.
    pub(crate) fn start(
        index: usize,
        count: usize,
        shared: Arc<Shared>,
        resolver: Arc<Resolver>,
        lane: Option<Arc<Lane>>,
        Hooks { on_park, on_helper }: Hooks,
    ) -> std::io::Result<Self> {
        let (dice, defects) = (shared.dice.clone(), shared.metrics.defects.clone());
        let io = Arc::new(Io {
            shared,
            pools: Pools::new(resolver, dice, lane.clone(), defects.clone()),
            desk: Desk::default(),
            lane: lane.clone(),
            open: AtomicUsize::new(0),
        });
        let (started, handle) = std::sync::mpsc::channel();
        let inner = io.clone();
        std::thread::Builder::new().name(format!("fr-io-{index}")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(NAME_LOOKUPS)
                .on_thread_start(move || on_helper())
                .on_thread_park(move || {
                    failpoint::pass("thread.park");
                    if defect::caught(|| on_park()).is_none() {
                        defects.note();
                    }
                    if let Some(lane) = &lane {
                        lane.settle_up();
                    }
                })
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(runtime.handle().clone()));
            let _vital = Vital("requests");
            runtime.block_on(async move {
                inner.look_after();
                kept(&inner.shared.metrics.defects, || inner.pools.tend(count, &inner.shared.tables)).await;
            });
        })?;
        let handle = handle.recv().map_err(|_| std::io::Error::other("the I/O thread ended at its start"))??;
        Ok(Self { io, handle })
    }
}

/// A body above this is refused where memory is short. Prompts are shorter; what is longer holds images or files.
const LARGE_BODY: usize = 1024 * 1024;

/// Which bound a [`Share`] belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    InFlight,
    BodyBytes,
    /// Announced by heads, and not come yet.
    PromisedBytes,
}

/// Units of a process-wide bound, given back when dropped.
#[derive(Debug)]
pub struct Share {
    shared: Arc<Shared>,
    of: Of,
    held: usize,
}

impl Share {
    /// Takes `wanted` units, or nothing when the bound would be passed.
    pub fn take(shared: &Arc<Shared>, of: Of, wanted: usize) -> Option<Self> {
        let mut share = Self::none(shared, of);
        share.grow(wanted).then_some(share)
    }

    pub(crate) fn none(shared: &Arc<Shared>, of: Of) -> Self {
        Self { shared: shared.clone(), of, held: 0 }
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The same by somebody who goes on waiting: nobody is turned away yet.
    pub(crate) fn try_take(shared: &Arc<Shared>, of: Of, wanted: usize) -> Option<Self> {
        let mut share = Self::none(shared, of);
        share.reserve(wanted).then_some(share)
    }

    /// Takes more; false (and nothing taken) when that would pass the bound.
    pub fn grow(&mut self, wanted: usize) -> bool {
        let within = self.reserve(wanted);
        self.told(within)
    }

    /// The same for bytes whose promise was given before memory was short.
    pub(crate) fn grow_as_promised(&mut self, wanted: usize) -> bool {
        let within = self.within(wanted);
        self.told(within)
    }

    /// Gives back so many of those held.
    pub(crate) fn give_back(&mut self, count: usize) {
        let count = count.min(self.held);
        share::give_back(self.bound().0, count);
        self.held -= count;
    }

    fn told(&self, within: bool) -> bool {
        if !within {
            self.shared.metrics.shed.fetch_add(1, Ordering::Relaxed);
        }
        within
    }

    fn reserve(&mut self, wanted: usize) -> bool {
        let large = !matches!(self.of, Of::InFlight) && self.held.saturating_add(wanted) > LARGE_BODY;
        if large && self.shared.pressure.at(Step::Bodies) {
            return false;
        }
        self.within(wanted)
    }

    fn within(&mut self, wanted: usize) -> bool {
        let (counter, limit) = self.bound();
        let within = share::take(counter, wanted, limit);
        if within {
            self.held += wanted;
        }
        within
    }

    fn bound(&self) -> (&AtomicUsize, usize) {
        match self.of {
            Of::InFlight => (&self.shared.metrics.in_flight, self.shared.bounds.in_flight),
            Of::BodyBytes => (&self.shared.metrics.body_bytes, self.shared.bounds.all_body_bytes),
            Of::PromisedBytes => {
                let held = self.shared.metrics.body_bytes.load(Ordering::Relaxed);
                (&self.shared.metrics.promised_bytes, self.shared.bounds.all_body_bytes.saturating_sub(held))
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        share::give_back(self.bound().0, self.held);
        // One that got nothing gives nothing back, and must not wake itself.
        if self.held > 0 && matches!(self.of, Of::InFlight) {
            self.shared.queue.freed();
        }
    }
}
