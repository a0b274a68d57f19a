//! Writes items: the blocks of a turn fall into them as they were read, or as their kind wants it.

use super::super::parts::{self, Dress, OUTPUT_TEXT};
use super::{BETWEEN, CONTENT, DIALECT, HEAD, ITEM, LENGTHS, MADE, PICTURE, input_of, type_of};
use crate::dialects::message::{Block, CallKind, Content, Extras, Json, MediaSource, Reasoning, Text, ToolCall};
use crate::dialects::mint;
use crate::dialects::object::Object;
use crate::dialects::output::{self, Buffer, Members};

/// The parts that a text was made of, where it still is what it was.
fn split<'t>(text: &'t str, extras: &Extras<'_>) -> Vec<&'t str> {
    let marked = extras.marked(DIALECT, LENGTHS);
    let lengths: Option<Vec<String>> = marked.and_then(|lengths| serde_json::from_str(lengths.as_str()).ok());
    let mut rest = Some(text);
    let mut parts = Vec::new();
    for length in lengths.iter().flatten() {
        let at = length.parse().ok().filter(|_| rest.is_some());
        let cut = at.and_then(|at| rest?.split_at_checked(at));
        let Some((part, after)) = cut else {
            return vec![text];
        };
        parts.push(part);
        rest = after.strip_prefix(BETWEEN);
    }
    // Every part was found, and nothing is behind the last.
    if rest.is_none()
        && parts.iter().map(|part| part.len() + BETWEEN.len()).sum::<usize>() == text.len() + BETWEEN.len()
    {
        return parts;
    }
    if text.is_empty() { Vec::new() } else { vec![text] }
}

/// An item to be written, and the blocks it is made of.
pub(in crate::dialects::openai_responses) enum Item<'b> {
    Message(Vec<&'b Block<'b>>),
    Reasoning(Vec<(&'b Block<'b>, &'b Reasoning<'b>)>),
    Call(&'b Block<'b>, &'b ToolCall<'b>),
    /// A picture and its bytes.
    Picture(&'b Block<'b>, &'b str),
    Raw(&'b Json<'b>),
}

/// The items that a turn of the model comes to. What cannot be an item is left out; the caller names it. In a reply, a
/// picture of another dialect is one that the model made.
pub(in crate::dialects::openai_responses) fn items<'b>(blocks: &'b [Block<'b>], in_reply: bool) -> Vec<Item<'b>> {
    let mut items: Vec<Item<'b>> = Vec::new();
    for block in blocks {
        let begins = block.extras.marked(DIALECT, ITEM).is_some();
        let is_part = block.extras.marked(DIALECT, parts::PART).is_some();
        match &block.content {
            Content::Reasoning(reasoning) => {
                let goes_on = !begins && block.extras.marked(DIALECT, CONTENT).is_some();
                match items.last_mut() {
                    Some(Item::Reasoning(blocks)) if goes_on => blocks.push((block, reasoning)),
                    _ => items.push(Item::Reasoning(vec![(block, reasoning)])),
                }
            }
            Content::ToolCall(call) => items.push(Item::Call(block, call)),
            Content::Image { source: MediaSource::Base64 { data, .. }, .. }
                if !is_part && (in_reply || block.extras.marked(DIALECT, PICTURE).is_some()) =>
            {
                items.push(Item::Picture(block, data));
            }
            Content::Opaque { dialect, raw } if *dialect == DIALECT && !is_part => items.push(Item::Raw(raw)),
            _ if !is_said(block) => {}
            // What says nothing is no message beside what does; one of our own stays as it was.
            Content::Text { text, citations }
                if text.is_empty() && citations.is_empty() && !begins && !is_ours(items.last()) => {}
            _ => match items.last_mut() {
                Some(Item::Message(blocks)) if !begins => blocks.push(block),
                _ => items.push(Item::Message(vec![block])),
            },
        }
    }
    items
}

/// Whether an item is a message that was read as one.
fn is_ours(item: Option<&Item<'_>>) -> bool {
    let Some(Item::Message(blocks)) = item else {
        return false;
    };
    blocks.first().is_some_and(|first| first.extras.marked(DIALECT, ITEM).is_some())
}

/// Whether the model can be quoted with this block: media are the user's here, unless a message of ours held them.
pub(in crate::dialects::openai_responses) fn is_said(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::Refusal { .. } | Content::Reasoning(_) | Content::ToolCall(_) => true,
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        Content::Image { .. } | Content::Audio { .. } | Content::File { .. } => {
            [parts::PART, PICTURE].into_iter().any(|mark| block.extras.marked(DIALECT, mark).is_some())
        }
        Content::ToolResult(_) => false,
    }
}

/// How items are written: in a request as they are, in a reply (which has an id) with all that the schema requires.
#[derive(Clone, Copy)]
pub(in crate::dialects::openai_responses) struct Manner<'m> {
    pub(in crate::dialects::openai_responses) reply_id: Option<&'m str>,
    /// For the first text.
    pub(in crate::dialects::openai_responses) logprobs: Option<&'m str>,
}

pub(in crate::dialects::openai_responses) fn write(
    out: &mut Buffer,
    index: u64,
    item: &Item<'_>,
    manner: &mut Manner<'_>,
) {
    match item {
        Item::Raw(raw) => output::raw(out, raw.as_str()),
        Item::Message(blocks) => output::object(out, |members| write_message(members, index, blocks, manner)),
        Item::Reasoning(blocks) => output::object(out, |members| write_reasoning(members, index, blocks, manner)),
        Item::Call(block, call) => output::object(out, |members| write_call(members, index, block, call, manner)),
        Item::Picture(block, data) => output::object(out, |members| {
            write_head(members, block, MADE, manner.reply_id.map(|id| mint::item_id("ig", id, index)));
            members.text("result", data);
            members.extras(DIALECT, &block.extras);
        }),
    }
}

