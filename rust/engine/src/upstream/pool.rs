//! Keep-alive connections to one origin, on one I/O thread.
//!
//! The one used last serves next. The surprise: nothing is retried here, not even on a connection that its peer had closed
//! while it was idle; only the attempt knows whether its request may be sent twice.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::lease::{Connection, Lease};
use super::wire::{Traffic, Transport, Wire, bound_unconfirmed};
use super::{Origin, Resolver};
use crate::clocks::seconds;
use crate::defect::{self, Defects};
use crate::dice::Dice;
use crate::failpoint;
use crate::io::Tables;
use crate::journal::Lane;
use crate::table::Table;

/// RFC 8305 recommends 250 ms and allows 100; this is between.
const HEAD_START: Duration = Duration::from_millis(150);
/// A fraction of the usual idle limit, so that a warm connection is replaced before it is too old to use.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How long a connection taken from the pool may take to be ready: its task has only to see the end of a reply that was
/// already read. One that is not (its peer leaves half of an earlier request unread) is closed.
const READY_WITHIN: Duration = Duration::from_millis(20);
/// Servers close connections that nobody used for seconds, not for less: one that ends right after its last use was not
/// idle, and its peer may well have read the request.
const RESTED_AFTER: Duration = Duration::from_secs(1);
/// Looking for a connection that is ready may take two seconds in all; then a new one is opened.
const TRIES: usize = 100;
/// What one write of a request takes, at most. For reads [`Wire`] has a bound of its own.
const WRITE_BUFFER: usize = 512 * 1024;
/// Idle connections kept per origin and thread; more are closed.
const MAX_IDLE: usize = 1024;

/// Why there is no connection. Nothing was written, so trying elsewhere is always right.
#[derive(Debug)]
pub enum ConnectError {
    Resolve,
    Connect(io::Error),
    Tls,
}

/// See the module.
pub struct Pool {
    /// The place with the settings of the latest table that asked.
    origin: ArcSwap<Origin>,
    resolver: Arc<Resolver>,
    dice: Arc<Dice>,
    lane: Option<Arc<Lane>>,
    defects: Defects,
    idle: Mutex<VecDeque<Connection>>,
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other end has gone without a word: whatever else is kept to it leads nowhere either.
    pub fn forget_idle(&self) {
        self.lock().clear();
    }

    pub(super) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push_back(connection);
        }
    }

    /// The connection used last first: it is the least likely to have been closed.
    fn take(&self, now: Instant) -> Option<Connection> {
        let limit = seconds(self.origin.load().timeouts.pool_idle_timeout_s);
        let mut idle = self.lock();
        while let Some(connection) = idle.pop_back() {
            if connection.usable(now, limit) {
                return Some(connection);
            }
        }
        None
    }

    /// An idle connection that can take a request at once, if the one used last is such.
    pub fn ready(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        failpoint::pass("pool.ready");
        let connection = self.take(now)?;
        if connection.sender.is_ready() {
            return Some(self.lend(connection, true, now));
        }
        // Its task has not seen the end of the last reply yet; `lease` waits for it.
        self.put(connection);
        None
    }

    /// A connection, an idle one unless `fresh` is asked for.
    pub async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, ConnectError> {
        if !fresh {
            let now = Instant::now();
            for mut connection in std::iter::from_fn(|| self.take(now)).take(TRIES) {
                // Its task may not have seen the end of the last reply yet; a closed one answers with an error.
                if matches!(timeout(READY_WITHIN, connection.sender.ready()).await, Ok(Ok(()))) {
                    return Ok(self.lend(connection, true, now));
                }
            }
        }
        let connection = self.connect().await?;
        Ok(self.lend(connection, false, Instant::now()))
    }

    fn lend(self: &Arc<Self>, connection: Connection, reused: bool, now: Instant) -> Lease {
        let received_before = connection.traffic.received();
        let rested = reused && now.saturating_duration_since(connection.idle_since) >= RESTED_AFTER;
        Lease { connection: Some(connection), pool: self.clone(), reused, rested, received_before }
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let origin = self.origin.load_full();
        let timeouts = &origin.timeouts;
        let found = self.resolver.resolve(&origin.host, origin.port, seconds(timeouts.dns_timeout_s)).await;
        let addresses = found.map_err(|_| ConnectError::Resolve)?;
        let stream = timeout(seconds(timeouts.connect_timeout_s), dial(&addresses))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))
            .and_then(|dialled| dialled)
            .map_err(ConnectError::Connect)?;
        // Whoever takes that long to confirm a byte would not have been connected to either.
        bound_unconfirmed(&stream, seconds(timeouts.connect_timeout_s));
        failpoint::pass("pool.connect");
        let transport = match &origin.tls {
            None => Transport::plain(stream),
            Some(tls) => {
                let connector = tokio_rustls::TlsConnector::from(tls.config.clone());
                let shaken =
                    timeout(seconds(timeouts.tls_timeout_s), connector.connect(tls.name.clone(), stream)).await;
                let stream = shaken.map_err(|_| ConnectError::Tls)?.map_err(|_| ConnectError::Tls)?;
                Transport::tls(stream)
            }
        };
        let traffic = Arc::new(Traffic::default());
        let stream = Wire::new(transport, traffic.clone(), self.lane.clone());
        let (sender, driver) = http1::Builder::new()
            .max_headers(100)
            .max_buf_size(WRITE_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ConnectError::Connect(io::Error::other(error)))?;
        let (watched, defects) = (traffic.clone(), self.defects.clone());
        tokio::spawn(async move {
            // How a connection ends is told to whoever uses it; an idle one that ends concerns nobody.
            if defect::outlived(Box::pin(driver)).await.is_none() {
                watched.defective();
                defects.note();
            }
        });
        let now = Instant::now();
        let expires = now + seconds(timeouts.pool_max_age_s * (0.8 + 0.4 * self.dice.unit()));
        Ok(Connection { sender, traffic, expires, idle_since: now })
    }

    /// Closes what has been idle for too long, then opens connections until `wanted` are idle.
    async fn tend(self: &Arc<Self>, wanted: usize) {
        let now = Instant::now();
        let limit = seconds(self.origin.load().timeouts.pool_idle_timeout_s);
        self.lock().retain(|connection| connection.usable(now, limit));
        while self.lock().len() < wanted {
            match self.connect().await {
                Ok(connection) => self.put(connection),
                // The next request will meet the same error and say so; warming is only a favour.
                Err(_) => return,
            }
        }
    }
}

