//! The eventfd of the border as a counter that loom can see.

use std::io;

use loom::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Bell(AtomicU64);

impl Bell {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of the true one")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(AtomicU64::new(0)))
    }

    /// Readable or not, in place of a descriptor.
    pub(crate) fn descriptor(&self) -> i32 {
        i32::from(self.0.load(Ordering::SeqCst) > 0)
    }

    pub(crate) fn ring(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn silence(&self) {
        self.0.swap(0, Ordering::SeqCst);
    }
}
