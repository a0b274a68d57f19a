//! How long a client itself will wait, as the headers of its request say. They only ever lower a clock of ours.

use std::time::Duration;

use hyper::header::HeaderMap;
use tokio::time::Instant;

use crate::clocks::seconds;

/// Milliseconds from the request to the end of its reply.
const OURS: &str = "x-fastroute-timeout-ms";
/// Seconds. The official Python SDK sends the longest silence its socket endures, the JavaScript SDK the time until the
/// head of the reply: for a plain reply both are the whole wait, for a stream the wait for its first byte.
const STAINLESS: [&str; 2] = ["x-stainless-read-timeout", "x-stainless-timeout"];

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waits {
    whole: Option<Duration>,
    first_byte: Option<Duration>,
}

impl Waits {
    /// The headers that are looked at, for doors that cannot be handed a header map.
    pub const NAMES: [&'static str; 3] = [OURS, STAINLESS[0], STAINLESS[1]];

    pub fn of(headers: &HeaderMap) -> Self {
        let mut waits = Self::default();
        for name in Self::NAMES {
            if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                waits.note(name, value);
            }
        }
        waits
    }

    /// Takes one header in. What is no number above zero says nothing.
    pub fn note(&mut self, name: &str, value: &str) {
        let Some(number) = value.trim().parse::<f64>().ok().filter(|number| *number > 0.0) else { return };
        if name == OURS {
            self.whole = Some(seconds(number / 1000.0));
        } else {
            self.first_byte = Some(seconds(number));
        }
    }

    /// The client waits for the end of its reply no longer than this.
    pub(crate) fn deadline(&self, started: Instant, stream: bool) -> Option<Instant> {
        let first_byte = if stream { None } else { self.first_byte };
        self.whole.into_iter().chain(first_byte).min().map(|wait| started + wait)
    }

    /// The client waits for the first byte of a stream no longer than this; `comments_after` is the silence after which
    /// it gets comments, which are bytes, too.
    pub(crate) fn first_byte(&self, started: Instant, comments_after: Option<Duration>) -> Option<Instant> {
        let wait = self.first_byte?;
        let fed = comments_after.is_some_and(|after| after < wait);
        (!fed).then_some(started + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(name: &str, value: &str) -> Waits {
        let mut waits = Waits::default();
        waits.note(name, value);
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn each_header_lowers_the_clock_it_speaks_of() {
        let start = Instant::now();
        let at = |ms: u64| Some(start + Duration::from_millis(ms));
        let ours = waits(OURS, "1500");
        assert_eq!((ours.deadline(start, true), ours.deadline(start, false)), (at(1500), at(1500)));
        assert_eq!(ours.first_byte(start, None), None);
        for name in STAINLESS {
            let sdk = waits(name, "20.5");
            assert_eq!((sdk.deadline(start, false), sdk.deadline(start, true)), (at(20_500), None));
            assert_eq!(sdk.first_byte(start, None), at(20_500));
            assert_eq!(sdk.first_byte(start, Some(Duration::from_secs(30))), at(20_500));
            assert_eq!(sdk.first_byte(start, Some(Duration::from_secs(15))), None, "comments keep it waiting");
        }
    }

    #[test]
    fn what_is_no_time_says_nothing() {
        for value in ["", "0", "-1", "NaN", "soon", "None", "1s"] {
            assert_eq!(waits(OURS, value), Waits::default(), "{value:?}");
        }
        assert!(waits(OURS, "1e300").whole.is_some(), "and too long a time is no panic");
    }
}
