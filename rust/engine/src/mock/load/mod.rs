//! The load generator: one thread, its own sockets, and latencies from the moment a request was *due*.
//!
//! Open loop: requests fall due at a fixed rate whatever the server does, so a slow server shows as latency and backlog
//! instead of as fewer requests ("coordinated omission", Gil Tene). Closed loop: as many connections as told, each
//! sending again when it has its answer, for saturation and for open streams. Nothing is ever retried.

mod generator;
mod histogram;
mod lane;
mod response;
mod tally;
mod timer;
mod workloads;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

pub use generator::run;
pub use histogram::Percentiles;
pub use tally::{LoadReport, ShapeReport, StreamReport};
pub use workloads::Workload;

/// One measurement.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// What is sent, drawn by weight.
    pub shapes: Vec<Shape>,
    pub mode: Mode,
    /// Runs before the window, and is not counted.
    pub warm_up: Duration,
    pub window: Duration,
    /// A request that takes longer is given up, and counts as an error.
    pub timeout: Duration,
    /// How long an open loop waits after the window for what is still due.
    pub drain: Duration,
    /// Draws the order of shapes.
    pub seed: u64,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Shape {
    pub name: String,
    pub weight: u32,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The answer is read as a stream, and must have a stream's end.
    pub stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Requests a second, over at most so many connections.
    Open { rate: f64, most_connections: usize },
    /// The connections begin one after another over the ramp, so that streams do not run in step.
    Closed { connections: usize, ramp: Duration },
}

impl Load {
    /// A measurement with the window of the benchmark rounds: 3 s after 1 s of warm-up.
    pub fn new(address: SocketAddr, shapes: Vec<Shape>, mode: Mode) -> Self {
        Self {
            address,
            shapes,
            mode,
            warm_up: Duration::from_secs(1),
            window: Duration::from_secs(3),
            timeout: Duration::from_secs(30),
            drain: Duration::from_secs(2),
            seed: 1,
        }
    }
}

impl Shape {
    /// The request on the wire.
    fn render(&self, address: SocketAddr) -> Bytes {
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.path,
            self.body.len()
        );
        for (name, value) in &self.headers {
            request.push_str(name);
            request.push_str(": ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        [request.as_bytes(), &self.body].concat().into()
    }
}
