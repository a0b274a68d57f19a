//! What one target demands of a request: its dialect's documented rules, its provider's quirks, its model's abilities,
//! and what to do with what it lacks. One value per target, made once.

use serde::Deserialize;

use super::{Capabilities, Instructions, MaxTokensField, Shape};
use crate::dialects::{Dialect, DialectError};
use crate::passes::SystemRole;
use crate::quirks::{HistoryReasoning, Quirks};

/// What to do with what a target cannot be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// Leave it out and name it. What would change the meaning of the answer is refused all the same.
    #[default]
    Drop,
    /// Refuse the request, naming the first thing that would be lost.
    Reject,
    /// As `Drop`, but what a sentence among the instructions can ask for is asked for in one.
    Emulate,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Demands {
    pub dialect: Dialect,
    pub shape: Shape,
    pub capabilities: Capabilities,
    pub quirks: Quirks,
    pub on_loss: OnLoss,
}

impl Demands {
    /// What every target of a dialect demands.
    pub fn of(dialect: Dialect) -> Self {
        Self::new(dialect, Capabilities::default(), Quirks::default(), OnLoss::default())
    }

    pub fn new(dialect: Dialect, capabilities: Capabilities, quirks: Quirks, on_loss: OnLoss) -> Self {
        let mut shape = Shape::of(dialect);
        if dialect == Dialect::OpenAiChat {
            shape_by_quirks(&mut shape, &quirks);
        }
        match (capabilities.system_role.or(quirks.system_role), shape.instructions) {
            (Some(SystemRole::None), _) => shape.instructions = Instructions::Nowhere,
            (Some(SystemRole::System), Instructions::Anywhere) => shape.instructions = Instructions::SystemOnly,
            (Some(SystemRole::Developer), Instructions::Anywhere) => shape.instructions = Instructions::DeveloperOnly,
            _ => {}
        }
        match capabilities.mid_system {
            Some(true) if shape.instructions == Instructions::InFront && dialect == Dialect::AnthropicMessages => {
                shape.instructions = Instructions::SystemOnly;
            }
            Some(false) if shape.instructions != Instructions::Nowhere => shape.instructions = Instructions::InFront,
            _ => {}
        }
        Self { dialect, shape, capabilities, quirks, on_loss }
    }

    /// Whether a request in `source` must be read and written anew for this target. Else only members of its top level
    /// change ([`crate::quirks::edits`]), or nothing at all.
    pub fn rewrites(&self, source: Dialect) -> bool {
        source != self.dialect || (source == Dialect::OpenAiChat && self.quirks.reshapes())
    }

    /// Whether anything of a request in this target's own dialect is to be edited.
    pub fn edits(&self) -> bool {
        self.dialect == Dialect::OpenAiChat && (self.quirks.edits() || self.quirks.one_choice || self.limit().is_some())
    }

    /// Whether it answers in streams alone.
    pub fn stream_only(&self) -> bool {
        self.quirks.stream_only || self.capabilities.stream_only == Some(true)
    }

    /// The limit's name that the model reads, where it reads only one.
    pub fn limit(&self) -> Option<MaxTokensField> {
        if self.dialect == Dialect::OpenAiChat { self.capabilities.max_tokens_field } else { None }
    }
}

fn shape_by_quirks(shape: &mut Shape, quirks: &Quirks) {
    shape.user_first |= quirks.user_first;
    shape.alternates |= quirks.alternates;
    shape.no_blank_text |= quirks.no_blank_text;
    if quirks.system_first {
        shape.instructions = Instructions::InFront;
    }
    if let Some(rule) = quirks.call_ids.rule() {
        shape.call_ids = rule;
    }
    if quirks.history_reasoning != HistoryReasoning::Keep || quirks.reshapes() {
        shape.legacy_functions = false;
    }
}

/// A refusal that names what is at fault as OpenAI spells places.
pub(crate) fn refusal(param: &str, message: &'static str) -> DialectError {
    let pointer = param.replace(['.', '['], "/").replace(']', "");
    DialectError { pointer: format!("/{pointer}"), message: message.into(), param: Some(param.to_owned()), code: None }
}

/// What is lost while a request is brought into a target's form, in the order in which it was found.
#[derive(Debug)]
pub(super) struct Losses {
    on_loss: OnLoss,
    pub(super) changed: Vec<String>,
}

impl Losses {
    pub(super) fn new(on_loss: OnLoss) -> Self {
        Self { on_loss, changed: Vec::new() }
    }

    /// Something cannot be said as it was said: named, or refused.
    pub(super) fn lose(&mut self, place: &str) -> Result<(), DialectError> {
        if self.on_loss == OnLoss::Reject {
            return Err(refusal(place, "cannot be said to this model"));
        }
        self.note(place);
        Ok(())
    }

    /// Something is said otherwise, without loss.
    pub(super) fn note(&mut self, place: &str) {
        if !self.changed.iter().any(|known| known == place) {
            self.changed.push(place.to_owned());
        }
    }
}
