//! What a whole reply leaves open, or says in its server's own way, and every client of another dialect reads in one.

use crate::dialects::Dialect;
use crate::dialects::message::{CallKind, Choice, Content, Finish, FinishReason, Text};

/// What clients read as the arguments of a call that has none.
pub(super) const NO_ARGUMENTS: &str = "{}";

pub(super) fn settle(choice: &mut Choice<'_>, target: Dialect) {
    if target == Dialect::OpenAiResponses {
        // Every response has a status. One that came whole and does not say how it ended has not been cut short.
        choice.finish.get_or_insert_with(|| Finish::new(FinishReason::Stop, None));
    }
    has_arguments(choice);
}

/// Servers say in three ways that a call has no arguments, and clients read one of them.
fn has_arguments(choice: &mut Choice<'_>) {
    for block in &mut choice.turn.blocks {
        if let Content::ToolCall(call) = &mut block.content
            && call.kind != CallKind::Custom
            && matches!(call.arguments.trim(), "" | "null")
        {
            call.arguments = Text::Borrowed(NO_ARGUMENTS);
        }
    }
}
