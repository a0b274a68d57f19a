//! Which rule answers a request: patterns, flags and counts.
//!
//! Counting is part of matching: a rule counts the requests for which all its other conditions hold, so "the first two
//! for this model" does not depend on what other models are asked meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use super::request::Ask;
use super::script::{Match, Rule, Script};

/// A script with the counts of what it has matched so far; a new script starts from zero.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) script: Script,
    seen: Vec<AtomicU64>,
    /// Some rule looks at the model or the stream flag, so bodies are parsed as JSON.
    pub(super) reads_bodies: bool,
    pub(super) before_body: bool,
}

impl Rules {
    pub(super) fn new(script: Script) -> Self {
        let reads_bodies =
            script.rules.iter().any(|rule| rule.matching.model.is_some() || rule.matching.stream.is_some());
        Self {
            seen: script.rules.iter().map(|_| AtomicU64::new(0)).collect(),
            reads_bodies,
            before_body: script.rules.iter().any(|rule| rule.before_body),
            script,
        }
    }

    /// The rule for a request of which only the head (`before_body`) or everything is known, while `open` others are being
    /// answered.
    pub(super) fn find(&self, ask: &Ask, before_body: bool, open: u64) -> Option<(usize, &Rule)> {
        let rules = self.script.rules.iter().zip(&self.seen).enumerate();
        rules
            .filter(|(_, (rule, _))| rule.before_body == before_body)
            .find(|(_, (rule, seen))| {
                rule.matching.busy.is_none_or(|busy| open >= busy)
                    && rule.matching.describes(ask)
                    && rule.matching.takes(seen.fetch_add(1, Ordering::Relaxed))
            })
            .map(|(place, (rule, _))| (place, rule))
    }
}

impl Match {
    fn describes(&self, ask: &Ask) -> bool {
        let model = self.model.as_deref().is_none_or(|pattern| fits(pattern, &ask.wants.model));
        let path = self.path.as_deref().is_none_or(|pattern| fits(pattern, ask.path()));
        let stream = self.stream.is_none_or(|stream| stream == ask.wants.stream);
        model
            && path
            && stream
            && self.header.iter().all(|(name, pattern)| ask.header(name).is_some_and(|value| fits(pattern, &value)))
    }

    /// `before` is how many requests fitted before this one.
    fn takes(&self, before: u64) -> bool {
        let Some(position) = before.checked_sub(self.after) else {
            return false;
        };
        self.first.is_none_or(|first| position < first)
            && self.every.is_none_or(|every| (position + 1).is_multiple_of(every))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any run of characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("gpt-x", "gpt-x", true),
            ("gpt-x", "gpt-xl", false),
            ("gpt-*", "gpt-", true),
            ("*-mini", "gpt-x-mini", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn counts_skip_then_limit_then_thin_out() {
        let matching = Match { after: 2, first: Some(4), every: Some(2), ..Match::default() };
        let taken: Vec<u64> = (0..10).filter(|&before| matching.takes(before)).collect();
        assert_eq!(taken, [3, 5]);
    }
}
