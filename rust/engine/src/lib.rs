//! fastroute-engine: upstream connections, attempts, clocks and the edge door, on tokio.
//!
//! The engine owns bytes, sockets and timers. It asks one question per request through [`decider::Decider`] and tells
//! one story when the exchange is over; who answers (Python, a test's closure) is not its concern.
#![forbid(unsafe_code)]

pub mod admission;
mod attempt;
mod awaited;
mod bars;
mod budget;
mod clocks;
mod count;
mod course;
mod credentials;
pub mod decider;
pub mod defect;
mod delivery;
pub mod dice;
pub mod doors;
mod echo;
mod engine;
mod exchange;
pub mod failpoint;
mod identity;
mod ingress;
mod io;
mod journal;
mod metrics;
pub mod mock;
mod opaque;
mod outcome;
mod pressure;
mod problem;
mod race;
mod render;
mod room;
mod share;
mod spoken;
mod sync;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod ttft;
mod upstream;
mod waits;
mod walk;
mod walking;

pub use clocks::{Ambiguous, Patience, Timeouts};
pub use credentials::{AuthSpec, EndpointSpec, GrantSpec, TokenSpec};
pub use delivery::{BrokenOff, ReplyBody};
pub use engine::{Engine, StartError};
pub use exchange::{by_snapshot, contained, defective, run, standing};
pub use identity::fresh as fresh_request_id;
pub use ingress::{Ingress, REQUEST_IDS, forwarded, forwarded_names, is_for_one_hop, request_id};
pub use io::{Bounds, Hooks, Io, Of, Share, Shared, Thread};
pub use journal::{Journal, JournalSpec, Notice};
pub use metrics::Metrics;
pub use opaque::{Opaque, routed};
pub use outcome::{Attempt, Ending, Outcome, Setback, blames_upstream};
pub use pressure::{Pressure, Step};
pub use problem::{Problem, Reply, X_REQUEST_ID};
pub use room::Room;
pub use spoken::{Spoken, Task, restyled};
pub use table::{ChoiceSpec, ProviderSpec, RouteSpec, Table, TableError, TableSpec, TargetSpec};
pub use waits::Waits;
