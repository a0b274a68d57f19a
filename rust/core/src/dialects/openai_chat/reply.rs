//! The whole reply, both ways.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{DIALECT, USAGE, sources, turn};
use crate::dialects::chatlike::{finish, or, usage};
use crate::dialects::message::{ChatReply, Choice, Content, Envelope, FinishReason};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("choices");
    let Some(choices) = reply.take_list("choices")? else {
        return Err(place.refuse("must be a list"));
    };
    let elsewhere = usage::elsewhere(&reply, &choices);
    let choices = choices.into_iter().enumerate().map(|(index, raw)| parse_choice(raw, place.item(index), index));
    let mut choices = choices.collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = choices.first_mut() {
        sources::cite(&mut first.turn.blocks, sources::of(&reply));
    }
    reply.forget("object");
    let usage = reply.take_object("usage")?.or(elsewhere).map(|raw| USAGE.parse(raw));
    // The published schema knows an absent usage, not a null one.
    reply.forget("usage");
    Ok(ChatReply {
        id: reply.take_text("id")?.unwrap_or_default(),
        model: reply.take_text("model")?.unwrap_or_default(),
        created_s: reply.take_u64("created")?,
        choices,
        usage,
        extras: reply.into_extras(DIALECT),
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
    let index = choice.take_u64("index")?.unwrap_or(position as u64);
    Ok(Choice {
        index: u32::try_from(index).map_err(|_| place.member("index").refuse("is too large"))?,
        turn,
        finish: finish::take(&mut choice, called),
        logprobs: choice.take_json("logprobs"),
        extras: choice.into_extras(DIALECT),
    })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let choices = Place::Document.member("choices");
    for (index, choice) in reply.choices.iter().enumerate() {
        let failed = matches!(&choice.finish, Some(finish) if finish.reason == FinishReason::Error);
        if failed {
            let place = choices.item(index);
            return Err(place.member("finish_reason").refuse("is an error"));
        }
    }
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.text("id", or(&reply.id, envelope.id));
        members.text("object", "chat.completion");
        members.whole("created", reply.created_s.unwrap_or(envelope.created_s));
        members.text("model", or(&reply.model, envelope.model));
        members.list("choices", &reply.choices, write_choice);
        if let Some(usage) = &reply.usage {
            members.object("usage", |members| USAGE.write(usage, members));
        }
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
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
