//! The records, each with its two directions: `render` puts it behind a buffer, `parse` reads its payload.

use super::fields::{Put, Take};
use super::frame::framed;
use super::identity::AttemptId;
use crate::failure::{Failure, Kind};
use crate::usage::{Basis, Usage};

/// What a segment holds, in the order it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Opened(Opened<'a>),
    Intent(Intent<'a>),
    Progress(Progress),
    Settle(Settle<'a>),
    Gap(Gap),
    /// Of a later version.
    Other(u8),
}

/// The first record of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Counts the starts of this instance's data process.
    pub boot: u64,
    /// The I/O thread that writes here.
    pub lane: u16,
    /// Counts the segments of a lane within a boot.
    pub number: u32,
    pub process: u32,
    /// The kernel's own id of its start: where it changed, the machine went down.
    pub machine_boot: u128,
    pub opened_ms: u64,
    /// How many records come next that restate what the segments before this one hold and is still needed. Without all
    /// of them this segment does not stand alone.
    pub carried: u32,
    pub instance: &'a str,
}

/// An attempt is about to be sent. On record before its first byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent<'a> {
    pub attempt: AttemptId,
    /// 1 for the first attempt of its request.
    pub ordinal: u8,
    pub stream: bool,
    pub generation: u64,
    pub started_ms: u64,
    pub body_bytes: u64,
    /// An estimate.
    pub input_tokens: u64,
    /// What the client allows; 0 when it does not say.
    pub max_output_tokens: u64,
    pub request_id: &'a str,
    /// The route's public name.
    pub model: &'a str,
    /// `provider/model`.
    pub target: &'a str,
    /// A digest that tells keys apart; never the key.
    pub key_id: &'a str,
    pub door: &'a str,
    pub dialect: &'a str,
}

/// How far a running reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub attempt: AttemptId,
    /// Content events so far: about as many as tokens.
    pub events: u64,
    /// Bytes handed to the client so far.
    pub bytes: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The whole reply came.
    Complete,
    /// Content came, and then it broke off.
    Partial,
    /// Nothing was done, and nothing is owed.
    Refused,
    /// The upstream may have done the work.
    Unknown,
    /// The client left, or we gave up waiting, while it was under way.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Complete, Self::Partial, Self::Refused, Self::Unknown, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }

    /// What a failure leaves of its attempt, seen from what the upstream did and will ask money for.
    pub fn after(failure: &Failure) -> Self {
        match failure.kind {
            // Cancelled by us, because another target may be or was quicker, or by whoever asked.
            Kind::FirstTokenSoft | Kind::Hedged | Kind::ClientGone | Kind::Shutdown => Self::Cancelled,
            Kind::Stalled | Kind::Truncated | Kind::ResponseTooLarge | Kind::SlowClient => Self::Partial,
            // The request was on its way and nothing, or nothing to be understood, came back.
            Kind::Reset
            | Kind::UpstreamTimeout
            | Kind::FirstTokenHard
            | Kind::TotalTimeout
            | Kind::Malformed
            | Kind::Internal => Self::Unknown,
            // What stands between us and the model, a 502 say, can only tell that it heard nothing.
            _ if failure.ambiguous() => Self::Unknown,
            _ => Self::Refused,
        }
    }
}

/// An attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle<'a> {
    pub attempt: AttemptId,
    pub state: State,
    /// What the client was told; 0 where nothing was, or where another attempt followed.
    pub status: u16,
    pub took_us: u64,
    pub events: u64,
    pub bytes: u64,
    /// Its `basis` says whether the numbers mean anything.
    pub usage: Usage,
    /// Kind of failure; empty when there was none.
    pub failure: &'a str,
}

/// The disk was in trouble: one is written a second until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub at_ms: u64,
    /// Records of this lane that found no room since its process began.
    pub lost: u64,
}

const OPENED: u8 = 1;
const INTENT: u8 = 2;
const PROGRESS: u8 = 3;
const SETTLE: u8 = 4;
const GAP: u8 = 5;

const BASES: [Basis; 5] = [Basis::Provider, Basis::Counted, Basis::Estimated, Basis::Reserved, Basis::Zero];

/// A value's place in the closed set it belongs to.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|each| each == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

