//! The choice among tools: what a model cannot be forced to.
//!
//! The rule: a tool that is forced and not declared is refused, whatever else may be dropped; a forced tool says more
//! of what the client wants than a wish to think, let alone the model's own habit to.

use super::demands::{Demands, Losses, OnLoss, refusal};
use super::{instructions, reasoning};
use crate::dialects::message::{CallKind, ChatRequest, Tool, ToolChoice, ToolChoiceMode};
use crate::dialects::object::{self, Object};
use crate::dialects::{Dialect, DialectError};

const NAME: &str = "tool_choice";

/// Refuses to force a tool that is not there, or that the target cannot be told of.
pub(super) fn check(request: &mut ChatRequest<'_>, source: Dialect, target: Dialect) -> Result<(), DialectError> {
    if source != target {
        unread(request, source)?;
    }
    let request = &*request;
    let told = |tool: &Tool<'_>| is_told(tool, target);
    let is_of_provider = |name: &str| request.tools.iter().any(|tool| is_named(tool, name));
    let declared = |name: &str| {
        request.tools.iter().any(|tool| match tool {
            Tool::Callable(callable) => callable.name == name,
            Tool::Opaque { .. } => false,
        })
    };
    match request.tool_choice.as_ref().map(|choice| &choice.mode) {
        Some(ToolChoiceMode::Named(name)) if !declared(name) && is_of_provider(name) => {
            Err(refusal(NAME, "names a tool that this model cannot be told of"))
        }
        Some(ToolChoiceMode::Named(name)) if !declared(name) => {
            Err(refusal(NAME, "names a tool that is not among the tools"))
        }
        Some(ToolChoiceMode::Required) if request.tools.is_empty() => {
            Err(refusal(NAME, "requires a tool and there are none"))
        }
        Some(ToolChoiceMode::Required) if !request.tools.iter().any(told) => {
            Err(refusal(NAME, "requires a tool, and this model cannot be told of any of them"))
        }
        Some(ToolChoiceMode::Allowed { tools, required: true }) if !tools.iter().any(|(_, name)| declared(name)) => {
            Err(refusal(NAME, "names no tool that is among the tools"))
        }
        _ => Ok(()),
    }
}

/// Whether a target can be told of a tool.
fn is_told(tool: &Tool<'_>, target: Dialect) -> bool {
    match tool {
        Tool::Callable(_) => true,
        Tool::Opaque { dialect, .. } => *dialect == target,
    }
}

/// Whether it is a tool of this name that the client's own provider would run.
fn is_named(tool: &Tool<'_>, name: &str) -> bool {
    let Tool::Opaque { raw, .. } = tool else { return false };
    let raw = raw.as_raw();
    let tool = raw.and_then(Object::lenient);
    tool.and_then(|tool| tool.peek("name").and_then(object::text)).is_some_and(|known| known == name)
}

/// A choice among no tools says nothing, and is refused in some dialects; how many of them may be called at once does neither.
pub(super) fn forget(request: &mut ChatRequest<'_>, target: Dialect) {
    if request.tools.iter().any(|tool| is_told(tool, target)) {
        return;
    }
    request.parallel_tool_calls = None;
    if !is_forced(request) {
        request.tool_choice = None;
    }
}

/// A choice that was not understood: some servers' word for any tool, one among some tools of which not all are known, or
/// one that forces a tool that only its own dialect has.
fn unread(request: &mut ChatRequest<'_>, source: Dialect) -> Result<(), DialectError> {
    let Some(choice) = request.extras.get(source, NAME).filter(|_| request.tool_choice.is_none()).cloned() else {
        return Ok(());
    };
    match choice.as_str() {
        "null" => Ok(()),
        "\"any\"" => {
            request.extras.take(source, NAME);
            request.tool_choice = Some(ToolChoice { kind: CallKind::Function, mode: ToolChoiceMode::Required });
            Ok(())
        }
        _ => {
            let raw = choice.as_raw();
            let object = raw.and_then(Object::lenient);
            // Anthropic's form of it, which some servers of chat take.
            let text = |name: &str| object.as_ref().and_then(|choice| choice.peek(name)).and_then(object::text);
            if let (Some("tool" | "function"), Some(name)) = (text("type").as_deref(), text("name")) {
                let mode = ToolChoiceMode::Named(name.into_owned().into());
                request.tool_choice = Some(ToolChoice { kind: CallKind::Function, mode });
                request.extras.take(source, NAME);
                return Ok(());
            }
            let mode = object.as_ref().and_then(|choice| {
                let nested = choice.peek("allowed_tools").and_then(Object::lenient);
                choice.peek("mode").or_else(|| nested?.peek("mode"))
            });
            if mode.is_some_and(|mode| mode.get() == "\"auto\"") {
                return Ok(());
            }
            Err(refusal(NAME, "names a tool that this model cannot be told of"))
        }
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
    // A program that forces a tool reads its call and nothing else: thinking is what it can do without.
    if capabilities.can_force(false) && capabilities.can_stop_thinking() {
        if request.reasoning.is_some() {
            losses.lose("reasoning_effort")?;
        } else {
            losses.note("reasoning_effort");
        }
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
