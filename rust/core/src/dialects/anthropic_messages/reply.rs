//! The whole reply, both ways.

use bytes::Bytes;

use super::write::{self, Side};
use super::{DIALECT, blocks, finish, usage};
use crate::dialects::chatlike::or;
use crate::dialects::message::{
    Block, ChatReply, Choice, Content, Envelope, Extra, Extras, Finish, FinishReason, Role, Spelling, Turn,
};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("content");
    let Some(items) = reply.take_list("content")? else {
        return Err(place.refuse("must be a list"));
    };
    let mut blocks = blocks::parse_list(items, place, Mode::Lenient)?;
    let called = blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let mut finish = finish::take(&mut reply, called);
    if let Some(finish) = &mut finish {
        if blocks.is_empty() {
            blocks.extend(blocks::explanation(&mut reply, finish));
        }
        if let Some(details) = reply.take_json("stop_details") {
            finish.extras.push(Extra { dialect: DIALECT, name: "stop_details".into(), value: details });
        }
    }
    let usage = reply.take_object("usage")?.map(usage::parse);
    for name in ["type", "role", "usage"] {
        reply.forget(name);
    }
    for name in ["stop_reason", "stop_sequence"] {
        if reply.peek(name).is_none() {
            reply.forget(name);
        }
    }
    let id = reply.take_text("id")?.unwrap_or_default();
    blocks::name_calls(&mut blocks, &id);
    let choice = Choice {
        index: 0,
        turn: Turn { spelling: Spelling::Structured, ..Turn::new(Role::Assistant, blocks) },
        finish,
        logprobs: None,
        extras: Extras::default(),
    };
    Ok(ChatReply {
        id,
        model: reply.take_text("model")?.unwrap_or_default(),
        created_s: None,
        choices: vec![choice],
        usage,
        extras: reply.into_extras(DIALECT),
    })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let first = reply.choices.iter().min_by_key(|choice| choice.index);
    let said = first.and_then(|choice| choice.finish.as_ref());
    if said.is_some_and(|finish| finish.reason == FinishReason::Error) {
        return Err(Place::Document.member("stop_reason").refuse("is an error"));
    }
    let id = or(&reply.id, envelope.id);
    let mut blocks = first.map(|choice| choice.turn.blocks.as_slice()).unwrap_or_default();
    let explanation = explanation(blocks, said);
    if explanation.is_some() {
        blocks = &[];
    }
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.text("id", id);
        members.text("type", "message");
        members.text("role", "assistant");
        members.text("model", or(&reply.model, envelope.model));
        write::write_list(members, "content", blocks, Side::Client, id);
        finish::write(members, said, explanation);
        usage::write_member(members, reply.usage.as_ref());
        let mut extras = said.map(|finish| finish.extras.clone()).unwrap_or_default();
        extras.inherit(&reply.extras);
        members.extras(DIALECT, &extras);
    });
    Ok(out.into())
}

/// The text of a refusal that goes into the details of the finish.
fn explanation<'b>(blocks: &'b [Block<'b>], finish: Option<&Finish<'_>>) -> Option<&'b str> {
    match blocks {
        [Block { content: Content::Refusal { text, .. }, .. }] if finish::explains(finish) => Some(text),
        _ => None,
    }
}
