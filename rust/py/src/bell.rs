//! An eventfd: rung from any thread, watched by the Python loop. Two rings before the loop wakes are one.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        #[expect(unsafe_code, reason = "eventfd(2) takes no pointers; the result is checked and owned at once")]
        unsafe {
            let descriptor = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(descriptor))) }
        }
    }

    /// The descriptor to watch for reading.
    pub(crate) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(crate) fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // A full counter cannot be: it is read whenever the loop wakes.
        #[expect(unsafe_code, reason = "write(2) on a descriptor owned here, from eight bytes that live long enough")]
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(crate) fn silence(&self) {
        let mut count = [0_u8; 8];
        #[expect(unsafe_code, reason = "read(2) on a descriptor owned here, into eight bytes that live long enough")]
        let _ = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
