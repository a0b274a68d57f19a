//! The whole reply, both ways: texts, and why each of them ended.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{DIALECT, USAGE, logprobs};
use crate::dialects::chatlike::{finish, or};
use crate::dialects::message::{Block, ChatReply, Choice, Content, Envelope, Finish, FinishReason, Role, Turn};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("choices");
    let Some(choices) = reply.take_list("choices")? else {
        return Err(place.refuse("must be a list"));
    };
    let choices = choices.into_iter().enumerate().map(|(index, raw)| parse_choice(raw, place.item(index), index));
    let choices = choices.collect::<Result<_, _>>()?;
    let usage = reply.take_object("usage")?.map(|raw| USAGE.parse(raw));
    for name in ["object", "usage"] {
        reply.forget(name);
    }
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
    let Some(text) = choice.take_if("text", object::text) else {
        return Err(place.member("text").refuse("must be a string"));
    };
    let index = choice.take_u64("index")?.unwrap_or(position as u64);
    let blocks = if text.is_empty() { Vec::new() } else { vec![Block::text(text)] };
    Ok(Choice {
        index: u32::try_from(index).map_err(|_| place.member("index").refuse("is too large"))?,
        turn: Turn::new(Role::Assistant, blocks),
        finish: finish::take(&mut choice, false),
        logprobs: choice.take_if("logprobs", logprobs::parse),
        extras: choice.into_extras(DIALECT),
    })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let choices = Place::Document.member("choices");
    for (index, choice) in reply.choices.iter().enumerate() {
        let place = choices.item(index);
        if matches!(&choice.finish, Some(finish) if finish.reason == FinishReason::Error) {
            return Err(place.member("finish_reason").refuse("is an error"));
        }
        if choice.turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_))) {
            return Err(place.refuse("calls a tool, which a completion cannot"));
        }
    }
    let mut out = Buffer::with_capacity(512);
    output::object(&mut out, |members| {
        members.text("id", or(&reply.id, envelope.id));
        members.text("object", "text_completion");
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
        members.text("text", &text_of(&choice.turn));
        // Log probabilities in a form that nobody documents are among the extras.
        if choice.extras.get(DIALECT, "logprobs").is_none() {
            write_logprobs(members, choice.logprobs.as_ref().and_then(|told| logprobs::render(told, &mut 0)).as_ref());
        }
        match &choice.finish {
            Some(finish) => write_finish(members, finish),
            None => members.null("finish_reason"),
        }
        members.extras(DIALECT, &choice.extras);
    });
}

/// A refusal is text, because there is nothing else to say it as; thoughts are not the answer.
fn text_of(turn: &Turn<'_>) -> String {
    let texts = turn.blocks.iter().filter_map(|block| match &block.content {
        Content::Text { text, .. } | Content::Refusal { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}

pub(super) fn write_logprobs(members: &mut Members<'_>, logprobs: Option<&crate::dialects::message::Json<'_>>) {
    match logprobs {
        Some(logprobs) => members.raw("logprobs", logprobs.as_str()),
        None => members.null("logprobs"),
    }
}

/// There are no tools here, so an end by them without a call is an end.
pub(super) fn write_finish(members: &mut Members<'_>, said: &Finish<'_>) {
    match said.reason {
        FinishReason::ToolCalls | FinishReason::FunctionCall => {
            finish::write(members, &Finish::new(FinishReason::Stop, said.native.clone()));
        }
        _ => finish::write(members, said),
    }
}
