//! The whole reply, both ways: messages, and why each of them ended.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::{DIALECT, USAGE, sources, turn};
use crate::dialects::chatlike::finish;
use crate::dialects::chatlike::reply::{self, Counted, Form, take_index};
use crate::dialects::message::{ChatReply, Choice, Content, Envelope};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};

const FORM: Form = Form { dialect: DIALECT, object: "chat.completion", usage: USAGE };

pub(super) fn parse(body: &[u8]) -> Result<Counted<'_>, DialectError> {
    reply::parse(body, &FORM, parse_choice, |reply, choices| {
        if let Some(first) = choices.first_mut() {
            sources::cite(&mut first.turn.blocks, sources::of(reply));
        }
    })
}

fn parse_choice<'a>(raw: &'a RawValue, place: Place<'_>, position: usize) -> Result<Choice<'a>, DialectError> {
    let mut choice = Object::open(raw, place, Mode::Lenient)?;
    let inner = place.member("message");
    let Some(message) = choice.take_object("message")? else {
        return Err(inner.refuse("is required"));
    };
    let turn = turn::parse(message, inner, Mode::Lenient)?;
    let called = turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    Ok(Choice {
        index: take_index(&mut choice, place, position)?,
        turn,
        finish: finish::take(&mut choice, called),
        logprobs: choice.take_json("logprobs"),
        extras: choice.into_extras(DIALECT),
    })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    reply::render(reply, envelope, &FORM, write_choice)
}

fn write_choice(out: &mut Buffer, choice: &Choice<'_>) {
    output::object(out, |members| {
        members.whole("index", choice.index.into());
        members.object("message", |message| {
            turn::write_reply(message, &choice.turn);
        });
        match choice.logprobs.as_ref() {
            Some(logprobs) => members.raw("logprobs", logprobs.as_str()),
            None => members.null("logprobs"),
        }
        match &choice.finish {
            Some(finish) => finish::write(members, finish),
            None => members.null("finish_reason"),
        }
        members.extras(DIALECT, &choice.extras);
    });
}
