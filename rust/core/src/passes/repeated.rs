//! Calls of a history that share an id: some servers count the calls of each reply from the start, or name them by their tool.
//!
//! The rule: the first keeps its id; each later one gets one made from the id and its number among them, so that the next
//! turn of the conversation says the same. A result goes with the first call of its id, in the last turn that called, that
//! has none yet.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::dialects::message::{Content, Role, Text, Turn};
use crate::dialects::{gemini, mint};

/// The calls of one id.
#[derive(Default)]
struct Namesakes {
    count: u32,
    /// How often somebody but the model had spoken when the last of them was made.
    spoken: u32,
    /// Their ids now, as far as no result has come.
    open: VecDeque<String>,
}

/// Gives calls that have the id of an earlier one another, and their results with them.
pub(super) fn part(turns: &mut [Turn<'_>]) {
    let Some(mut taken) = repeated(turns) else {
        return;
    };
    let mut all: HashMap<String, Namesakes> = HashMap::new();
    let mut spoken = 0;
    for turn in turns {
        spoken += u32::from(turn.role != Role::Assistant);
        for block in &mut turn.blocks {
            match &mut block.content {
                Content::ToolCall(call) if !call.id.is_empty() => {
                    let of_id = all.entry(call.id.to_string()).or_default();
                    if of_id.spoken != spoken {
                        of_id.open.clear();
                    }
                    if of_id.count > 0 {
                        call.id = Text::Owned(another(&call.id, of_id.count, &taken));
                        taken.insert(call.id.to_string());
                    }
                    of_id.count = of_id.count.saturating_add(1);
                    of_id.spoken = spoken;
                    of_id.open.push_back(call.id.to_string());
                }
                Content::ToolResult(result) => {
                    let call = all.get_mut(result.call_id.as_ref()).and_then(|of_id| of_id.open.pop_front());
                    result.call_id = call.map_or_else(|| std::mem::take(&mut result.call_id), Text::Owned);
                }
                _ => {}
            }
        }
    }
}

/// All ids of the history, if two calls share one.
fn repeated(turns: &[Turn<'_>]) -> Option<HashSet<String>> {
    let ids = || {
        turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match &block.content {
            Content::ToolCall(call) if !call.id.is_empty() => Some(call.id.as_ref()),
            _ => None,
        })
    };
    let mut seen = HashSet::new();
    if ids().all(|id| seen.insert(id)) {
        return None;
    }
    Some(seen.into_iter().map(str::to_owned).collect())
}

/// An id that no call has yet. One that is not told to Gemini stays one.
fn another(id: &str, number: u32, taken: &HashSet<String>) -> String {
    let make = if gemini::is_call_id(id) { gemini::call_id } else { mint::call_id };
    let mut ids = (number..u32::MAX).map(|number| make(id, 0, number));
    ids.find(|new| !taken.contains(new)).unwrap_or_default()
}
