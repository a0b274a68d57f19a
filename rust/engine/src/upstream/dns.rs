//! Names to addresses: the system's resolver behind a cache.
//!
//! A stale answer beats none: when a name stops resolving, the last addresses are used for up to an hour. An answer
//! is fresh for 30 s (`getaddrinfo` tells no time to live) and refreshed in the background from then on.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between the clamp's 5 s and 300 s: failover records are commonly published with 30 to 60 s.
const FRESH: Duration = Duration::from_secs(30);
const USABLE: Duration = Duration::from_secs(3600);

struct Entry {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
    refreshing: bool,
}

/// One per process, shared by all I/O threads.
#[derive(Default)]
pub struct Resolver {
    entries: Mutex<HashMap<(Arc<str>, u16), Entry>>,
}

impl Resolver {
    pub async fn resolve(
        self: &Arc<Self>,
        host: &Arc<str>,
        port: u16,
        limit: Duration,
    ) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(address, port)]));
        }
        let now = Instant::now();
        if let Some((addresses, stale)) = self.cached(host, port, now) {
            if stale {
                let (resolver, host) = (self.clone(), host.clone());
                tokio::spawn(async move { resolver.look_up(host, port, limit).await });
            }
            return Ok(addresses);
        }
        self.look_up(host.clone(), port, limit).await
    }

    /// What is known, and whether this caller should refresh it.
    fn cached(&self, host: &Arc<str>, port: u16, now: Instant) -> Option<(Arc<[SocketAddr]>, bool)> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(&(host.clone(), port))?;
        let age = now.saturating_duration_since(entry.at);
        if age > USABLE {
            return None;
        }
        let refresh = age > FRESH && !entry.refreshing;
        entry.refreshing |= refresh;
        Some((entry.addresses.clone(), refresh))
    }

    async fn look_up(&self, host: Arc<str>, port: u16, limit: Duration) -> io::Result<Arc<[SocketAddr]>> {
        let found = match tokio::time::timeout(limit, tokio::net::lookup_host((&*host, port))).await {
            Ok(Ok(addresses)) => Ok(interleave(addresses.collect())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time")),
        };
        self.learn((host, port), found)
    }

    /// Takes an answer in. Whatever it is, the next stale look may ask again.
    fn learn(&self, name: (Arc<str>, u16), found: io::Result<Vec<SocketAddr>>) -> io::Result<Arc<[SocketAddr]>> {
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = found.and_then(|found| if found.is_empty() { Err(nothing()) } else { Ok(found) });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(found) => {
                let addresses: Arc<[SocketAddr]> = found.into();
                let entry = Entry { addresses: addresses.clone(), at: Instant::now(), refreshing: false };
                entries.insert(name, entry);
                Ok(addresses)
            }
            Err(error) => {
                if let Some(entry) = entries.get_mut(&name) {
                    entry.refreshing = false;
                }
                Err(error)
            }
        }
    }
}

/// IPv6 and IPv4 in turn, so that happy eyeballs (RFC 8305, section 4) meets the other family second.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut mixed = Vec::with_capacity(six.len() + four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        match (six.next(), four.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_lost() {
        let addresses: Vec<SocketAddr> =
            ["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1", "[::1]:1"].iter().map(|text| text.parse().unwrap()).collect();
        let mixed = interleave(addresses);
        assert_eq!(mixed.iter().map(SocketAddr::is_ipv6).collect::<Vec<_>>(), [true, false, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_stops_resolving_keeps_its_addresses_for_an_hour_and_is_asked_for_again() {
        let (resolver, host): (_, Arc<str>) = (Resolver::default(), "h".into());
        let address: SocketAddr = "1.1.1.1:1".parse().unwrap();
        resolver.learn((host.clone(), 1), Ok(vec![address])).unwrap();
        assert!(!resolver.cached(&host, 1, Instant::now()).unwrap().1, "fresh");
        for answer in [Ok(Vec::new()), Err(io::Error::other("no answer"))] {
            tokio::time::advance(FRESH * 2).await;
            let (known, refresh) = resolver.cached(&host, 1, Instant::now()).unwrap();
            assert_eq!((known.as_ref(), refresh), (&[address][..], true));
            assert!(!resolver.cached(&host, 1, Instant::now()).unwrap().1, "one refreshes, the others go on");
            assert!(resolver.learn((host.clone(), 1), answer).is_err());
        }
        tokio::time::advance(USABLE).await;
        assert!(resolver.cached(&host, 1, Instant::now()).is_none());
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let resolver = Arc::new(Resolver::default());
        let found = resolver.resolve(&"::1".into(), 80, Duration::from_secs(1)).await.unwrap();
        assert_eq!(found.as_ref(), ["[::1]:80".parse().unwrap()]);
    }
}
