//! One message of a conversation, both ways: the roles, and the fields that stand beside the content.
//!
//! The surprise: a turn is not a message. Where a dialect puts tool results into the user's turn, chat wants a message
//! for each, before what the user says.

use crate::dialects::raw::RawValue;

use super::{DIALECT, parts, pictures, sounds, sources, thoughts, tools};
use crate::dialects::chatlike::turns::{self, Piece};
use crate::dialects::message::{Block, CallKind, Citation, Content, Json, Role, Spelling, Text, ToolResult, Turn};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const ROLES: &str = "must be one of developer, system, user, assistant, tool, function";

/// Mark: a citation came as an annotation of ours, under this number or none.
const LINK: &str = "annotation";
/// Mark: what an annotation of ours says beside its link.
const MORE: &str = "more";

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
    let mut blocks = thoughts::take(&mut message);
    let (mut content, spelling) = parts::take_content(&mut message)?;
    take_citations(&mut message, &mut content);
    blocks.append(&mut content);
    pictures::take(&mut message, &mut blocks);
    sounds::take(&mut message, &mut blocks);
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

/// Moves `annotations` to the text they are about, when there is one text.
fn take_citations<'a>(message: &mut Object<'a, '_>, content: &mut [Block<'a>]) {
    let [Block { content: Content::Text { citations, .. }, .. }] = content else {
        return;
    };
    let Some(items) = message.peek("annotations").and_then(object::list) else {
        return;
    };
    let all = items.len();
    *citations = items.into_iter().filter_map(link).collect();
    if citations.len() < all {
        // The list stays as it is; its links are for others.
        citations.iter_mut().for_each(sources::stay_beside);
    } else if all > 0 {
        message.forget("annotations");
    }
}

/// An annotation that is a link. What stands beside the link is kept as a mark.
pub(super) fn link(raw: &RawValue) -> Option<Citation<'_>> {
    let mut annotation = Object::lenient(raw)?;
    annotation.take_if("type", |raw| (raw.get() == "\"url_citation\"").then_some(()))?;
    let mut inner = annotation.take_if("url_citation", Object::lenient)?;
    // Numbers stand where accumulators of streams look for them, and nowhere else.
    let number = annotation.take_json("index").unwrap_or(Json::null());
    let more = annotation.unspent(DIALECT, MORE);
    let mut citation = Citation {
        url: inner.take_if("url", object::text),
        title: inner.take_if("title", object::text),
        cited_text: None,
        start_index: inner.take_if("start_index", object::whole),
        end_index: inner.take_if("end_index", object::whole),
        extras: inner.into_extras(DIALECT),
    };
    citation.extras.mark(DIALECT, LINK, number);
    if let Some(more) = more {
        citation.extras.mark(DIALECT, MORE, more.value);
    }
    Some(citation)
}

/// Writes the messages that a turn of a request means: one per tool result, then one for the rest.
pub(super) fn write_messages<'t>(turns: &'t [Turn<'t>], messages: &mut Members<'_>) {
    // Of what only another dialect knows, no message would be left.
    let pieces = turns::pieces(turns, |block| !super::says(block));
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
    write_body(message, turn, turn.spelling, false);
    message.extras(DIALECT, &turn.extras);
}

/// Writes the message of a reply, with the members that the published schema requires.
pub(super) fn write_reply(message: &mut Members<'_>, turn: &Turn<'_>) {
    message.text("role", "assistant");
    let spelling = match turn.spelling {
        Spelling::Absent => Spelling::Plain,
        spelling => spelling,
    };
    write_body(message, turn, spelling, true);
    if !has_refusal(turn) {
        message.null("refusal");
    }
    message.extras(DIALECT, &turn.extras);
}

fn has_refusal(turn: &Turn<'_>) -> bool {
    turn.blocks.iter().any(|block| matches!(block.content, Content::Refusal { spelling: Spelling::Plain, .. }))
}

/// All but the extras, which come last because they yield to whatever has been written.
fn write_body(message: &mut Members<'_>, turn: &Turn<'_>, spelling: Spelling, in_reply: bool) {
    let beside = |block: &Block<'_>| pictures::is_beside(block, turn, in_reply) || sounds::is_beside(block);
    let is_part = |block: &&Block<'_>| parts::is_part(block) && !beside(block);
    let parts: Vec<_> = turn.blocks.iter().filter(is_part).collect();
    parts::write_content(message, &parts, spelling);
    message.text_if("name", turn.name.as_deref());
    if has_refusal(turn) {
        let refusals = turn.blocks.iter().filter_map(|block| match &block.content {
            Content::Refusal { text, spelling: Spelling::Plain } => Some(text.as_ref()),
            _ => None,
        });
        message.text("refusal", &refusals.collect::<String>());
    }
    thoughts::write(message, turn, !in_reply);
    write_citations(message, turn);
    pictures::write(message, turn, in_reply);
    sounds::write(message, &turn.blocks);
    tools::write_calls(message, &turn.blocks);
}

/// Positions in `annotations` count from the start of the content; those of a citation from the start of its block.
fn write_citations(message: &mut Members<'_>, turn: &Turn<'_>) {
    let mut start = 0;
    let mut placed = Vec::new();
    for block in &turn.blocks {
        if let Content::Text { text, citations } = &block.content {
            let length = text.chars().count() as u64;
            let links = citations.iter().filter(|citation| is_link(citation));
            placed.extend(links.map(|citation| (Span { start, length }, citation)));
            start += length;
        }
    }
    if !placed.is_empty() {
        message.list("annotations", placed, |out, (span, citation)| write_citation(out, span, None, citation));
    }
}

/// Whether a citation is an annotation here. What another dialect leans on needs an address: there are links and no others.
pub(super) fn is_link(citation: &Citation<'_>) -> bool {
    if sources::is_beside(citation) {
        return false;
    }
    citation.url.is_some() || citation.extras.marked(DIALECT, LINK).is_some()
}

/// Whether a citation is told somewhere.
pub(super) fn is_told(citation: &Citation<'_>) -> bool {
    is_link(citation) || sources::is_beside(citation)
}

/// Where among all characters of a content the block of a citation is.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// The schema requires all four members of a link. Where another dialect tells no place, it is about all of its text; a title
/// that nobody told is empty. In a stream it has a number.
pub(super) fn write_citation(out: &mut Buffer, span: Span, number: Option<u64>, citation: &Citation<'_>) {
    let ours = citation.extras.marked(DIALECT, LINK);
    let title = citation.title.as_ref().map(Text::to_string).or_else(|| ours.is_none().then(String::new));
    let at = |said: Option<u64>, otherwise: u64| {
        said.or(ours.is_none().then_some(otherwise)).map(|at| at.saturating_add(span.start))
    };
    output::object(out, |annotation| {
        annotation.text("type", "url_citation");
        match ours {
            Some(number) if number.as_str() != "null" => annotation.raw("index", number.as_str()),
            Some(_) => {}
            None => annotation.whole_if("index", number),
        }
        annotation.object("url_citation", |link| {
            link.text_if("url", citation.url.as_deref());
            link.text_if("title", title.as_deref());
            link.whole_if("start_index", at(citation.start_index, 0));
            link.whole_if("end_index", at(citation.end_index, span.length));
            link.extras(DIALECT, &citation.extras);
        });
        let more = citation.extras.marked(DIALECT, MORE).and_then(Json::as_raw);
        for (name, value) in more.and_then(Object::lenient).iter().flat_map(Object::members) {
            annotation.fill(name, value.get());
        }
    });
}
