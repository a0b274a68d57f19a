//! The whole reply, both ways: texts, and why each of them ended.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::{DIALECT, USAGE, logprobs};
use crate::dialects::chatlike::finish;
use crate::dialects::chatlike::reply::{self, Form, take_index};
use crate::dialects::message::{Block, ChatReply, Choice, Content, Envelope, Finish, FinishReason, Role, Turn};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const FORM: Form = Form { dialect: DIALECT, object: "text_completion", usage: USAGE };

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    reply::parse(body, &FORM, parse_choice, |_, _| {}).map(|(chat, _)| chat)
}

fn parse_choice<'a>(raw: &'a RawValue, place: Place<'_>, position: usize) -> Result<Choice<'a>, DialectError> {
    let mut choice = Object::open(raw, place, Mode::Lenient)?;
    let Some(text) = choice.take_if("text", object::text) else {
        return Err(place.member("text").refuse("must be a string"));
    };
    let blocks = if text.is_empty() { Vec::new() } else { vec![Block::text(text)] };
    Ok(Choice {
        index: take_index(&mut choice, place, position)?,
        turn: Turn::new(Role::Assistant, blocks),
        finish: finish::take(&mut choice, false),
        logprobs: choice.take_if("logprobs", logprobs::parse),
        extras: choice.into_extras(DIALECT),
    })
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let calls =
        |choice: &Choice<'_>| choice.turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    if let Some(at) = reply.choices.iter().position(calls) {
        let place = Place::Document.member("choices");
        return Err(place.item(at).refuse("calls a tool, which a completion cannot"));
    }
    reply::render(reply, envelope, &FORM, write_choice)
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
