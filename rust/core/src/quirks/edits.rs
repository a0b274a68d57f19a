//! The edits that a provider's quirks mean for one body: top-level members by their spans, and nothing else.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Quirks, Scalar};
use crate::cursor::{self, Cursor};
use crate::dialects::DialectError;
use crate::json::{Edit, Member, Scan, quote};
use crate::passes::{MaxTokensField, OnLoss, refusal};

/// What is to be done to a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edited {
    pub edits: Vec<Edit>,
    /// Members left out.
    pub dropped: Vec<String>,
    /// Members with another value than the client's.
    pub changed: Vec<String>,
}

/// The edits for a body that was scanned from these frames. `keep` is the limit's name that the model reads.
///
/// Refuses what would be lost where nothing may be, and more than one choice where there is only one.
pub fn edits(
    frames: &[Bytes],
    scan: &Scan,
    quirks: &Quirks,
    limit: Option<MaxTokensField>,
    on_loss: OnLoss,
) -> Result<Edited, DialectError> {
    if quirks.one_choice && scan.n.is_some_and(|n| n > 1) {
        return Err(refusal("n", "must be 1: this model gives one choice"));
    }
    let mut plan = Plan { frames, scan, edited: Edited::default(), drop: Vec::new(), said: HashSet::new() };
    for (from, to) in renames(quirks, limit) {
        plan.rename(from, to);
    }
    for name in &quirks.drop {
        // An object of which only a part is said is named by its path in docs, never here: top-level members only.
        plan.leave_out(name);
    }
    for (name, (least, most)) in &quirks.clamp {
        plan.clamp(name, *least, *most);
    }
    if !quirks.tool_choice.is_empty() {
        plan.choose(quirks);
    }
    plan.defaults(quirks);
    let mut edited = plan.finish();
    if on_loss == OnLoss::Reject
        && let Some(first) = edited.dropped.first()
    {
        return Err(refusal(first, "cannot be said to this model"));
    }
    edited.edits.sort_by_key(|edit| edit.at.start);
    Ok(edited)
}

/// Each old name and the new one; what the model's row says of the limit counts over what its provider's does.
fn renames(quirks: &Quirks, limit: Option<MaxTokensField>) -> impl Iterator<Item = (&str, &str)> {
    const CURRENT: &str = "max_completion_tokens";
    const OLD: &str = "max_tokens";
    let limit = limit.map(|limit| match limit {
        MaxTokensField::MaxTokens => (CURRENT, OLD),
        MaxTokensField::MaxCompletionTokens => (OLD, CURRENT),
    });
    let is_limit = |name: &str| name == CURRENT || name == OLD;
    let others = quirks.rename.iter().map(|(from, to)| (from.as_str(), to.as_str()));
    limit.into_iter().chain(others.filter(move |(from, _)| limit.is_none() || !is_limit(from)))
}

struct Plan<'p> {
    frames: &'p [Bytes],
    scan: &'p Scan,
    edited: Edited,
    drop: Vec<&'p Member>,
    /// Names under which something stands that was put there.
    said: HashSet<String>,
}

