//! fastroute-engine: upstream connections, attempts, clocks and the edge door, on tokio.
//!
//! The engine owns bytes, sockets and timers. It asks one question per request through [`decider::Decider`] and tells
//! one story when the exchange is over; who answers (Python, a test's closure) is not its concern.
#![forbid(unsafe_code)]

pub mod admission;
mod attempt;
mod clocks;
pub mod decider;
mod delivery;
pub mod dice;
pub mod doors;
mod echo;
mod engine;
mod exchange;
mod identity;
mod ingress;
mod io;
mod metrics;
pub mod mock;

mod outcome;
mod pressure;
mod problem;
mod table;
#[cfg(test)]
mod tests;
mod upstream;

pub use clocks::{Ambiguous, Patience, Timeouts};
pub use delivery::{BrokenOff, ReplyBody};
pub use engine::{Engine, StartError};
pub use exchange::{by_snapshot, contained, run};
pub use identity::fresh as fresh_request_id;
pub use ingress::{Ingress, REQUEST_IDS, forwarded, forwarded_names, request_id};
pub use io::{Bounds, Io, Of, OnPark, Share, Shared, Thread};
pub use metrics::Metrics;
pub use outcome::{Attempt, Ending, Outcome, Setback, blames_upstream};
pub use pressure::{Pressure, Step};
pub use problem::{Problem, Reply, X_REQUEST_ID};
pub use table::{ChoiceSpec, ProviderSpec, RouteSpec, Table, TableError, TableSpec, TargetSpec};
