//! Wakes the generator's poll at a moment, to the microsecond where the platform can.

pub(super) use platform::Timer;

#[cfg(target_os = "linux")]
mod platform {
    //! A timer descriptor: the poll call itself counts in milliseconds.

    use std::io;
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    pub(in super::super) struct Timer {
        descriptor: OwnedFd,
        set_ns: u64,
    }

    impl Timer {
        pub(in super::super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let descriptor = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { descriptor, set_ns: 0 })
        }

        /// Wakes the poll at a moment; gives the poll's own timeout, which is none.
        pub(in super::super) fn set(&mut self, at_ns: u64, _now_ns: u64) -> io::Result<Option<Duration>> {
            if self.set_ns != at_ns {
                self.set_ns = at_ns;
                let at = Duration::from_nanos(at_ns);
                let value = Timespec {
                    tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: i64::from(at.subsec_nanos()),
                };
                let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
                // Setting it again also clears what has expired, so it is never read.
                timerfd_settime(
                    &self.descriptor,
                    TimerfdTimerFlags::ABSTIME,
                    &Itimerspec { it_interval: never_again, it_value: value },
                )?;
            }
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    //! The poll call's own timeout, in whole milliseconds.

    use std::io;
    use std::time::Duration;

    use mio::{Registry, Token};

    pub(in super::super) struct Timer;

    impl Timer {
        pub(in super::super) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(in super::super) fn set(&mut self, at_ns: u64, now_ns: u64) -> io::Result<Option<Duration>> {
            Ok(Some(Duration::from_nanos(at_ns.saturating_sub(now_ns))))
        }
    }
}
