//! Temperature and its like, and the number of choices: within what the target takes, or left out.

use super::demands::{Demands, Losses, refusal};
use super::{ReasoningStyle, SamplingRule};
use crate::dialects::message::{ChatRequest, ReasoningMode};
use crate::dialects::{Dialect, DialectError};

/// The least and the most that a dialect documents for a number.
type Bounds = (f64, f64);

struct Rules {
    temperature: Bounds,
    top_p: Bounds,
    penalties: Bounds,
    top_k: (u64, u64),
    candidates: bool,
}

const NONE: Bounds = (f64::MIN, f64::MAX);

fn rules(dialect: Dialect) -> Rules {
    let free = Rules { temperature: NONE, top_p: NONE, penalties: NONE, top_k: (0, u64::MAX), candidates: true };
    match dialect {
        Dialect::AnthropicMessages => Rules { temperature: (0.0, 1.0), candidates: false, ..free },
        Dialect::CohereV2 => Rules {
            temperature: (0.0, 1.0),
            top_p: (0.01, 0.99),
            penalties: (0.0, 1.0),
            top_k: (0, 500),
            candidates: false,
        },
        Dialect::Gemini => Rules { temperature: (0.0, 2.0), ..free },
        Dialect::BedrockConverse | Dialect::OpenAiResponses | Dialect::Ollama => Rules { candidates: false, ..free },
        _ => free,
    }
}

pub(super) fn suit(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let rules = rules(demands.dialect);
    let choices = request.sampling.n.unwrap_or(1);
    if choices > 1 && (!rules.candidates || demands.quirks.one_choice) {
        return Err(refusal("n", "must be 1: this model gives one choice"));
    }
    if rejects(request, demands) {
        leave_out(request, demands, losses)?;
    }
    if source == demands.dialect {
        return Ok(());
    }
    let sampling = &mut request.sampling;
    let numbers = [
        ("temperature", &mut sampling.temperature, rules.temperature),
        ("top_p", &mut sampling.top_p, rules.top_p),
        ("frequency_penalty", &mut sampling.frequency_penalty, rules.penalties),
        ("presence_penalty", &mut sampling.presence_penalty, rules.penalties),
    ];
    for (name, value, (least, most)) in numbers {
        if let Some(number) = value
            && !(least..=most).contains(number)
        {
            losses.lose(name)?;
            *number = number.clamp(least, most);
        }
    }
    if let Some(top_k) = &mut sampling.top_k
        && !(rules.top_k.0..=rules.top_k.1).contains(top_k)
    {
        losses.lose("top_k")?;
        *top_k = (*top_k).clamp(rules.top_k.0, rules.top_k.1);
    }
    // Newer models refuse both, and the temperature is what clients set by hand.
    let both = sampling.temperature.is_some() && sampling.top_p.is_some();
    if both && demands.dialect == Dialect::AnthropicMessages {
        losses.lose("top_p")?;
        sampling.top_p = None;
    }
    Ok(())
}

/// Models of OpenAI's refuse to be sampled otherwise while they think, and only then.
fn rejects(request: &ChatRequest<'_>, demands: &Demands) -> bool {
    if demands.capabilities.sampling != Some(SamplingRule::Reject) {
        return false;
    }
    let by_effort = demands.capabilities.reasoning_style == Some(ReasoningStyle::Effort);
    let off = match &request.reasoning {
        Some(wish) => wish.effort.as_deref() == Some("none") || wish.mode == Some(ReasoningMode::Disabled),
        None => demands.capabilities.reasoning_default_on == Some(false),
    };
    !(by_effort && off)
}

fn leave_out(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<(), DialectError> {
    let sampling = &mut request.sampling;
    // One is what it would be anyway.
    let is_said = |value: Option<f64>| value.is_some_and(|value| (value - 1.0).abs() > f64::EPSILON);
    let mut lost = Vec::new();
    if is_said(sampling.temperature.take()) {
        lost.push("temperature");
    }
    if is_said(sampling.top_p.take()) {
        lost.push("top_p");
    }
    if sampling.top_k.take().is_some() {
        lost.push("top_k");
    }
    if matches!(demands.dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses) {
        if sampling.frequency_penalty.take().is_some_and(|value| value != 0.0) {
            lost.push("frequency_penalty");
        }
        if sampling.presence_penalty.take().is_some_and(|value| value != 0.0) {
            lost.push("presence_penalty");
        }
        if sampling.logprobs.take() == Some(true) {
            lost.push("logprobs");
        }
        if sampling.top_logprobs.take().is_some() {
            lost.push("top_logprobs");
        }
        if request.extras.take(Dialect::OpenAiChat, "logit_bias").is_some() {
            lost.push("logit_bias");
        }
    }
    lost.into_iter().try_for_each(|name| losses.lose(name))
}
