//! Writes the blocks of a message: to a client, who reads what there is, or to a model, which checks it.
//!
//! Its rule: what a model would refuse or disbelieve is not sent to it. [`says`] is the one place that knows what can be
//! said; whoever names what was dropped asks it too.

use super::blocks::SIGNATURE;
use super::{DIALECT, citations, input, media};
use crate::dialects::message::{Block, Citation, Content, Spelling, ToolResult};
use crate::dialects::mint;
use crate::dialects::output::{self, Buffer, Members};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// In a request: the model checks signatures and citations.
    Model,
    /// In a reply, of the id given.
    Client,
}

/// Whether this dialect has words for a block at all.
pub(super) fn says(block: &Block<'_>, side: Side) -> bool {
    match &block.content {
        // An empty text is refused when it comes back as history.
        Content::Text { text, .. } => side == Side::Model || !text.is_empty(),
        Content::Image { .. }
        | Content::File { .. }
        | Content::ToolCall(_)
        | Content::ToolResult(_)
        | Content::Refusal { .. } => true,
        Content::Audio { .. } => false,
        Content::Reasoning(reasoning) => {
            let believed = !reasoning.summary && (reasoning.signature.is_some() || reasoning.redacted.is_some());
            side == Side::Client || believed
        }
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
    }
}

pub(super) fn says_citation(citation: &Citation<'_>, side: Side) -> bool {
    match side {
        Side::Model => citations::is_ours(citation),
        Side::Client => citations::has_words(citation),
    }
}

/// One item of `content`: a block, or the hidden half of one that holds both text and a blob.
#[derive(Clone, Copy)]
enum Item<'b> {
    Whole(&'b Block<'b>),
    Hidden(&'b Block<'b>, &'b str),
}

fn items<'b>(blocks: impl IntoIterator<Item = &'b Block<'b>>, side: Side) -> Vec<Item<'b>> {
    let mut found = Vec::new();
    for block in blocks.into_iter().filter(|block| says(block, side)) {
        match &block.content {
            Content::Reasoning(reasoning) if reasoning.redacted.is_some() => {
                if !reasoning.text.is_empty() {
                    found.push(Item::Whole(block));
                }
                found.push(Item::Hidden(block, reasoning.redacted.as_deref().unwrap_or_default()));
            }
            _ => found.push(Item::Whole(block)),
        }
    }
    found
}

/// Writes a list of blocks; `reply_id` names calls that came without an id.
pub(super) fn write_list<'b>(
    owner: &mut Members<'_>,
    name: &'static str,
    blocks: impl IntoIterator<Item = &'b Block<'b>>,
    side: Side,
    reply_id: &str,
) {
    let mut calls = 0;
    owner.list(name, items(blocks, side), |out, item| match item {
        Item::Whole(Block { content: Content::Opaque { raw, .. }, .. }) => output::raw(out, raw.as_str()),
        Item::Whole(block) => {
            write_block(out, block, side, reply_id, calls);
            calls += u32::from(matches!(block.content, Content::ToolCall(_)));
        }
        Item::Hidden(block, data) => output::object(out, |members| {
            members.text("type", "redacted_thinking");
            members.text("data", data);
            members.extras(DIALECT, &block.extras);
        }),
    });
}

/// Writes what a model is told as it was written: a string where nothing would be lost by that.
pub(super) fn write_content<'b>(
    owner: &mut Members<'_>,
    name: &'static str,
    blocks: &'b [Block<'b>],
    spelling: Spelling,
) {
    let said: Vec<_> = blocks.iter().filter(|block| says(block, Side::Model)).collect();
    match (spelling, said.as_slice()) {
        (Spelling::Plain, [block]) if let Some(text) = bare_text(block) => owner.text(name, text),
        _ => write_list(owner, name, said, Side::Model, ""),
    }
}

fn bare_text<'b>(block: &'b Block<'_>) -> Option<&'b str> {
    let bare = block.cache_mark.is_none() && block.extras.of(DIALECT).next().is_none();
    match &block.content {
        Content::Text { text, citations } if bare && citations.is_empty() => Some(text),
        _ => None,
    }
}

fn write_block(out: &mut Buffer, block: &Block<'_>, side: Side, reply_id: &str, call: u32) {
    output::object(out, |members| {
        match &block.content {
            Content::Text { text, citations } => {
                members.text("type", "text");
                members.text("text", text);
                write_citations(members, citations, side);
            }
            // There is no block for it: the client is to read it, and the model to know that it said it.
            Content::Refusal { text, .. } => {
                members.text("type", "text");
                members.text("text", text);
            }
            Content::Reasoning(reasoning) => {
                members.text("type", "thinking");
                members.text("thinking", &reasoning.text);
                members.text("signature", reasoning.signature.as_deref().unwrap_or_default());
            }
            Content::ToolCall(tool_call) => {
                members.text("type", "tool_use");
                if tool_call.id.is_empty() {
                    members.text("id", &mint::call_id(reply_id, 0, call));
                } else {
                    members.text("id", &tool_call.id);
                }
                members.text("name", &tool_call.name);
                input::write(members.key("input"), tool_call.kind, &tool_call.arguments);
                // Its clients keep it; the model knows no such member, and refuses it.
                members.text_if(SIGNATURE, tool_call.signature.as_deref().filter(|_| side == Side::Client));
            }
            Content::ToolResult(result) => write_result(members, result),
            Content::Image { source, .. } => {
                members.text("type", "image");
                media::write(members, source, false, &block.extras);
            }
            Content::File { source, filename } => {
                members.text("type", "document");
                media::write(members, source, true, &block.extras);
                members.text_if("title", filename.as_deref());
            }
            Content::Audio { .. } | Content::Opaque { .. } => {}
        }
        // Thinking takes no mark.
        if !matches!(block.content, Content::Reasoning(_)) {
            members.json_if("cache_control", block.cache_mark.as_ref());
        }
        members.extras(DIALECT, &block.extras);
    });
}

fn write_citations(block: &mut Members<'_>, citations: &[Citation<'_>], side: Side) {
    let said: Vec<_> = citations.iter().filter(|citation| says_citation(citation, side)).collect();
    if !said.is_empty() {
        block.list("citations", said, |out, citation| citations::write(out, citation));
    }
}

fn write_result(block: &mut Members<'_>, result: &ToolResult<'_>) {
    block.text("type", "tool_result");
    block.text("tool_use_id", &result.call_id);
    // An empty list is refused; a result without content is not.
    if result.spelling == Spelling::Structured || !result.blocks.is_empty() {
        write_content(block, "content", &result.blocks, result.spelling);
    }
    block.flag_if("is_error", result.is_error);
}
