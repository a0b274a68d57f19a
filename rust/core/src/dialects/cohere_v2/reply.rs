//! The whole reply, both ways, and the finish reasons.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::{DIALECT, logprobs, message, usage};
use crate::dialects::chatlike::or;
use crate::dialects::message::{ChatReply, Choice, Content, Envelope, Extra, Extras, Finish, FinishReason, Json};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("message");
    let Some(message) = reply.take_object("message")? else {
        return Err(place.refuse("is required"));
    };
    let turn = message::parse(message, place, Mode::Lenient)?;
    let called = turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let choice = Choice {
        index: 0,
        turn,
        finish: reply.take_if("finish_reason", |raw| finish(raw, called)),
        logprobs: reply.peek(logprobs::FIELD).and_then(logprobs::of_reply),
        extras: Extras::default(),
    };
    Ok(ChatReply {
        id: reply.take_text("id")?.unwrap_or_default(),
        model: "".into(),
        created_s: None,
        choices: vec![choice],
        usage: reply.take_object("usage")?.map(usage::parse),
        extras: reply.into_extras(DIALECT),
    })
}

/// Reads a finish reason. A word that the neutral form cannot give back also stays as it is.
pub(super) fn finish(raw: &RawValue, called: bool) -> Option<Finish<'_>> {
    let word = object::text(raw).filter(|word| !word.is_empty())?;
    let reason = match word.as_ref() {
        "COMPLETE" | "STOP_SEQUENCE" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "ERROR" | "TIMEOUT" | "ERROR_LIMIT" | "USER_CANCEL" => FinishReason::Error,
        _ if called => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    };
    let mut finish = Finish::new(reason, None);
    if word != word_of_reason(reason) {
        finish.native = Some(word);
        finish.extras.push(Extra { dialect: DIALECT, name: "finish_reason".into(), value: Json::from(raw) });
    }
    Some(finish)
}

/// Version 2 has no word for what a filter stopped; its predecessor's is the only one its clients know.
fn word_of_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "COMPLETE",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ToolCalls | FinishReason::FunctionCall => "TOOL_CALL",
        FinishReason::ContentFilter => "ERROR_TOXIC",
        FinishReason::Error => "ERROR",
    }
}

pub(super) fn write_finish(members: &mut Members<'_>, finish: &Finish<'_>) {
    if let Some(word) = finish.extras.get(DIALECT, "finish_reason") {
        members.raw("finish_reason", word.as_str());
    } else if finish.reason == FinishReason::Stop && finish.stop_sequence.is_some() {
        members.text("finish_reason", "STOP_SEQUENCE");
    } else {
        members.text("finish_reason", word_of_reason(finish.reason));
    }
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.text("id", or(&reply.id, envelope.id));
        if let Some(choice) = reply.choices.first() {
            members.object("message", |message| message::write_reply(message, &choice.turn));
            if let Some(finish) = &choice.finish {
                write_finish(members, finish);
            }
        } else {
            members.object("message", |message| message.text("role", "assistant"));
        }
        if let Some(usage) = &reply.usage {
            members.object("usage", |members| usage::write(usage, members));
        }
        members.extras(DIALECT, &reply.extras);
    });
    out.into()
}
