//! fastroute-core: bytes in, bytes out.
//!
//! No runtime, no clock, no socket and no Python: every function here can be tested with a literal and fuzzed as it
//! stands. The engine crate puts sockets and timers around it; the `fastroute.core` Python module exports it as is.
#![forbid(unsafe_code)]

#[cfg(feature = "auth")]
pub mod auth;
pub mod cursor;
pub mod dialects;
pub mod echo;
pub mod eventstream;
pub mod failure;
pub mod journal;
pub mod json;
pub mod model_names;
pub mod multipart;
pub mod passes;
pub mod quirks;
pub mod relay;
pub mod sse;
pub mod tokens;
pub mod translate;
pub mod usage;
