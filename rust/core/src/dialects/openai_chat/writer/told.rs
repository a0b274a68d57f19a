//! What was told of each choice so far, as far as what follows depends on it.

use std::collections::BTreeMap;

use super::super::turn::Span;
use crate::dialects::message::Citation;

/// Bytes of reasoning that are kept until its proof comes. Of a longer one the proof goes out alone.
const MOST_BYTES: usize = 8 << 20;

/// Citations that wait for the end of their text. More go out at once, with the text as far as it has come.
const MOST_CITATIONS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Told {
    choices: BTreeMap<u32, Choice>,
    /// Bytes of reasoning kept, of all choices.
    held: usize,
}

#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) greeted: bool,
    /// Characters of text, in all and before the block that is open.
    pub(super) text: u64,
    before: u64,
    pub(super) citations: u64,
    /// A text is open, and these are of it.
    in_text: bool,
    waiting: Vec<Citation<'static>>,
    pub(super) details: u64,
    pub(super) pictures: u64,
    /// The reasoning that is open.
    thought: String,
    too_long: bool,
}

impl Told {
    /// Readers bound how many choices there can be.
    pub(super) fn of(&mut self, index: u32) -> &mut Choice {
        self.choices.entry(index).or_default()
    }

    /// Keeps a citation of the text that is open; gives it back where none is.
    pub(super) fn hold(&mut self, choice: u32, citation: &Citation<'_>) -> Option<Citation<'static>> {
        let choice = self.of(choice);
        let citation = citation.clone().into_owned();
        if !choice.in_text || choice.waiting.len() >= MOST_CITATIONS {
            return Some(citation);
        }
        choice.waiting.push(citation);
        None
    }

    /// The text is over: the citations that waited for it.
    pub(super) fn release(&mut self, choice: u32) -> Vec<Citation<'static>> {
        let choice = self.of(choice);
        choice.in_text = false;
        std::mem::take(&mut choice.waiting)
    }

    pub(super) fn begin_thought(&mut self, choice: u32) {
        self.take_thought(choice);
        self.of(choice).too_long = false;
    }

    pub(super) fn think(&mut self, choice: u32, text: &str) {
        let full = self.held + text.len() > MOST_BYTES;
        let too_long = &mut self.of(choice).too_long;
        *too_long |= full;
        if *too_long {
            self.take_thought(choice);
            return;
        }
        self.held += text.len();
        self.of(choice).thought.push_str(text);
    }

    pub(super) fn take_thought(&mut self, choice: u32) -> String {
        let thought = std::mem::take(&mut self.of(choice).thought);
        self.held -= thought.len();
        thought
    }
}

impl Choice {
    pub(super) fn begin_text(&mut self) {
        self.before = self.text;
        self.in_text = true;
    }

    /// Where the block is that a citation is of.
    pub(super) fn span(&self) -> Span {
        Span { start: self.before, length: self.text.saturating_sub(self.before) }
    }
}
