//! How much to think: one wish, said as a budget, an effort, a level or a switch, whichever the model knows.
//!
//! The rule: a wish is never said in two ways at once, and what the model cannot be told of it is named. The surprise:
//! while a model thinks, it may refuse to be forced to a tool, to be sampled otherwise, or to go on with its own turn.

mod amount;
mod form;

use super::demands::{Demands, Losses};
use super::{ReasoningStyle, forced};
use crate::dialects::message::{ChatRequest, Content, ReasoningMode, ReasoningWish, Role, Spelling, Text};
use crate::dialects::{Dialect, DialectError};
use amount::{Amount, adaptive, amount, budget_of, effort_of, nearest};
use form::on_or_off;
pub(super) use form::spell;

/// The least budget that Anthropic takes.
const LEAST_BUDGET: u64 = 1024;
/// What Anthropic is told where neither the client nor the model's row says a limit.
const MAX_TOKENS: u64 = 4096;
const NAME: &str = "reasoning_effort";

/// Says the wish in the model's words, and takes out what it does not bear beside it.
pub(super) fn suit(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    if source != demands.dialect {
        form::take(request);
        unknown(request, demands, losses)?;
    }
    let wanted = request.reasoning.as_ref().and_then(amount);
    let style = demands.capabilities.reasoning_style;
    let said = match (style, wanted) {
        (Some(style), Some(amount)) => say(request, amount, style, source, demands, losses)?,
        (None, Some(amount)) => say_by_dialect(request, amount, source, demands, losses)?,
        // A client that says nothing gets what the model does by itself.
        (_, None) => {
            if request.reasoning.is_some() && style == Some(ReasoningStyle::None) {
                request.reasoning = None;
            }
            None
        }
    };
    let wished = said.as_ref().is_some_and(|amount| *amount != Amount::Off);
    let off = said == Some(Amount::Off);
    let mut thinks = wished || (!off && demands.capabilities.thinks_by_itself());
    if thinks {
        thinks = beside_tools(request, wished, demands, losses)?;
    }
    if thinks && demands.dialect == Dialect::AnthropicMessages && wished {
        thinks = beside_history(request, demands, losses)?;
    }
    limit(request, demands, losses)?;
    let still = |request: &ChatRequest<'_>| thinks && request.reasoning.as_ref().and_then(amount) != Some(Amount::Off);
    forced::suit(request, still(request), demands, losses)?;
    if still(request) && wished && restrained(demands) {
        unsampled(request, losses)?;
    }
    Ok(())
}

