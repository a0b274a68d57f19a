//! One message of a conversation, both ways: the roles, and the fields that stand beside the content.
//!
//! The surprise: a turn is not a message. Where a dialect puts tool results into the user's turn, chat wants a message
//! for each, before what the user says.

use serde_json::value::RawValue;

use super::{DIALECT, parts, tools};
use crate::dialects::chatlike::turns::{self, Piece};
use crate::dialects::message::{
    Block, CallKind, Citation, Content, Extras, Reasoning, ReasoningField, Role, Spelling, Text, ToolResult, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const ROLES: &str = "must be one of developer, system, user, assistant, tool, function";

/// The fields that hold reasoning as one string.
const FLAT_REASONING: [(&str, ReasoningField); 2] =
    [("reasoning_content", ReasoningField::ReasoningContent), ("reasoning", ReasoningField::Reasoning)];

pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Turn<'a>, DialectError> {
    let mut message = Object::open(raw, place, mode)?;
    let role = message.take_text("role")?;
    let role = match role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("tool") => return parse_result(message, CallKind::Function),
        Some("function") => return parse_result(message, CallKind::LegacyFunction),
        _ if mode == Mode::Lenient => Role::Assistant,
        _ => return Err(place.member("role").refuse(ROLES)),
    };
    message.forget("role");
    if role == Role::Assistant {
        return parse_assistant(message);
    }
    let (blocks, spelling) = parts::take_content(&mut message)?;
    if mode == Mode::Strict && blocks.is_empty() && spelling != Spelling::Structured {
        return Err(place.member("content").refuse("is required"));
    }
    Ok(Turn { role, name: message.take_text("name")?, blocks, spelling, extras: message.into_extras(DIALECT) })
}

fn parse_result<'a>(mut message: Object<'a, '_>, kind: CallKind) -> Result<Turn<'a>, DialectError> {
    let call_id = match kind {
        CallKind::LegacyFunction => Text::default(),
        _ => message.require_text("tool_call_id")?,
    };
    let name = message.take_text("name")?;
    let (blocks, spelling) = parts::take_content(&mut message)?;
    let result = ToolResult { kind, call_id, name, blocks, spelling, is_error: None };
    let mut turn = Turn::new(Role::Tool, vec![Block::new(Content::ToolResult(result))]);
    turn.extras = message.into_extras(DIALECT);
    Ok(turn)
}

fn parse_assistant<'a>(mut message: Object<'a, '_>) -> Result<Turn<'a>, DialectError> {
    let mut blocks = take_reasoning(&mut message);
    let (mut content, spelling) = parts::take_content(&mut message)?;
    take_citations(&mut message, &mut content);
    blocks.append(&mut content);
    if let Some(text) = message.take_text("refusal")? {
        blocks.push(Block::new(Content::Refusal { text, spelling: Spelling::Plain }));
    }
    tools::take_calls(&mut message, &mut blocks)?;
    Ok(Turn {
        role: Role::Assistant,
        name: message.take_text("name")?,
        blocks,
        spelling,
        extras: message.into_extras(DIALECT),
    })
}

/// Reads reasoning from the richest field that can be read whole; its poorer twins stay among the extras.
fn take_reasoning<'a>(message: &mut Object<'a, '_>) -> Vec<Block<'a>> {
    let details = message.take_if("reasoning_details", |raw| {
        let items = object::list(raw)?;
        let blocks: Option<Vec<_>> = items.into_iter().map(reasoning_detail).collect();
        blocks.filter(|blocks| !blocks.is_empty())
    });
    if let Some(blocks) = details {
        return blocks;
    }
    let flat = FLAT_REASONING.iter().find_map(|(name, field)| {
        let text = message.take_if(name, object::text)?;
        Some(Block::new(Content::Reasoning(Reasoning { text, field: *field, ..Reasoning::default() })))
    });
    flat.into_iter().collect()
}

