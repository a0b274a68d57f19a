//! The fast path's answer: a unary chat reply, rendered once and then only given its identifier.

use std::sync::Arc;

use memchr::memmem;

use super::matching::Rules;
use super::reply::Voice;
use super::request::Ask;
use super::script::Stamp;

/// Stands for an answer's identifier in a template.
const PLACEHOLDER: &str = "@@@@@@@@@@@@@@@@";

/// A unary reply with holes for its identifier, valid while the question and the script stay the same.
pub(super) struct Template {
    rules: Arc<Rules>,
    model: String,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) bytes: Vec<u8>,
    holes: Vec<usize>,
}

impl Template {
    pub(super) fn new(ask: &Ask, rules: &Arc<Rules>) -> Self {
        let defaults = &rules.script.defaults;
        let voice = Voice {
            anthropic: false,
            id: PLACEHOLDER,
            model: &ask.wants.model,
            prompt_tokens: ask.prompt_tokens(),
            usage_asked: false,
            stamp: Stamp::None,
        };
        let (body, completion_tokens) = voice.unary(None, defaults.reply_bytes, true);
        let bytes = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_{PLACEHOLDER}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
        Self {
            rules: Arc::clone(rules),
            model: ask.wants.model.clone(),
            prompt_tokens: ask.prompt_tokens(),
            completion_tokens,
            holes: memmem::find_iter(&bytes, PLACEHOLDER).collect(),
            bytes,
        }
    }

    pub(super) fn fits(&self, ask: &Ask, rules: &Arc<Rules>) -> bool {
        Arc::ptr_eq(&self.rules, rules) && self.model == ask.wants.model && self.prompt_tokens == ask.prompt_tokens()
    }

    pub(super) fn fill(&mut self, identifier: &str) {
        for &hole in &self.holes {
            if let Some(place) = self.bytes.get_mut(hole..hole + PLACEHOLDER.len()) {
                place.copy_from_slice(identifier.as_bytes());
            }
        }
    }
}
