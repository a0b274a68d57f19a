//! What all connections of one upstream share: the log, the rules, the counts.
//!
//! Locks are held for a push or a look, never across a wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Notify;

use super::embeddings;
use super::log::{Log, Row, Sent};
use super::matching::Rules;
use super::request::Ask;
use super::script::Script;

/// Rendered embedding replies that are kept; a benchmark asks for one again and again.
const MOST_EMBEDDINGS: usize = 8;

/// What all connections of one upstream share.
#[derive(Debug)]
pub(super) struct Shared {
    log: Mutex<Log>,
    rules: ArcSwap<Rules>,
    news: Notify,
    embeddings: Mutex<HashMap<EmbeddingsShape, Bytes>>,
    connections: AtomicU64,
    open_connections: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
}

/// What an embeddings reply depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct EmbeddingsShape {
    model: String,
    inputs: usize,
    dimensions: usize,
    as_base64: bool,
    tokens: Option<u64>,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Requests that were read and logged.
    pub accepted: u64,
    /// Of those, being answered now.
    pub open: u64,
    pub connections: u64,
    pub open_connections: u64,
}

impl Shared {
    pub(super) fn new(script: Script) -> Self {
        Self {
            log: Mutex::default(),
            rules: ArcSwap::from_pointee(Rules::new(script)),
            news: Notify::new(),
            embeddings: Mutex::default(),
            connections: AtomicU64::new(0),
            open_connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
        }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    pub(super) fn set_script(&self, script: Script) {
        self.rules.store(Arc::new(Rules::new(script)));
    }

    pub(super) fn news(&self) -> &Notify {
        &self.news
    }

    /// Requests being answered now.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            accepted: self.accepted.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            open_connections: self.open_connections.load(Ordering::Relaxed),
        }
    }

    /// Counts a connection in; gives its number.
    pub(super) fn connect(&self) -> u64 {
        self.open_connections.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn disconnect(&self) {
        self.open_connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Logs a request; gives its row's id.
    pub(super) fn accept(&self, row: Row) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let id = self.log().push(row);
        self.news.notify_waiters();
        id
    }

    /// A request that was accepted is over.
    pub(super) fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn record(&self, row: u64, sent: Sent) {
        self.log().record(row, sent);
        self.news.notify_waiters();
    }

    /// The embeddings reply to a request, rendered once per shape.
    pub(super) fn embeddings(&self, ask: &Ask, dimensions: usize, usage: bool) -> Bytes {
        let shape = EmbeddingsShape {
            model: ask.wants.model.clone(),
            inputs: ask.wants.inputs,
            dimensions,
            as_base64: ask.wants.as_base64,
            tokens: usage.then(|| ask.prompt_tokens()),
        };
        let mut known = self.embeddings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = known.get(&shape) {
            return reply.clone();
        }
        if known.len() >= MOST_EMBEDDINGS {
            known.clear();
        }
        let reply: Bytes =
            embeddings::render(&shape.model, shape.inputs, dimensions, shape.as_base64, shape.tokens).into();
        known.insert(shape, reply.clone());
        reply
    }
}