/// Happy eyeballs (RFC 8305): addresses in order, each with a head start over the next, first to connect wins.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    async fn one(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // Without it a small second write waits for the peer's delayed acknowledgement: 40 ms.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
    if let [only] = addresses {
        return one(*only).await;
    }
    let mut racing = JoinSet::new();
    let mut waiting = addresses.iter();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            racing.spawn(one(*address));
        }
        let next = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(HEAD_START).await;
        };
        tokio::select! {
            ended = racing.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) => {}
                None => return Err(last),
            },
            () = next => {}
        }
    }
}

/// The pools of one I/O thread.
pub struct Pools {
    resolver: Arc<Resolver>,
    dice: Arc<Dice>,
    lane: Option<Arc<Lane>>,
    defects: Defects,
    /// By the number of their place.
    places: Mutex<Vec<Option<Arc<Pool>>>>,
}

impl Pools {
    pub(crate) fn new(resolver: Arc<Resolver>, dice: Arc<Dice>, lane: Option<Arc<Lane>>, defects: Defects) -> Self {
        Self { resolver, dice, lane, defects, places: Mutex::default() }
    }

    pub fn of(&self, origin: &Arc<Origin>) -> Arc<Pool> {
        let mut pools = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() <= origin.id {
            pools.resize(origin.id + 1, None);
        }
        let fresh = || {
            Arc::new(Pool {
                origin: ArcSwap::new(origin.clone()),
                resolver: self.resolver.clone(),
                dice: self.dice.clone(),
                lane: self.lane.clone(),
                defects: self.defects.clone(),
                idle: Mutex::default(),
            })
        };
        match pools.get_mut(origin.id) {
            Some(place) => {
                let pool = place.get_or_insert_with(fresh);
                // After a reload the connections stay and the clocks change.
                if !Arc::ptr_eq(&pool.origin.load(), origin) {
                    pool.origin.store(origin.clone());
                }
                pool.clone()
            }
            None => fresh(),
        }
    }

    /// Keeps pools tidy for as long as the thread lives; `threads` share each origin's `min_idle`.
    pub async fn tend(&self, threads: usize, tables: &Tables) {
        let mut tick = tokio::time::interval(TEND_EVERY);
        loop {
            tick.tick().await;
            failpoint::pass("pool.tend");
            for pool in self.still_called(&tables.current()) {
                pool.tend((pool.origin.load().min_idle as usize).div_ceil(threads.max(1))).await;
            }
        }
    }

    /// The pools of a table. Those of no target any more are let go, and with them their idle connections; what an
    /// exchange still has on loan ends with it.
    fn still_called(&self, table: &Table) -> Vec<Arc<Pool>> {
        let called: HashSet<usize> = table.origins().map(|origin| origin.id).collect();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, place) in places.iter_mut().enumerate() {
            if !called.contains(&id) {
                *place = None;
            }
        }
        places.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::clocks::Patience;
    use crate::table::{Kind, TableSpec};
    use crate::tests::rig::table;

    fn compiled(mut spec: TableSpec) -> Table {
        for provider in &mut spec.providers {
            provider.min_idle = 1;
        }
        Table::compile(spec).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_a_reload_removes_is_no_longer_kept_warm() {
        let (removed, kept) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addresses = [removed.local_addr().unwrap(), kept.local_addr().unwrap()];
        let first = compiled(table(1, &addresses, &Patience::default()));
        let pools = Pools::new(Arc::default(), Arc::new(Dice::seeded_by_the_system()), None, Defects::default());
        for target in &first.targets {
            let Kind::Http(origin) = &target.kind else { panic!("it has an address") };
            pools.of(origin);
        }
        let tables = Tables::new(first);
        let watching = async {
            let (mut warmed, _) = removed.accept().await.unwrap();
            let (mut other, _) = kept.accept().await.unwrap();
            tables.swap(compiled(table(2, &addresses[1..], &Patience::default())));
            assert_eq!(warmed.read(&mut [0; 8]).await.unwrap(), 0, "its connection is closed");
            assert!(timeout(2 * TEND_EVERY, removed.accept()).await.is_err(), "and not replaced");
            assert!(timeout(TEND_EVERY, other.read(&mut [0; 8])).await.is_err(), "the other stays");
        };
        tokio::select! {
            () = pools.tend(1, &tables) => {}
            () = watching => {}
        }
    }
}
