//! The parts of an item: texts, refusals, and the summaries and texts of a reasoning.

use super::super::items::write_thought;
use crate::dialects::message::Citation;
use crate::dialects::output::{self, Buffer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Refusal,
    Summary,
    /// Of reasoning, where a server shows it.
    Content,
}

impl PartKind {
    pub(super) const fn delta(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
            Self::Summary => "response.reasoning_summary_text.delta",
            Self::Content => "response.reasoning_text.delta",
        }
    }

    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.done",
            Self::Refusal => "response.refusal.done",
            Self::Summary => "response.reasoning_summary_text.done",
            Self::Content => "response.reasoning_text.done",
        }
    }

    /// The events around a part.
    pub(super) const fn frames(self) -> [&'static str; 2] {
        match self {
            Self::Summary => ["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"],
            _ => ["response.content_part.added", "response.content_part.done"],
        }
    }

    pub(super) const fn number(self) -> &'static str {
        match self {
            Self::Summary => "summary_index",
            _ => "content_index",
        }
    }

    pub(super) const fn is_reasoning(self) -> bool {
        matches!(self, Self::Summary | Self::Content)
    }
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) text: String,
    pub(super) annotations: Vec<String>,
    /// Citations that are told when the text has come to its end.
    pub(super) waiting: Vec<Citation<'static>>,
    /// The inside of the list.
    pub(super) logprobs: String,
    /// A part of the same reasoning went before: the empty line between the two is not part of either.
    pub(super) after_another: bool,
}

impl Part {
    pub(super) fn new(kind: PartKind) -> Self {
        Self {
            kind,
            text: String::new(),
            annotations: Vec::new(),
            waiting: Vec::new(),
            logprobs: String::new(),
            after_another: false,
        }
    }

    pub(super) fn add_logprobs(&mut self, list: Option<&str>) {
        let inside = list.and_then(|list| list.strip_prefix('[')?.strip_suffix(']')).unwrap_or("").trim();
        if !inside.is_empty() {
            if !self.logprobs.is_empty() {
                self.logprobs.push(',');
            }
            self.logprobs.push_str(inside);
        }
    }

    pub(super) fn write(&self, out: &mut Buffer) {
        match self.kind {
            PartKind::Summary => write_thought(out, "summary_text", &self.text),
            PartKind::Content => write_thought(out, "reasoning_text", &self.text),
            PartKind::Refusal => output::object(out, |part| {
                part.text("type", "refusal");
                part.text("refusal", &self.text);
            }),
            PartKind::Text => output::object(out, |part| {
                part.text("type", "output_text");
                part.text("text", &self.text);
                part.list("annotations", &self.annotations, |out, annotation| output::raw(out, annotation));
                part.raw("logprobs", &format!("[{}]", self.logprobs));
            }),
        }
    }
}
