//! The scripted upstream and the load generator that tests and benchmarks share.
//!
//! Without a script it is a well-behaved server (OpenAI chat, embeddings and models; Anthropic messages). A
//! [`Script`] makes it misbehave to the byte, and its log tells what arrived, what was sent, and when the peer left.

mod check;
mod chunked;
mod clock;
mod control;
mod embeddings;
mod head;
pub mod load;
mod log;
mod matching;
mod play;
mod reply;
mod request;
mod script;
mod server;
mod shared;
mod template;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use check::ScriptError;
pub use clock::monotonic_ns;
pub use log::{Ended, Row, Sent};
pub use script::*;
pub use shared::Stats;

use shared::Shared;

/// A scripted upstream on a thread of its own, for tests: it ends when this value is dropped.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped to end the thread's runtime.
    running: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Mock {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script));
        let (running, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("mock-upstream".into()).spawn(move || {
            // The sender is dropped, never used: either way the wait is over. Nothing is left to tell an error to;
            // tests see a refused connection.
            let _ = block_on(async {
                tokio::select! {
                    served = serve_shared(listener, served) => served,
                    _ = stopped => Ok(()),
                }
            });
        })?;
        Ok(Self { address, shared, running: Some(running), thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The log as it is now, oldest first.
    pub fn rows(&self) -> Vec<Row> {
        self.shared.log().rows().cloned().collect()
    }

    pub fn clear(&self) {
        self.shared.log().clear();
    }

    /// Waits until the log is as described, and gives it; `None` when `patience` is over first.
    pub async fn wait_for(&self, patience: Duration, described: impl Fn(&[Row]) -> bool) -> Option<Vec<Row>> {
        let seen = async {
            loop {
                let change = self.shared.news().notified();
                tokio::pin!(change);
                // Registered before looking, so that no change falls in between.
                change.as_mut().enable();
                let rows = self.rows();
                if described(&rows) {
                    return rows;
                }
                change.await;
            }
        };
        tokio::time::timeout(patience, seen).await.ok()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            // A panic in there has already been printed.
            let _ = thread.join();
        }
    }
}

/// Serves on the current runtime until the future is dropped.
pub async fn serve(listener: TcpListener, script: Script) -> io::Result<()> {
    serve_shared(listener, Arc::new(Shared::new(script))).await
}

/// Serves all listeners on this thread, for as long as the process lives.
pub fn run(listeners: Vec<TcpListener>, script: Script) -> io::Result<()> {
    let shared = Arc::new(Shared::new(script));
    block_on(async move {
        let mut servers = tokio::task::JoinSet::new();
        for listener in listeners {
            servers.spawn(serve_shared(listener, Arc::clone(&shared)));
        }
        match servers.join_next().await {
            Some(ended) => ended.map_err(io::Error::other)?,
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "the mock needs at least one listener")),
        }
    })
}

async fn serve_shared(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    server::serve(tokio::net::TcpListener::from_std(listener)?, shared).await
}

fn block_on<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?.block_on(future)
}