/// An item of `reasoning_details`, the form in which OpenRouter carries signatures and hidden reasoning.
fn reasoning_detail(raw: &RawValue) -> Option<Block<'_>> {
    let mut item = Object::lenient(raw)?;
    let kind = item.take_if("type", object::text)?;
    let mut reasoning = Reasoning { field: ReasoningField::ReasoningDetails, ..Reasoning::default() };
    match kind.as_ref() {
        "reasoning.text" => {
            reasoning.text = item.take_if("text", object::text)?;
            reasoning.signature = item.take_if("signature", object::text);
        }
        "reasoning.summary" => {
            reasoning.summary = true;
            reasoning.text = item.take_if("summary", object::text)?;
        }
        "reasoning.encrypted" => reasoning.redacted = Some(item.take_if("data", object::text)?),
        _ => return None,
    }
    let mut block = Block::new(Content::Reasoning(reasoning));
    block.extras = item.into_extras(DIALECT);
    Some(block)
}

/// Moves `annotations` to the text they are about, when there is one text and each of them is a link.
fn take_citations<'a>(message: &mut Object<'a, '_>, content: &mut [Block<'a>]) {
    let [Block { content: Content::Text { citations, .. }, .. }] = content else {
        return;
    };
    let links = message.take_if("annotations", |raw| {
        let items = object::list(raw)?;
        let links: Option<Vec<_>> = items.into_iter().map(link).collect();
        links.filter(|links| !links.is_empty())
    });
    *citations = links.unwrap_or_default();
}

/// An annotation that is a link and nothing else.
pub(super) fn link(raw: &RawValue) -> Option<Citation<'_>> {
    let mut annotation = Object::lenient(raw)?;
    annotation.take_if("type", |raw| (raw.get() == "\"url_citation\"").then_some(()))?;
    let mut inner = annotation.take_if("url_citation", Object::lenient)?;
    if !annotation.is_empty() {
        return None;
    }
    Some(Citation {
        url: inner.take_if("url", object::text),
        title: inner.take_if("title", object::text),
        cited_text: None,
        start_index: inner.take_if("start_index", object::whole),
        end_index: inner.take_if("end_index", object::whole),
        extras: inner.into_extras(DIALECT),
    })
}

/// Writes the messages that a turn of a request means: one per tool result, then one for the rest.
pub(super) fn write_messages<'t>(turns: &'t [Turn<'t>], messages: &mut Members<'_>) {
    // Of what only another dialect knows, no message would be left.
    let lost = |block: &Block<'_>| matches!(block.content, Content::Opaque { dialect, .. } if dialect != DIALECT);
    let pieces = turns::pieces(turns, lost);
    messages.list("messages", pieces, |out, piece| match piece {
        Piece::Result(turn, result) => write_result(out, turn, result),
        Piece::Rest(turn) => output::object(out, |message| write_request_turn(message, turn)),
    });
}

fn write_result(out: &mut Buffer, turn: &Turn<'_>, result: &ToolResult<'_>) {
    output::object(out, |message| {
        if result.kind == CallKind::LegacyFunction {
            message.text("role", "function");
        } else {
            message.text("role", "tool");
            message.text("tool_call_id", &result.call_id);
        }
        message.text_if("name", result.name.as_deref());
        let parts: Vec<_> = result.blocks.iter().filter(|block| parts::is_part(block)).collect();
        parts::write_content(message, &parts, result.spelling);
        // Extras of a turn of the user belong to what the user says.
        if turn.role == Role::Tool {
            message.extras(DIALECT, &turn.extras);
        }
    });
}

fn write_request_turn(message: &mut Members<'_>, turn: &Turn<'_>) {
    let role = match turn.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    message.text("role", role);
    write_body(message, turn, turn.spelling);
    message.extras(DIALECT, &turn.extras);
}

/// Writes the message of a reply, with the members that the published schema requires.
pub(super) fn write_reply(message: &mut Members<'_>, turn: &Turn<'_>) {
    message.text("role", "assistant");
    let spelling = match turn.spelling {
        Spelling::Absent => Spelling::Plain,
        spelling => spelling,
    };
    write_body(message, turn, spelling);
    if !has_refusal(turn) {
        message.null("refusal");
    }
    message.extras(DIALECT, &turn.extras);
}

