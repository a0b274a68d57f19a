//! The request path as a whole: a client on TCP, the edge door, a decider of closures, scripted upstreams.
//!
//! Everything runs on the test's own thread, so that tokio's paused clock is everyone's clock: a wait of thirty seconds
//! takes none, and nothing here sleeps to see a state.

mod bars;
mod clocks;
mod comments;
mod credentials;
mod deciding;
mod doors;
mod dropping;
mod failover;
mod failpoints;
mod hedging;
mod hostile;
mod journal;
pub(crate) mod jumping;
mod laws;
mod overload;
mod reply;
pub(crate) mod rig;
mod simulation;
mod standing;
mod unseen;
mod words;
