//! Messages: where they stand in a request, and which of them the turns of the neutral form mean.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Block, Content, ToolResult, Turn};
use crate::dialects::object::Object;
use crate::dialects::{DialectError, Place};

/// Takes `messages`, of which there must be one.
pub(crate) fn take_messages<'a>(request: &mut Object<'a, '_>) -> Result<Vec<&'a RawValue>, DialectError> {
    let messages = request.take_list("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(Place::Document.member("messages").refuse("must hold at least one message"));
    }
    Ok(messages)
}

/// What becomes a message of its own.
pub(crate) enum Piece<'t> {
    /// The result of a tool, and the turn it is in.
    Result(&'t Turn<'t>, &'t ToolResult<'t>),
    /// What else a turn says.
    Rest(&'t Turn<'t>),
}

/// One piece per tool result, then one for the rest of the turn. Of a turn that holds nothing but results and what is
/// `lost`, no rest is left.
pub(crate) fn pieces<'t>(
    turns: &'t [Turn<'t>],
    lost: impl Fn(&Block<'_>) -> bool + Copy,
) -> impl Iterator<Item = Piece<'t>> {
    turns.iter().flat_map(move |turn| {
        let results = turn.blocks.iter().filter_map(move |block| match &block.content {
            Content::ToolResult(result) => Some(Piece::Result(turn, result)),
            _ => None,
        });
        let is_result = |block: &Block<'_>| matches!(block.content, Content::ToolResult(_));
        let no_rest = turn.blocks.iter().all(|block| is_result(block) || lost(block));
        let rest = (turn.blocks.is_empty() || !no_rest).then_some(Piece::Rest(turn));
        results.chain(rest)
    })
}