/// The head as it was, or one of ours: an id is minted for a reply only.
fn write_head(members: &mut Members<'_>, block: &Block<'_>, kind: &'static str, id: Option<String>) {
    if repeat_head(members, &block.extras) {
        return;
    }
    members.text("type", kind);
    if let Some(id) = id {
        members.text("id", &id);
        if kind != "reasoning" {
            members.text("status", "completed");
        }
    }
    if kind == "message" {
        members.text("role", "assistant");
    }
}

/// Writes the head that was read, if one was.
pub(in crate::dialects::openai_responses) fn repeat_head(members: &mut Members<'_>, extras: &Extras<'_>) -> bool {
    let head = extras.marked(DIALECT, ITEM).and_then(Json::as_raw);
    let Some(head) = head.and_then(Object::lenient) else {
        return false;
    };
    for name in HEAD {
        if let Some(raw) = head.peek(name) {
            members.raw(name, raw.get());
        }
    }
    true
}

fn write_message(members: &mut Members<'_>, index: u64, blocks: &[&Block<'_>], manner: &mut Manner<'_>) {
    let Some(first) = blocks.first() else {
        return;
    };
    let id = manner.reply_id.map(|id| mint::item_id("msg", id, index));
    write_head(members, first, "message", id);
    let head = first.extras.marked(DIALECT, ITEM);
    let raw = head.and_then(Json::as_raw);
    let as_text = raw.and_then(Object::lenient).is_some_and(|head| head.has("content"));
    let foreign = head.is_none();
    match bare_text(blocks) {
        // In the list form the schema wants an id and more, which what another dialect said does not have.
        Some(text) if as_text || (foreign && manner.reply_id.is_none()) => members.text("content", &text),
        _ => members.list("content", blocks, |out, block| {
            let is_text = matches!(block.content, Content::Text { .. });
            let logprobs = if is_text { manner.logprobs.take() } else { None };
            let complete = foreign || manner.reply_id.is_some();
            parts::write(out, block, Dress { text: OUTPUT_TEXT, complete, logprobs });
        }),
    }
    members.rest_of("message", DIALECT, &first.extras);
}

/// Blocks that are nothing but text, joined without a separator.
fn bare_text<'b>(blocks: &[&'b Block<'_>]) -> Option<Text<'b>> {
    let mut joined: Option<Text<'b>> = None;
    for block in blocks {
        let Content::Text { text, citations } = &block.content else {
            return None;
        };
        let more = block.extras.of(DIALECT).any(|extra| extra.name != "message");
        // What is no link is not said.
        if more || citations.iter().any(parts::is_annotation) || parts::cache_mark(block).is_some() {
            return None;
        }
        match &mut joined {
            None => joined = Some(Text::Borrowed(text)),
            Some(joined) => joined.to_mut().push_str(text),
        }
    }
    joined
}

fn write_reasoning(
    members: &mut Members<'_>,
    index: u64,
    blocks: &[(&Block<'_>, &Reasoning<'_>)],
    manner: &Manner<'_>,
) {
    let Some((first, _)) = blocks.first() else {
        return;
    };
    let id = manner.reply_id.map(|id| mint::item_id("rs", id, index));
    write_head(members, first, "reasoning", id);
    let is_content = |block: &Block<'_>| block.extras.marked(DIALECT, CONTENT).is_some();
    let texts = |wanted: bool| {
        let blocks = blocks.iter().filter(move |(block, _)| is_content(block) == wanted);
        blocks.flat_map(|(block, reasoning)| split(&reasoning.text, &block.extras)).collect::<Vec<_>>()
    };
    if first.extras.get(DIALECT, "summary").is_none() {
        members.list("summary", texts(false), |out, text| write_thought(out, "summary_text", text));
    }
    let content = texts(true);
    if !content.is_empty() {
        members.list("content", content, |out, text| write_thought(out, "reasoning_text", text));
    }
    let encrypted =
        blocks.iter().find_map(|(_, reasoning)| reasoning.signature.as_ref().or(reasoning.redacted.as_ref()));
    members.text_if("encrypted_content", encrypted.map(AsRef::as_ref));
    members.extras(DIALECT, &first.extras);
}

pub(in crate::dialects::openai_responses) fn write_thought(out: &mut Buffer, kind: &str, text: &str) {
    output::object(out, |part| {
        part.text("type", kind);
        part.text("text", text);
    });
}

fn write_call(members: &mut Members<'_>, index: u64, block: &Block<'_>, call: &ToolCall<'_>, manner: &Manner<'_>) {
    let prefix = if call.kind == CallKind::Custom { "ctc" } else { "fc" };
    let id = manner.reply_id.map(|id| mint::item_id(prefix, id, index));
    write_head(members, block, type_of(call.kind), id);
    match manner.reply_id {
        // The first generation of calls, and servers that forget, have no ids.
        Some(reply_id) if call.id.is_empty() => {
            members.text("call_id", &mint::call_id(reply_id, 0, u32::try_from(index).unwrap_or(u32::MAX)));
        }
        _ => members.text("call_id", &call.id),
    }
    members.text("name", &call.name);
    members.text(input_of(call.kind), &call.arguments);
    members.extras(DIALECT, &block.extras);
}
