//! Writes the blocks of a message: to a client, who reads what there is, or to a model, which checks it.
//!
//! Its rule: what a model would refuse or disbelieve is not sent to it. [`says`] is the one place that knows what can be
//! said; whoever names what was dropped asks it too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::media::{self, Kind, Names, Said};
use super::{DIALECT, blocks, cache, citations};
use crate::dialects::anthropic_messages::input;
use crate::dialects::message::{Block, Citation, Content, Json, MediaSource, Reasoning, Spelling, ToolResult};
use crate::dialects::mint;
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// In a request: the model checks signatures and citations.
    Model,
    /// In a reply.
    Client,
}

/// Whether this dialect has words for a block at all.
pub(super) fn says(block: &Block<'_>, side: Side) -> bool {
    match &block.content {
        Content::Text { .. } | Content::ToolCall(_) | Content::ToolResult(_) | Content::Refusal { .. } => true,
        Content::Image { .. } | Content::File { .. } | Content::Audio { .. } => {
            media(block).is_some_and(|(source, kind)| kind.says(source) == Said::Whole)
        }
        Content::Reasoning(reasoning) => side == Side::Client || is_believed(reasoning, block),
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
    }
}

/// Reasoning comes back with its proof, or hidden in bytes. Some models of this dialect prove nothing.
fn is_believed(reasoning: &Reasoning<'_>, block: &Block<'_>) -> bool {
    let bytes = |data: &str| STANDARD.decode(data.as_bytes()).is_ok();
    let proof = reasoning.signature.is_some() || reasoning.redacted.as_deref().is_some_and(bytes);
    block.extras.marked(DIALECT, blocks::UNSIGNED).is_some() || (!reasoning.summary && proof)
}

pub(super) fn media<'b>(block: &'b Block<'_>) -> Option<(&'b MediaSource<'b>, Kind)> {
    match &block.content {
        Content::Image { source, .. } => Some((source, Kind::Image)),
        Content::File { source, .. } => Some((source, Kind::Document)),
        Content::Audio { source } => Some((source, Kind::Sound)),
        _ => None,
    }
}

pub(super) fn says_citation(citation: &Citation<'_>, side: Side) -> bool {
    match side {
        Side::Model => citation.extras.of(DIALECT).next().is_some(),
        Side::Client => citations::has_words(citation),
    }
}

/// Refuses images, sounds and documents whose bytes are not there.
pub(super) fn check(blocks: &[Block<'_>], place: Place<'_>) -> Result<(), DialectError> {
    for (index, block) in blocks.iter().enumerate() {
        let place = place.item(index);
        if media(block).is_some_and(|(source, kind)| kind.says(source) == Said::Elsewhere) {
            return Err(place.refuse("must hold its bytes: the target does not fetch them"));
        }
        if let Content::ToolResult(result) = &block.content {
            check(&result.blocks, place.member("content"))?;
        }
    }
    Ok(())
}

/// One item of `content`: a block, the hidden half of one that holds both text and a blob, or the mark behind one.
#[derive(Clone, Copy)]
enum Item<'b> {
    Whole(&'b Block<'b>),
    Hidden(&'b Block<'b>, &'b str),
    Mark(&'b Json<'b>),
    /// A document is not read without a text beside it.
    Beside(&'b str),
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
        if let Some(mark) = &block.cache_mark
            && !matches!(block.content, Content::Reasoning(_))
        {
            found.push(Item::Mark(mark));
        }
    }
    found
}

/// Whether a turn has a document of another dialect and nothing that is text.
fn lone_document<'b>(blocks: &'b [Block<'_>]) -> Option<&'b str> {
    let is_text = |block: &Block<'_>| matches!(block.content, Content::Text { .. } | Content::Refusal { .. });
    let document = blocks.iter().find(|block| matches!(block.content, Content::File { .. }))?;
    let ours = document.extras.marked(DIALECT, blocks::NAMED).is_some();
    (!ours && !blocks.iter().any(is_text)).then_some("(see the document)")
}

/// Writes `content` of what a model is told.
pub(super) fn write_content(owner: &mut Members<'_>, blocks: &[Block<'_>], names: &mut Names) {
    let mut said = items(blocks, Side::Model);
    said.extend(lone_document(blocks).map(Item::Beside));
    write_items(owner, "content", said, names, "");
}

pub(super) fn write_list<'b>(
    owner: &mut Members<'_>,
    name: &'static str,
    blocks: impl IntoIterator<Item = &'b Block<'b>>,
    side: Side,
    reply_id: &str,
) {
    write_items(owner, name, items(blocks, side), &mut Names::default(), reply_id);
}

