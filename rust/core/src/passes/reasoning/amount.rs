//! A wish to think as one amount, and what comes nearest to it in other words.

use super::super::Demands;
use crate::dialects::message::{ReasoningMode, ReasoningWish};

const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Whether a word for an effort is one that everybody knows.
pub(super) fn is_known(effort: &str) -> bool {
    EFFORTS.contains(&effort)
}

/// A wish, whatever words it was said in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Amount {
    Off,
    Effort(String),
    Budget(u64),
    /// Think, as much as seems right.
    On,
}

pub(super) fn amount(wish: &ReasoningWish<'_>) -> Option<Amount> {
    if wish.mode == Some(ReasoningMode::Disabled) || wish.effort.as_deref() == Some("none") {
        return Some(Amount::Off);
    }
    match (wish.budget_tokens, wish.effort.as_deref()) {
        (Some(0), _) => Some(Amount::Off),
        (Some(budget), _) => Some(Amount::Budget(budget)),
        (None, Some(effort)) => Some(Amount::Effort(effort.to_owned())),
        (None, None) => wish.mode.map(|_| Amount::On),
    }
}

/// The effort that comes nearest to a budget.
pub(super) fn effort_of(budget: u64) -> &'static str {
    match budget {
        0 => "none",
        1..2048 => "low",
        2048..8192 => "medium",
        8192..24576 => "high",
        _ => "xhigh",
    }
}

/// The budget that comes nearest to an effort; `None` for "as much as there is".
pub(super) fn budget_of(effort: &str) -> Option<u64> {
    match effort {
        "minimal" => Some(1024),
        "low" => Some(2048),
        "high" => Some(16384),
        "xhigh" => Some(32768),
        "max" => None,
        _ => Some(8192),
    }
}

/// The nearest effort that the model takes: one step down at a time, then up. An unknown word stays what it is.
pub(super) fn nearest<'e>(effort: &'e str, demands: &Demands) -> &'e str {
    let takes = |effort: &str| demands.capabilities.takes_effort(effort);
    let Some(at) = EFFORTS.iter().position(|known| *known == effort) else {
        return effort;
    };
    if takes(effort) {
        return effort;
    }
    // `none` is no little effort: whoever wants to think is not told to stop.
    let down = EFFORTS.iter().take(at).skip(1).rev();
    // Above the known ones, the highest is meant.
    let up = EFFORTS.iter().skip(at + 1);
    down.chain(up).find(|effort| takes(effort)).copied().unwrap_or(effort)
}

/// The efforts of Anthropic's models begin at `low`; some know no `xhigh`, and mean `max` by it.
pub(super) fn adaptive<'e>(effort: &'e str, demands: &Demands) -> &'e str {
    match effort {
        "minimal" => "low",
        "xhigh" if !demands.capabilities.takes_effort("xhigh") => "max",
        effort => nearest(effort, demands),
    }
}
