//! The clocks of an exchange: how long each phase may take before somebody gives up.
//!
//! Durations are data, carried by the table; instants come from `tokio::time`, so tests pause them. Nothing here
//! measures: it only says when patience ends.

use std::time::Duration;

use fastroute_core::failure::{Failure, Kind};
use fastroute_core::passes::OnLoss;
use serde::Deserialize;
use tokio::time::Instant;

/// Clocks of a provider's connections.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Name looked up, seconds.
    pub dns_timeout_s: f64,
    /// TCP connection established, seconds. Three seconds covers two lost SYNs.
    pub connect_timeout_s: f64,
    /// TLS handshake finished, seconds, counted from the connected socket.
    pub tls_timeout_s: f64,
    /// An unused connection is closed after this, seconds; below the limits of common balancers (60 s, 75 s).
    pub pool_idle_timeout_s: f64,
    /// A connection is replaced at this age, seconds, give or take a fifth, because names move.
    pub pool_max_age_s: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            dns_timeout_s: 2.0,
            connect_timeout_s: 3.0,
            tls_timeout_s: 5.0,
            pool_idle_timeout_s: 45.0,
            pool_max_age_s: 600.0,
        }
    }
}

/// How long, and how often, one route may try. Every field has its default here; a route overrides what it names.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Patience {
    /// First attempt begun to first content event of a stream, seconds. A unary reply's head often comes only with its
    /// last token, so it has the total clock alone.
    pub ttft_timeout_s: f64,
    /// Attempt begun to first content event of a stream, seconds, before another target is tried instead; `None`: what
    /// is slow for this target. Without another target this one is waited for.
    pub ttft_soft_timeout_s: Option<f64>,
    /// Attempt begun to first content event of a stream, seconds, before another target is asked beside this one; `None`:
    /// never.
    pub hedge_after_s: Option<f64>,
    /// Longest silence of the upstream, any byte, seconds. Comments and pings reset it.
    pub idle_timeout_s: f64,
    /// Longest silence without content, seconds: pings must not hide a dead generation.
    pub content_idle_timeout_s: f64,
    /// All attempts of a unary exchange together, seconds (the OpenAI SDK's own default is 600).
    pub total_timeout_s: f64,
    /// The same for a stream, seconds.
    pub stream_total_timeout_s: f64,
    /// Attempts of one exchange, the first included.
    pub attempts: u32,
    /// Whether an attempt that may have been carried out is followed by another, elsewhere.
    pub ambiguous_retry: Ambiguous,
    /// How often a target that failed is tried again before another one. `None`: not at all while there is another,
    /// else once.
    pub same_target_retries: Option<u32>,
    /// How long a target that named a wait is waited for before another one is tried, seconds. `None`: not at all
    /// while there is another, else up to five.
    pub wait_retry_after_s: Option<f64>,
    /// Retries that each request pays for, on average.
    pub retry_ratio: f64,
    /// Whether a reply without any content counts as a failure.
    pub retry_empty: bool,
    /// Silence towards the client of a stream, seconds, before comments keep it waiting, each half of that after the one
    /// before; 0: none are sent.
    pub keep_alive_s: f64,
    /// What becomes of what a target cannot be told: not of time, but likewise the route's and wanted by each attempt.
    #[serde(skip)]
    pub on_loss: OnLoss,
}

/// See [`Patience::ambiguous_retry`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Ambiguous {
    Once,
    Never,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ttft_timeout_s: 120.0,
            ttft_soft_timeout_s: None,
            hedge_after_s: None,
            idle_timeout_s: 30.0,
            content_idle_timeout_s: 120.0,
            total_timeout_s: 600.0,
            stream_total_timeout_s: 1800.0,
            attempts: 3,
            ambiguous_retry: Ambiguous::Once,
            same_target_retries: None,
            wait_retry_after_s: None,
            retry_ratio: 0.1,
            retry_empty: false,
            keep_alive_s: 30.0,
            on_loss: OnLoss::default(),
        }
    }
}

/// Longest wait there is: far beyond any use, and safe to add to any instant.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Seconds as a duration; what is not a sane number of seconds is taken as a day, never as a panic.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::from_secs(86_400)).min(YEAR)
}

impl Patience {
    /// The instant after which no attempt of this exchange may go on.
    pub fn deadline(&self, started: Instant, stream: bool) -> Instant {
        let total = if stream { self.stream_total_timeout_s } else { self.total_timeout_s };
        started + seconds(total)
    }

    /// The silence after which a stream's client gets a comment.
    pub(crate) fn comments_after(&self) -> Option<Duration> {
        (self.keep_alive_s > 0.0).then(|| seconds(self.keep_alive_s))
    }
}

/// When an attempt must have shown content, and what it means if it has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// When the attempt began.
    pub(crate) began: Instant,
    pub(crate) by: Instant,
    kind: Kind,
}

