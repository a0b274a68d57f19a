//! Upstream connections: one keep-alive pool per origin and I/O thread, over our own connector.
//!
//! The rule: nothing here decides whether a request is sent again. A pool opens, lends and takes back connections and
//! says exactly how far a failed one got; `attempt` decides.

mod body;
mod dns;
mod lease;
mod pool;
mod tls;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;

use crate::clocks::Timeouts;
use crate::table::ProviderSpec;

pub use body::Outgoing;
pub use dns::Resolver;
pub use lease::{Lease, SendError};
pub use pool::{ConnectError, Pool, Pools};

/// Scheme, host and port of a provider, prepared once per table.
pub struct Origin {
    host: Arc<str>,
    port: u16,
    tls: Option<TlsOrigin>,
    authority: HeaderValue,
    /// Number of the place: equal for origins of different tables that mean the same connections.
    id: usize,
    pub(crate) min_idle: u32,
    pub(crate) timeouts: Timeouts,
}

/// Host, port and TLS configuration (by address; configurations are shared process-wide).
type Place = (Arc<str>, u16, usize);

static PLACES: LazyLock<Mutex<HashMap<Place, usize>>> = LazyLock::new(Mutex::default);

struct TlsOrigin {
    name: ServerName<'static>,
    config: Arc<rustls::ClientConfig>,
}

impl Origin {
    /// `host` is a name or an IP address (IPv6 with or without brackets). Errors name the field at fault.
    pub fn new(provider: &ProviderSpec, tls: bool) -> Result<Arc<Self>, String> {
        let port = provider.port;
        let bare = provider.host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err("host: it is empty".into());
        }
        let shown = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let default_port = if tls { 443 } else { 80 };
        let authority = if port == default_port { shown } else { format!("{shown}:{port}") };
        let tls = if tls {
            let name = ServerName::try_from(bare.to_owned())
                .map_err(|_| format!("host: `{bare}` is no name a certificate can carry"))?;
            Some(TlsOrigin { name, config: tls::config(provider.ca_file.as_deref())? })
        } else {
            None
        };
        let host: Arc<str> = bare.into();
        let id = {
            let place = (host.clone(), port, tls.as_ref().map_or(0, |tls| Arc::as_ptr(&tls.config) as usize));
            let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
            let next = places.len();
            *places.entry(place).or_insert(next)
        };
        Ok(Arc::new(Self {
            host,
            port,
            tls,
            id,
            authority: HeaderValue::from_str(&authority).map_err(|_| format!("host: `{bare}` is no host name"))?,
            min_idle: provider.min_idle,
            timeouts: provider.timeouts.clone(),
        }))
    }

    /// Equal for origins of different tables that mean the same connections.
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// The `host` header.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}
