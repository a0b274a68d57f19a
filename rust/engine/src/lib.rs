//! fastroute-engine: upstream connections, attempts, clocks and the edge door, on tokio.
//!
//! The engine owns bytes, sockets and timers. It asks one question per request through [`decider::Decider`] and tells
//! one story when the exchange is over; who answers (Python, a test's closure) is not its concern.
#![forbid(unsafe_code)]

pub mod mock;
