//! The choice among tools: what a model cannot be forced to.
//!
//! The rule: a tool that is forced and not declared is refused, whatever else may be dropped; a forced tool says more
//! of what the client wants than the model's own habit to think.

use super::demands::{Demands, Losses, OnLoss, refusal};
use super::{instructions, reasoning};
use crate::dialects::message::{ChatRequest, Tool, ToolChoiceMode};
use crate::dialects::{Dialect, DialectError};

const NAME: &str = "tool_choice";

/// Refuses to force a tool that is not there. One of a kind that only its own dialect knows may be named.
pub(super) fn check(request: &ChatRequest<'_>) -> Result<(), DialectError> {
    let declared = |name: &str| {
        request.tools.iter().any(|tool| match tool {
            Tool::Callable(callable) => callable.name == name,
            Tool::Opaque { .. } => false,
        })
    };
    match request.tool_choice.as_ref().map(|choice| &choice.mode) {
        Some(ToolChoiceMode::Named(name)) if !declared(name) => {
            Err(refusal(NAME, "names a tool that is not among the tools"))
        }
        Some(ToolChoiceMode::Required) if request.tools.is_empty() => {
            Err(refusal(NAME, "requires a tool and there are none"))
        }
        Some(ToolChoiceMode::Allowed { tools, required: true }) if !tools.iter().any(|(_, name)| declared(name)) => {
            Err(refusal(NAME, "names no tool that is among the tools"))
        }
        _ => Ok(()),
    }
}

fn is_forced(request: &ChatRequest<'_>) -> bool {
    matches!(
        request.tool_choice.as_ref().map(|choice| &choice.mode),
        Some(ToolChoiceMode::Named(_) | ToolChoiceMode::Required | ToolChoiceMode::Allowed { required: true, .. })
    )
}

/// Brings a forced choice and a model that thinks together.
pub(super) fn suit(
    request: &mut ChatRequest<'_>,
    thinks: bool,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let capabilities = &demands.capabilities;
    if !is_forced(request) {
        return Ok(());
    }
    // Anthropic's documentation is older than the rows: thinking and force do not go together.
    let thinking_forbids = demands.dialect == Dialect::AnthropicMessages && capabilities.forced_tool_choice.is_none();
    if capabilities.can_force(thinks) && !(thinks && thinking_forbids) {
        return Ok(());
    }
    let wished = request.reasoning.is_some();
    if capabilities.can_force(false) && !wished && capabilities.can_stop_thinking() {
        losses.note("reasoning_effort");
        reasoning::stop_thinking(request);
        return Ok(());
    }
    if demands.on_loss == OnLoss::Emulate {
        instructions::add(request, &sentence(request));
        losses.note(NAME);
    } else {
        losses.lose(NAME)?;
    }
    if let Some(choice) = &mut request.tool_choice {
        choice.mode = match std::mem::replace(&mut choice.mode, ToolChoiceMode::Auto) {
            ToolChoiceMode::Allowed { tools, .. } => ToolChoiceMode::Allowed { tools, required: false },
            _ => ToolChoiceMode::Auto,
        };
    }
    Ok(())
}

fn sentence(request: &ChatRequest<'_>) -> String {
    match request.tool_choice.as_ref().map(|choice| &choice.mode) {
        Some(ToolChoiceMode::Named(name)) => format!("Answer by calling the tool `{name}` and in no other way."),
        _ => "Answer by calling one of the tools and in no other way.".to_owned(),
    }
}

/// Whether calls may be made side by side, where that cannot be said.
pub(super) fn parallel(
    request: &mut ChatRequest<'_>,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let unsaid = match demands.capabilities.parallel_tools_flag {
        Some(takes) => !takes,
        None => matches!(demands.dialect, Dialect::Gemini | Dialect::CohereV2 | Dialect::Ollama),
    };
    if !unsaid {
        return Ok(());
    }
    match request.parallel_tool_calls.take() {
        Some(false) if demands.on_loss == OnLoss::Emulate && !request.tools.is_empty() => {
            instructions::add(request, "Call at most one tool at a time.");
            losses.note("parallel_tool_calls");
            Ok(())
        }
        Some(false) => losses.lose("parallel_tool_calls"),
        _ => Ok(()),
    }
}
