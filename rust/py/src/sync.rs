//! The primitives of the queue that threads share; `rust/models` puts loom's in their place.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