impl Due {
    /// At the deadline that all attempts share.
    pub(crate) fn at(deadline: Instant, began: Instant) -> Self {
        Self { began, by: deadline, kind: Kind::TotalTimeout }
    }

    /// The same, or as this kind of failure already at `by`, if that is earlier.
    pub(crate) fn or(self, by: Instant, kind: Kind) -> Self {
        if by < self.by { Self { by, kind, ..self } } else { self }
    }

    pub(crate) fn missed(self) -> Failure {
        Failure::new(self.kind)
    }
}

/// Watches one running stream: last byte, last content, and the shared deadline.
///
/// The surprise: touching it does not move a timer. It notes the instant, and the timer is re-armed only when it
/// fires early, so that a chunk costs two stores instead of a walk through the timer wheel.
#[derive(Debug)]
pub struct IdleClock {
    idle: Duration,
    content_idle: Duration,
    deadline: Instant,
    last_byte: Instant,
    last_content: Instant,
    comments_after: Option<Duration>,
    commented: Option<Instant>,
}

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// No byte for `idle_timeout_s`, or no content for `content_idle_timeout_s`.
    Idle,
    /// The deadline that all attempts share.
    Total,
}

impl IdleClock {
    pub fn new(patience: &Patience, now: Instant, deadline: Instant) -> Self {
        Self {
            idle: seconds(patience.idle_timeout_s),
            content_idle: seconds(patience.content_idle_timeout_s),
            deadline,
            last_byte: now,
            last_content: now,
            comments_after: patience.comments_after(),
            commented: None,
        }
    }

    /// No comments: a plain reply has no place for them, and one that is read on for nobody no reader.
    pub(crate) fn without_comments(&mut self) {
        self.comments_after = None;
    }

    /// When the client would have heard nothing for too long, as things stand.
    fn comment_at(&self) -> Option<Instant> {
        let after = self.comments_after?;
        let silent = self.last_byte + after;
        Some(self.commented.map_or(silent, |last| silent.max(last + after / 2)))
    }

    /// Whether a comment is due; then it counts as sent.
    pub fn comments(&mut self, now: Instant) -> bool {
        let due = self.comment_at().is_some_and(|at| at <= now);
        if due {
            self.commented = Some(now);
        }
        due
    }

    /// Bytes arrived; `content` says whether they carried any.
    pub fn touch(&mut self, now: Instant, content: bool) {
        self.last_byte = now;
        if content {
            self.last_content = now;
        }
    }

    /// The upstream is asked again after a pause that was the client's: it was not silent, it was not read.
    pub fn resume(&mut self, now: Instant) {
        let pause = now.saturating_duration_since(self.last_byte);
        self.last_byte += pause;
        self.last_content = (self.last_content + pause).min(now);
    }

    /// When the earliest of the three would run out or a comment is due, as things stand.
    pub fn next(&self) -> Instant {
        let end = (self.last_byte + self.idle).min(self.last_content + self.content_idle).min(self.deadline);
        self.comment_at().map_or(end, |comment| end.min(comment))
    }

    /// When all attempts together have used their time up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What has run out by `now`, if anything.
    pub fn expired(&self, now: Instant) -> Option<Expired> {
        if now >= self.deadline {
            Some(Expired::Total)
        } else if now >= self.last_byte + self.idle || now >= self.last_content + self.content_idle {
            Some(Expired::Idle)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pings_keep_a_stream_alive_only_until_content_is_overdue() {
        let start = Instant::now();
        let patience = Patience { idle_timeout_s: 30.0, content_idle_timeout_s: 120.0, ..Patience::default() };
        let mut clock = IdleClock::new(&patience, start, start + Duration::from_secs(1800));
        for ping in 1..=5 {
            let now = start + Duration::from_secs(ping * 20);
            assert_eq!(clock.expired(now), None, "a ping every 20 s is within the idle time");
            clock.touch(now, false);
        }
        assert_eq!(clock.next(), start + Duration::from_secs(120));
        assert_eq!(clock.expired(start + Duration::from_secs(120)), Some(Expired::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_is_shared_and_not_moved_by_traffic() {
        let start = Instant::now();
        let mut clock = IdleClock::new(&Patience::default(), start, start + Duration::from_secs(10));
        clock.touch(start + Duration::from_secs(9), true);
        assert_eq!(clock.expired(start + Duration::from_secs(10)), Some(Expired::Total));
    }

    #[test]
    fn a_nonsense_number_of_seconds_is_a_day_and_not_a_panic() {
        assert_eq!(seconds(f64::NAN), Duration::from_secs(86_400));
        assert_eq!(seconds(-1.0), Duration::from_secs(86_400));
        // No clock reaches that far: added to an instant it would overflow.
        assert_eq!(seconds(1.7e19), YEAR);
    }
}