impl Record<'_> {
    /// Puts the framed record behind `out`. [`Record::Other`] has no form to write.
    pub fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened(opened) => framed(out, OPENED, |put| opened.put(put)),
            Self::Intent(intent) => framed(out, INTENT, |put| intent.put(put)),
            Self::Progress(progress) => framed(out, PROGRESS, |put| {
                put.u128(progress.attempt.0).u64(progress.events).u64(progress.bytes);
            }),
            Self::Settle(settle) => framed(out, SETTLE, |put| settle.put(put)),
            Self::Gap(gap) => framed(out, GAP, |put| {
                put.u64(gap.at_ms).u64(gap.lost);
            }),
            Self::Other(_) => {}
        }
    }
}

impl<'a> Record<'a> {
    /// `None` when the payload is not what its kind says.
    pub(super) fn parse(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let mut take = Take(payload);
        let take = &mut take;
        Some(match kind {
            OPENED => Self::Opened(Opened::take(take)?),
            INTENT => Self::Intent(Intent::take(take)?),
            PROGRESS => {
                let attempt = AttemptId(take.u128()?);
                Self::Progress(Progress { attempt, events: take.u64()?, bytes: take.u64()? })
            }
            SETTLE => Self::Settle(Settle::take(take)?),
            GAP => Self::Gap(Gap { at_ms: take.u64()?, lost: take.u64()? }),
            other => Self::Other(other),
        })
    }
}

impl<'a> Opened<'a> {
    fn put(&self, put: &mut Put<'_>) {
        put.u64(self.boot).u16(self.lane).u32(self.number).u32(self.process).u128(self.machine_boot);
        put.u64(self.opened_ms).u32(self.carried).text(self.instance);
    }

    fn take(take: &mut Take<'a>) -> Option<Self> {
        Some(Self {
            boot: take.u64()?,
            lane: take.u16()?,
            number: take.u32()?,
            process: take.u32()?,
            machine_boot: take.u128()?,
            opened_ms: take.u64()?,
            carried: take.u32()?,
            instance: take.text()?,
        })
    }
}

impl<'a> Intent<'a> {
    fn put(&self, put: &mut Put<'_>) {
        put.u128(self.attempt.0).u8(self.ordinal).u8(u8::from(self.stream)).u64(self.generation);
        put.u64(self.started_ms).u64(self.body_bytes).u64(self.input_tokens).u64(self.max_output_tokens);
        put.text(self.request_id).text(self.model).text(self.target).text(self.key_id);
        put.text(self.door).text(self.dialect);
    }

    fn take(take: &mut Take<'a>) -> Option<Self> {
        Some(Self {
            attempt: AttemptId(take.u128()?),
            ordinal: take.u8()?,
            stream: take.u8()? != 0,
            generation: take.u64()?,
            started_ms: take.u64()?,
            body_bytes: take.u64()?,
            input_tokens: take.u64()?,
            max_output_tokens: take.u64()?,
            request_id: take.text()?,
            model: take.text()?,
            target: take.text()?,
            key_id: take.text()?,
            door: take.text()?,
            dialect: take.text()?,
        })
    }
}

impl<'a> Settle<'a> {
    fn put(&self, put: &mut Put<'_>) {
        put.u128(self.attempt.0).u8(place(&State::ALL, &self.state)).u8(place(&BASES, &self.usage.basis));
        put.u16(self.status).u64(self.took_us).u64(self.events).u64(self.bytes);
        put.u64(self.usage.prompt_tokens).u64(self.usage.completion_tokens).u64(self.usage.total_tokens);
        put.u64(self.usage.cached_tokens).u64(self.usage.cache_write_tokens).u64(self.usage.reasoning_tokens);
        put.text(self.failure);
    }

    fn take(take: &mut Take<'a>) -> Option<Self> {
        let attempt = AttemptId(take.u128()?);
        let state = *State::ALL.get(usize::from(take.u8()?))?;
        let basis = *BASES.get(usize::from(take.u8()?))?;
        Some(Self {
            attempt,
            state,
            status: take.u16()?,
            took_us: take.u64()?,
            events: take.u64()?,
            bytes: take.u64()?,
            usage: Usage {
                prompt_tokens: take.u64()?,
                completion_tokens: take.u64()?,
                total_tokens: take.u64()?,
                cached_tokens: take.u64()?,
                cache_write_tokens: take.u64()?,
                reasoning_tokens: take.u64()?,
                basis,
            },
            failure: take.text()?,
        })
    }
}