impl<'p> Plan<'p> {
    fn member(&self, name: &str) -> Option<&'p Member> {
        let found = self.scan.member(self.frames, name)?;
        let gone = self.drop.iter().any(|member| member.name() == found.name());
        (!gone).then_some(found)
    }

    fn value(&self, member: &Member) -> Vec<u8> {
        slice(self.frames, member.value())
    }

    fn rename(&mut self, from: &str, to: &str) {
        let Some(member) = self.member(from) else {
            return;
        };
        if self.said.contains(to) || self.member(to).is_some() {
            // OpenAI prefers the current limit where both are given, and so do we.
            let same = from == "max_completion_tokens";
            match (same, self.member(to)) {
                (true, Some(other)) => {
                    self.drop.push(other);
                    self.edited.edits.push(member.rename(to));
                    self.said.insert(to.to_owned());
                }
                _ => self.drop.push(member),
            }
            return;
        }
        self.edited.edits.push(member.rename(to));
        self.said.insert(to.to_owned());
    }

    fn leave_out(&mut self, name: &str) {
        if let Some(member) = self.member(name) {
            // A null says nothing, so nothing is lost.
            if self.value(member) != b"null" {
                self.edited.dropped.push(name.to_owned());
            }
            self.drop.push(member);
        }
    }

    fn clamp(&mut self, name: &str, least: f64, most: f64) {
        let Some(member) = self.member(name) else {
            return;
        };
        let text = self.value(member);
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok());
        let Some(number) = number.filter(|number| !(least..=most).contains(number)) else {
            return;
        };
        let within = if number < least { least } else { most };
        self.edited.edits.push(Edit { at: member.value(), with: Bytes::from(number_text(within)) });
        self.edited.changed.push(name.to_owned());
    }

    fn choose(&mut self, quirks: &Quirks) {
        const FIELD: &str = "tool_choice";
        let Some(member) = self.member(FIELD) else {
            return;
        };
        let value = self.value(member);
        let word = match cursor::text(&value) {
            Some(word) => quirks.tool_choice.get(&*String::from_utf8_lossy(&word)).cloned(),
            None => match quirks.tool_choice.get("named").map(String::as_str) {
                Some("name") => named(&value),
                other => other.map(str::to_owned).filter(|_| named(&value).is_some()),
            },
        };
        if let Some(word) = word {
            self.edited.edits.push(Edit { at: member.value(), with: quote(&word) });
            self.edited.changed.push(FIELD.to_owned());
        }
    }

    fn defaults(&mut self, quirks: &Quirks) {
        let missing: Vec<(&str, Bytes)> = quirks
            .default
            .iter()
            .filter(|(name, _)| self.scan.member(self.frames, name).is_none() && !self.said.contains(*name))
            .map(|(name, value)| (name.as_str(), value.json()))
            .collect();
        if !missing.is_empty() {
            self.edited.edits.push(self.scan.insert(&missing));
        }
    }

    fn finish(mut self) -> Edited {
        let drops = self.scan.drop_members(&self.drop);
        // What goes altogether needs no other edit inside.
        let inside = |edit: &Edit| {
            drops.iter().any(|gone| {
                gone.at.start <= edit.at.start && edit.at.end <= gone.at.end && edit.at.start != edit.at.end
            })
        };
        self.edited.edits.retain(|edit| !inside(edit));
        self.edited.edits.extend(drops);
        self.edited
    }
}

/// The function that `{"type":"function","function":{"name":…}}` names.
fn named(value: &[u8]) -> Option<String> {
    let mut choice = Cursor::new(value);
    if !choice.open_object() {
        return None;
    }
    while let Some(key) = choice.key().ok()? {
        if key.as_ref() == b"function" && choice.open_object() {
            while let Some(key) = choice.key().ok()? {
                let value = choice.skip().ok()?;
                if key.as_ref() == b"name" {
                    return cursor::text(value).and_then(|name| String::from_utf8(name.into_owned()).ok());
                }
            }
        } else {
            choice.skip().ok()?;
        }
    }
    None
}

fn slice(frames: &[Bytes], at: std::ops::Range<usize>) -> Vec<u8> {
    let mut base = 0;
    let mut found = Vec::with_capacity(at.len());
    for frame in frames {
        let from = at.start.saturating_sub(base).min(frame.len());
        let to = at.end.saturating_sub(base).min(frame.len());
        found.extend_from_slice(frame.get(from..to).unwrap_or_default());
        base += frame.len();
    }
    found
}

fn number_text(number: f64) -> String {
    serde_json::to_string(&number).map_or_else(|_| "0".to_owned(), |text| text.trim_end_matches(".0").to_owned())
}

impl Scalar {
    fn json(&self) -> Bytes {
        match self {
            Self::Flag(flag) => Bytes::from_static(if *flag { b"true" } else { b"false" }),
            Self::Whole(number) => Bytes::from(number.to_string()),
            Self::Number(number) => Bytes::from(number_text(*number)),
            Self::Text(text) => quote(text),
        }
    }
}
