//! Which attempts a journal leaves open: those with an intent and without an end.

use std::collections::BTreeMap;

use super::identity::AttemptId;
use super::record::{Progress, Record, Settle, State};
use crate::usage::{Basis, Usage};

/// An attempt nobody wrote the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    pub progress: Progress,
    /// The estimate of its intent.
    pub input_tokens: u64,
}

impl OpenAttempt {
    /// Its end, as far as anybody can tell: what is owed is the input's estimate and what the last mark says.
    pub fn settle<'a>(&self, failure: &'a str) -> Settle<'a> {
        let Progress { attempt, events, bytes } = self.progress;
        let (prompt_tokens, completion_tokens) = (self.input_tokens, events);
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        let basis = Basis::Estimated;
        Settle {
            attempt,
            state: State::Unknown,
            status: 0,
            took_us: 0,
            events,
            bytes,
            usage: Usage { prompt_tokens, completion_tokens, total_tokens, basis, ..Usage::default() },
            failure,
        }
    }
}

/// Follows the records of one lane from a segment that stands alone. Restated intents are the same intents.
#[derive(Debug, Default)]
pub struct Replay {
    open: BTreeMap<AttemptId, OpenAttempt>,
    /// Records that found no room.
    pub lost: u64,
}

impl Replay {
    pub fn take(&mut self, record: &Record<'_>) {
        match record {
            Record::Intent(intent) => {
                let progress = Progress { attempt: intent.attempt, events: 0, bytes: 0 };
                let open = OpenAttempt { progress, input_tokens: intent.input_tokens };
                self.open.entry(intent.attempt).or_insert(open);
            }
            Record::Progress(progress) => {
                if let Some(open) = self.open.get_mut(&progress.attempt) {
                    open.progress = *progress;
                }
            }
            Record::Settle(settle) => {
                self.open.remove(&settle.attempt);
            }
            Record::Gap(gap) => self.lost = self.lost.max(gap.lost),
            Record::Opened(_) | Record::Other(_) => {}
        }
    }

    /// Oldest first.
    pub fn open(&self) -> impl Iterator<Item = &OpenAttempt> {
        self.open.values()
    }
}