/// An effort that is no word of anybody's would be refused. Some words leave it to the model.
fn unknown(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<(), DialectError> {
    let Some(wish) = &mut request.reasoning else {
        return Ok(());
    };
    let Some(effort) = wish.effort.as_deref().map(str::to_ascii_lowercase) else {
        return Ok(());
    };
    let is_named = || demands.capabilities.names_effort(&effort);
    if amount::is_known(&effort) || is_named() {
        wish.effort = Some(Text::Owned(effort));
        return Ok(());
    }
    wish.effort = None;
    if amount(wish).is_none() && wish.summary.is_none() && wish.include.is_none() {
        request.reasoning = None;
    }
    if matches!(effort.as_str(), "" | "default" | "auto") { Ok(()) } else { losses.lose(NAME) }
}

/// Puts a wish in the place of what was wished; what is told of the reasoning stays.
fn put(request: &mut ChatRequest<'_>, mode: Option<ReasoningMode>, effort: Option<String>, budget_tokens: Option<u64>) {
    let mut earlier = request.reasoning.take().unwrap_or_default();
    if mode == Some(ReasoningMode::Disabled) {
        // Of what is not thought nothing is told.
        (earlier.include, earlier.summary) = (None, None);
    }
    request.reasoning = Some(ReasoningWish {
        effort: effort.map(Text::Owned),
        mode,
        budget_tokens,
        spelling: Spelling::Plain,
        ..earlier
    });
}

/// Without a row: what the dialect has no words for is said in those it has.
fn say_by_dialect(
    request: &mut ChatRequest<'_>,
    amount: Amount,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<Option<Amount>, DialectError> {
    let by_effort = matches!(demands.dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses);
    if !by_effort || source == demands.dialect {
        return Ok(Some(amount));
    }
    match &amount {
        Amount::Off => put(request, None, Some("none".to_owned()), None),
        Amount::Budget(budget) => put(request, None, Some(effort_of(*budget).to_owned()), None),
        Amount::Effort(effort) => put(request, None, Some(effort.clone()), None),
        // How much is the model's to choose, and whether it thinks at all is not known.
        Amount::On => {
            request.reasoning = None;
            losses.lose(NAME)?;
        }
    }
    Ok(Some(amount))
}

/// Says an amount in a known style. Gives what was said; `None` where nothing was.
fn say(
    request: &mut ChatRequest<'_>,
    amount: Amount,
    style: ReasoningStyle,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<Option<Amount>, DialectError> {
    let can_stop = demands.capabilities.can_stop_thinking();
    let amount = match amount {
        _ if style == ReasoningStyle::None => {
            request.reasoning = None;
            if amount != Amount::Off {
                losses.lose(NAME)?;
            }
            return Ok(None);
        }
        Amount::Off if style == ReasoningStyle::Level || !can_stop => {
            losses.lose(NAME)?;
            Amount::Effort("minimal".to_owned())
        }
        other => other,
    };
    if amount != Amount::Off && source != demands.dialect {
        tell_reasoning(request, source);
    }
    let effort = match &amount {
        Amount::Off => "none".to_owned(),
        Amount::Effort(effort) => effort.clone(),
        Amount::Budget(budget) => effort_of(*budget).to_owned(),
        Amount::On => "medium".to_owned(),
    };
    match style {
        ReasoningStyle::None => {}
        ReasoningStyle::Effort if amount == Amount::Off && !demands.capabilities.takes_effort("none") => {
            // Off by itself: nothing has to be said. Else the switch of the provider, if it has one, says it.
            request.reasoning = None;
            if demands.capabilities.reasoning_default_on != Some(false) {
                put(request, Some(ReasoningMode::Disabled), None, None);
            }
        }
        ReasoningStyle::Effort if amount == Amount::On => put(request, Some(ReasoningMode::Enabled), None, None),
        ReasoningStyle::Effort | ReasoningStyle::Level => {
            let said = nearest(&effort, demands).to_owned();
            put(request, None, Some(said), None);
        }
        ReasoningStyle::Adaptive | ReasoningStyle::Budget if amount == Amount::Off => stop_thinking(request),
        ReasoningStyle::Adaptive => {
            let effort = (amount != Amount::On).then(|| adaptive(&effort, demands).to_owned());
            put(request, Some(ReasoningMode::Adaptive), effort, None);
        }
        ReasoningStyle::Budget => {
            let most = demands.capabilities.max_output.map(|most| most.saturating_sub(1));
            let budget = match amount {
                Amount::Budget(budget) => Some(budget),
                _ => budget_of(&effort).or(most),
            };
            let budget = budget.map(|budget| most.map_or(budget, |most| budget.min(most)));
            put(request, Some(ReasoningMode::Enabled), None, budget);
        }
        ReasoningStyle::Toggle => {
            put(request, Some(on_or_off(amount != Amount::Off)), None, None);
        }
    }
    Ok(Some(amount))
}

/// Clients of chat see reasoning wherever there is some; others must be told it only where they ask.
fn tell_reasoning(request: &mut ChatRequest<'_>, source: Dialect) {
    if let Some(wish) = &mut request.reasoning
        && wish.include.is_none()
        && matches!(source, Dialect::OpenAiChat | Dialect::AnthropicMessages | Dialect::Ollama | Dialect::CohereV2)
    {
        wish.include = Some(true);
    }
}

/// Some models take no function tools on chat while they think. Says whether it still thinks.
fn beside_tools(
    request: &mut ChatRequest<'_>,
    wished: bool,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<bool, DialectError> {
    let refused = demands.capabilities.chat_tools_with_reasoning == Some(false)
        && demands.dialect == Dialect::OpenAiChat
        && !request.tools.is_empty();
    if !refused {
        return Ok(true);
    }
    if wished {
        losses.lose(NAME)?;
    } else {
        losses.note(NAME);
    }
    stop_thinking(request);
    Ok(false)
}

/// Says that the model is not to think.
pub(super) fn stop_thinking(request: &mut ChatRequest<'_>) {
    put(request, Some(ReasoningMode::Disabled), None, None);
}

/// A thinking model of Anthropic's wants to see what it thought before the calls that are being answered.
fn beside_history(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<bool, DialectError> {
    let by_budget = request.reasoning.as_ref().is_some_and(|wish| wish.mode == Some(ReasoningMode::Enabled));
    let answers = request
        .turns
        .last()
        .is_some_and(|turn| turn.blocks.iter().any(|block| matches!(block.content, Content::ToolResult(_))));
    let thought = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant).is_some_and(|turn| {
        turn.blocks.iter().any(|block| match &block.content {
            Content::Reasoning(reasoning) => reasoning.signature.is_some() || reasoning.redacted.is_some(),
            _ => false,
        })
    });
    if !by_budget || !answers || thought || !demands.capabilities.can_stop_thinking() {
        return Ok(true);
    }
    losses.lose(NAME)?;
    stop_thinking(request);
    Ok(false)
}

/// The output limit: within what the model gives, there where it must be, and above the budget.
fn limit(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) -> Result<(), DialectError> {
    let most = demands.capabilities.max_output;
    if let (Some(asked), Some(most)) = (request.max_output_tokens(), most)
        && asked > most
    {
        losses.note(if request.max_completion_tokens.is_some() { "max_completion_tokens" } else { "max_tokens" });
        request.max_completion_tokens = request.max_completion_tokens.map(|asked| asked.min(most));
        request.max_tokens = request.max_tokens.map(|asked| asked.min(most));
    }
    give_budget(request, demands);
    let budget = request.reasoning.as_ref().and_then(|wish| wish.budget_tokens);
    let by_budget = demands.dialect == Dialect::BedrockConverse && budget.is_some();
    if demands.dialect != Dialect::AnthropicMessages && !by_budget {
        return Ok(());
    }
    let asked = request.max_output_tokens();
    let default = demands.capabilities.default_max_output.or(most).unwrap_or(MAX_TOKENS);
    let limit = match (asked, budget) {
        (Some(asked), _) => asked,
        // The client set no limit: there is room for what it wants thought and for an answer behind it.
        (None, Some(budget)) => {
            let wanted = default.max(budget.saturating_add(MAX_TOKENS));
            most.map_or(wanted, |most| wanted.min(most))
        }
        (None, None) => default,
    };
    if asked.is_none() {
        request.max_completion_tokens = Some(limit);
    }
    let thinks = request.reasoning.as_ref().is_some_and(|wish| wish.mode != Some(ReasoningMode::Disabled));
    let Some(budget) = budget.filter(|_| thinks) else {
        return Ok(());
    };
    // The limit counts thinking too: it is the client's, and the budget gives way to it.
    let within = budget.max(LEAST_BUDGET).min(limit.saturating_sub(1));
    if within < LEAST_BUDGET {
        losses.lose(NAME)?;
        stop_thinking(request);
    } else if let Some(wish) = &mut request.reasoning {
        if within != budget {
            losses.note(NAME);
        }
        wish.budget_tokens = Some(within);
    }
    Ok(())
}

/// Who is to think by a budget is told one: without it the wish is refused.
fn give_budget(request: &mut ChatRequest<'_>, demands: &Demands) {
    let takes = matches!(demands.dialect, Dialect::AnthropicMessages | Dialect::BedrockConverse);
    if let Some(wish) = request.reasoning.as_mut().filter(|wish| takes && wish.mode == Some(ReasoningMode::Enabled))
        && wish.budget_tokens.is_none()
    {
        wish.budget_tokens = budget_of(wish.effort.as_deref().unwrap_or("medium"));
    }
}

/// Models of Anthropic's that are given a budget are not sampled otherwise while they think.
fn restrained(demands: &Demands) -> bool {
    demands.dialect == Dialect::AnthropicMessages
}

fn unsampled(request: &mut ChatRequest<'_>, losses: &mut Losses) -> Result<(), DialectError> {
    let sampling = &mut request.sampling;
    if sampling.temperature.is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        losses.lose("temperature")?;
        sampling.temperature = None;
    }
    if sampling.top_k.take().is_some() {
        losses.lose("top_k")?;
    }
    if sampling.top_p.is_some_and(|value| value < 0.95) {
        losses.lose("top_p")?;
        sampling.top_p = None;
    }
    Ok(())
}
