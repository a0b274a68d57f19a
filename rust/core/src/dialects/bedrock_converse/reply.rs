//! The whole reply, both ways.

use bytes::Bytes;

use super::write::{self, Side};
use super::{DIALECT, blocks, finish, usage};
use crate::dialects::message::{ChatReply, Choice, Content, Envelope, Extras, Role, Spelling, Turn};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};

const OUTPUT: &str = "output";
const MESSAGE: &str = "message";

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member(OUTPUT);
    let Some(mut output) = reply.take_if(OUTPUT, Object::lenient) else {
        return Err(place.refuse("must be a JSON object"));
    };
    let Some(mut message) = output.take_if(MESSAGE, Object::lenient) else {
        return Err(place.member(MESSAGE).refuse("must be a JSON object"));
    };
    message.forget("role");
    let (blocks, spelling) = blocks::take_content(&mut message)?;
    let called = blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let finish = finish::take(&mut reply, called);
    let usage = reply.take_object("usage")?.map(usage::parse);
    let turn = Turn { spelling, extras: message.into_extras(DIALECT), ..Turn::new(Role::Assistant, blocks) };
    let mut extras = reply.into_extras(DIALECT);
    if !output.is_empty() {
        extras.push(output.into_rest(DIALECT, OUTPUT));
    }
    let choice = Choice { index: 0, turn, finish, logprobs: None, extras: Extras::default() };
    Ok(ChatReply { choices: vec![choice], usage, extras, ..ChatReply::default() })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let first = reply.choices.iter().min_by_key(|choice| choice.index);
    let said = first.and_then(|choice| choice.finish.as_ref());
    if said.is_some_and(finish::is_foreign_error) {
        return Err(Place::Document.member("stopReason").refuse("is an error"));
    }
    let id = if reply.id.is_empty() { envelope.id } else { &reply.id };
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.object(OUTPUT, |output| {
            output.object(MESSAGE, |message| {
                message.text("role", "assistant");
                let turn = first.map(|choice| &choice.turn);
                let blocks = turn.map(|turn| turn.blocks.as_slice()).unwrap_or_default();
                let says_none = turn.is_some_and(|turn| {
                    turn.spelling == Spelling::Absent && turn.extras.of(DIALECT).any(|extra| extra.name == "content")
                });
                if !says_none {
                    write::write_list(message, "content", blocks, Side::Client, id);
                }
                if let Some(turn) = turn {
                    message.extras(DIALECT, &turn.extras);
                }
            });
            output.rest_of(OUTPUT, DIALECT, &reply.extras);
        });
        if let Some(finish) = said {
            finish::write(members, finish);
        }
        if let Some(usage) = &reply.usage {
            members.object("usage", |members| usage::write(usage, members));
        }
        if let Some(finish) = said {
            members.extras(DIALECT, &finish.extras);
        }
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}