fn has_refusal(turn: &Turn<'_>) -> bool {
    turn.blocks.iter().any(|block| matches!(block.content, Content::Refusal { spelling: Spelling::Plain, .. }))
}

/// All but the extras, which come last because they yield to whatever has been written.
fn write_body(message: &mut Members<'_>, turn: &Turn<'_>, spelling: Spelling) {
    let parts: Vec<_> = turn.blocks.iter().filter(|block| parts::is_part(block)).collect();
    parts::write_content(message, &parts, spelling);
    message.text_if("name", turn.name.as_deref());
    if has_refusal(turn) {
        let refusals = turn.blocks.iter().filter_map(|block| match &block.content {
            Content::Refusal { text, spelling: Spelling::Plain } => Some(text.as_ref()),
            _ => None,
        });
        message.text("refusal", &refusals.collect::<String>());
    }
    write_reasoning(message, turn);
    write_citations(message, turn);
    tools::write_calls(message, &turn.blocks);
}

fn write_reasoning(message: &mut Members<'_>, turn: &Turn<'_>) {
    let blocks = || {
        turn.blocks.iter().filter_map(|block| match &block.content {
            Content::Reasoning(reasoning) => Some((block, reasoning)),
            _ => None,
        })
    };
    for (name, field) in FLAT_REASONING {
        let texts: Vec<_> = blocks()
            .filter(|(_, reasoning)| reasoning.field == field && reasoning.redacted.is_none())
            .map(|(_, reasoning)| reasoning.text.as_ref())
            .collect();
        if !texts.is_empty() {
            message.text(name, &texts.join("\n\n"));
        }
    }
    let details: Vec<_> = blocks()
        .filter(|(_, reasoning)| {
            reasoning.field == ReasoningField::ReasoningDetails
                || reasoning.signature.is_some()
                || reasoning.redacted.is_some()
        })
        .collect();
    if !details.is_empty() {
        message.list("reasoning_details", details, |out, (block, reasoning)| {
            write_reasoning_detail(out, reasoning, &block.extras);
        });
    }
}

pub(super) fn write_reasoning_detail(out: &mut Buffer, reasoning: &Reasoning<'_>, extras: &Extras<'_>) {
    output::object(out, |item| {
        if let Some(data) = &reasoning.redacted {
            item.text("type", "reasoning.encrypted");
            item.text("data", data);
        } else if reasoning.summary {
            item.text("type", "reasoning.summary");
            item.text("summary", &reasoning.text);
        } else {
            item.text("type", "reasoning.text");
            item.text("text", &reasoning.text);
            item.text_if("signature", reasoning.signature.as_deref());
        }
        item.extras(DIALECT, extras);
    });
}

/// Positions in `annotations` count from the start of the content; those of a citation from the start of its block.
fn write_citations(message: &mut Members<'_>, turn: &Turn<'_>) {
    let mut start = 0;
    let mut placed = Vec::new();
    for block in &turn.blocks {
        if let Content::Text { text, citations } = &block.content {
            placed.extend(citations.iter().filter(|citation| is_link(citation)).map(|citation| (start, citation)));
            start += text.chars().count() as u64;
        }
    }
    if placed.is_empty() {
        return;
    }
    message.list("annotations", placed, |out, (start, citation)| {
        write_citation(out, start, citation);
    });
}

/// Whether a citation is an annotation here: what another dialect leans on needs an address.
pub(super) fn is_link(citation: &Citation<'_>) -> bool {
    citation.url.is_some() || citation.extras.iter().all(|extra| extra.dialect == DIALECT)
}

pub(super) fn write_citation(out: &mut Buffer, start: u64, citation: &Citation<'_>) {
    output::object(out, |annotation| {
        annotation.text("type", "url_citation");
        annotation.object("url_citation", |link| {
            link.text_if("url", citation.url.as_deref());
            link.text_if("title", citation.title.as_deref());
            link.whole_if("start_index", citation.start_index.map(|at| at.saturating_add(start)));
            link.whole_if("end_index", citation.end_index.map(|at| at.saturating_add(start)));
            link.extras(DIALECT, &citation.extras);
        });
    });
}