/// `reply_id` names calls that came without an id.
fn write_items(owner: &mut Members<'_>, name: &'static str, items: Vec<Item<'_>>, names: &mut Names, reply_id: &str) {
    let mut calls = 0;
    owner.list(name, items, |out, item| match item {
        Item::Whole(Block { content: Content::Opaque { raw, .. }, .. }) => output::raw(out, raw.as_str()),
        Item::Whole(block) => {
            write_block(out, block, names, reply_id, calls);
            calls += u32::from(matches!(block.content, Content::ToolCall(_)));
        }
        Item::Hidden(block, data) => output::object(out, |members| {
            members.object("reasoningContent", |inner| {
                inner.text("redactedContent", data);
                inner.rest_of("reasoningContent", DIALECT, &block.extras);
            });
            members.extras(DIALECT, &block.extras);
        }),
        Item::Mark(mark) => cache::write(out, mark),
        Item::Beside(text) => output::object(out, |members| members.text("text", text)),
    });
}

fn write_block(out: &mut Buffer, block: &Block<'_>, names: &mut Names, reply_id: &str, call: u32) {
    let extras = &block.extras;
    let inner = |members: &mut Members<'_>, name: &'static str, fill: &mut dyn FnMut(&mut Members<'_>)| {
        members.object(name, |inner| {
            fill(inner);
            inner.rest_of(name, DIALECT, extras);
        });
    };
    output::object(out, |members| {
        match &block.content {
            Content::Text { text, citations } if citations::cites(citations, block) => {
                let came = extras.marked(DIALECT, citations::mark()).filter(|raw| raw.as_str() != "null");
                if let Some(raw) = came {
                    members.raw(citations::mark(), raw.as_str());
                    return members.extras(DIALECT, extras);
                }
                inner(members, citations::mark(), &mut |inner| citations::write_content(inner, text, citations));
            }
            Content::Text { text, .. }
                if extras.marked(DIALECT, blocks::JSON).is_some() && Json::parse(text).is_some() =>
            {
                members.raw(blocks::JSON, text);
            }
            // There is no block for a refusal: the client is to read it, and the model to know that it said it.
            Content::Text { text, .. } | Content::Refusal { text, .. } => members.text("text", text),
            Content::Reasoning(reasoning) => inner(members, "reasoningContent", &mut |inner| {
                inner.object("reasoningText", |said| {
                    said.text("text", &reasoning.text);
                    said.text_if("signature", reasoning.signature.as_deref());
                });
            }),
            Content::ToolCall(tool_call) => inner(members, "toolUse", &mut |inner| {
                if tool_call.id.is_empty() {
                    inner.text("toolUseId", &mint::call_id(reply_id, 0, call));
                } else {
                    inner.text("toolUseId", &tool_call.id);
                }
                inner.text("name", &tool_call.name);
                input::write(inner.key("input"), tool_call.kind, &tool_call.arguments);
            }),
            Content::ToolResult(result) => {
                inner(members, "toolResult", &mut |inner| write_result(inner, result, names));
            }
            Content::Image { source, .. } => {
                inner(members, "image", &mut |inner| media::write(inner, source, Kind::Image));
            }
            Content::Audio { source } => {
                inner(members, "audio", &mut |inner| media::write(inner, source, Kind::Sound));
            }
            Content::File { source, filename } => inner(members, "document", &mut |inner| {
                if extras.marked(DIALECT, blocks::NAMED).is_some() {
                    inner.text_if("name", filename.as_deref());
                    names.keep(filename.as_deref().unwrap_or_default());
                } else {
                    inner.text("name", &names.give(filename.as_deref()));
                }
                media::write(inner, source, Kind::Document);
            }),
            Content::Opaque { .. } => {}
        }
        members.extras(DIALECT, extras);
    });
}

fn write_result(inner: &mut Members<'_>, result: &ToolResult<'_>, names: &mut Names) {
    inner.text("toolUseId", &result.call_id);
    if result.spelling != Spelling::Absent || !result.blocks.is_empty() {
        // A mark is none of the blocks that a result may hold.
        let mut said = items(&result.blocks, Side::Model);
        said.retain(|item| !matches!(item, Item::Mark(_)));
        write_items(inner, "content", said, names, "");
    }
    if result.is_error == Some(true) {
        inner.text("status", "error");
    }
}
