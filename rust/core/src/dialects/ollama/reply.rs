//! The whole reply, both ways: the reason of its end, its counts and its time.

use bytes::Bytes;

use super::{DIALECT, message, time};
use crate::dialects::chatlike::or;
use crate::dialects::message::{
    ChatReply, Choice, Content, Envelope, Extra, Extras, Finish, FinishReason, Json, TokenUsage, Usage,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// The time of a reply or of a line of a stream: finer than seconds, so its text is kept.
pub(super) const CREATED: &str = "created_at";
const REASON: &str = "done_reason";
/// Under this name, an extra of a finish says that its server told the end and not the reason.
const ONLY_DONE: &str = "done";

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("message");
    let Some(raw) = reply.take_object("message")? else {
        return Err(place.refuse("is required"));
    };
    let created = reply.peek(CREATED).and_then(object::text);
    let turn = message::parse(raw, place, Mode::Lenient, created.as_deref().unwrap_or_default())?;
    let called = turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let finish = take_finish(&mut reply, called);
    let logprobs = take_logprobs(&mut reply);
    let usage = take_usage(&mut reply);
    Ok(ChatReply {
        id: "".into(),
        model: reply.take_text("model")?.unwrap_or_default(),
        created_s: created.as_deref().and_then(time::parse),
        choices: vec![Choice { index: 0, turn, finish, logprobs, extras: Extras::default() }],
        usage,
        extras: reply.into_extras(DIALECT),
    })
}

/// Takes `done` and its reason; `None` where the end was not told. A reply with calls ends by them, whatever word its
/// server has for it.
pub(super) fn take_finish<'a>(reply: &mut Object<'a, '_>, called: bool) -> Option<Finish<'a>> {
    let done = reply.take_if("done", |raw| raw.get().parse().ok()).unwrap_or(false);
    let by_content = if called { FinishReason::ToolCalls } else { FinishReason::Stop };
    let Some(raw) = reply.take_if(REASON, Some) else {
        let mut finish = Finish::new(by_content, None);
        finish.extras.push(extra(ONLY_DONE, Json::written(b"true".to_vec())));
        return done.then_some(finish);
    };
    let word = object::text(raw).filter(|word| !word.is_empty());
    let reason = match word.as_deref() {
        Some("length") => FinishReason::Length,
        _ => by_content,
    };
    let mut finish = Finish::new(reason, word.filter(|word| word != native_word(reason)));
    if raw.get().trim_matches('"') != word_of_reason(reason) {
        finish.extras.push(extra(REASON, Json::from(raw)));
    }
    Some(finish)
}

fn extra<'a>(name: &'static str, value: Json<'a>) -> Extra<'a> {
    Extra { dialect: DIALECT, name: name.into(), value }
}

/// The word that would be no news beside the reason.
fn native_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        _ => "stop",
    }
}

/// There are two words for an end: calls are no reason here, nor is a filter.
fn word_of_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        _ => "stop",
    }
}

pub(super) fn write_finish(members: &mut Members<'_>, finish: &Finish<'_>) {
    members.flag("done", true);
    if let Some(word) = finish.extras.get(DIALECT, REASON) {
        members.raw(REASON, word.as_str());
    } else if finish.extras.get(DIALECT, ONLY_DONE).is_none() {
        members.text(REASON, word_of_reason(finish.reason));
    }
}

/// Takes the two counts. What was read is left out by the server when all of it was in its cache.
pub(super) fn take_usage<'a>(reply: &mut Object<'a, '_>) -> Option<Usage<'a>> {
    let read = reply.take_if("prompt_eval_count", object::whole);
    let written = reply.take_if("eval_count", object::whole);
    if read.is_none() && written.is_none() {
        return None;
    }
    let (prompt_tokens, completion_tokens) = (read.unwrap_or(0), written.unwrap_or(0));
    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
    let tokens = TokenUsage { prompt_tokens, completion_tokens, total_tokens, ..TokenUsage::default() };
    Some(Usage { tokens, extras: Extras::default() })
}

/// Writes the two counts; the server leaves out what is zero.
pub(super) fn write_usage(usage: &Usage<'_>, members: &mut Members<'_>) {
    let counted = |count: u64| Some(count).filter(|count| *count > 0);
    members.whole_if("prompt_eval_count", counted(usage.tokens.prompt_tokens));
    members.whole_if("eval_count", counted(usage.tokens.completion_tokens));
}

/// Takes `logprobs`, a list of tokens in OpenAI's form, and puts it where OpenAI has it.
pub(super) fn take_logprobs<'a>(reply: &mut Object<'a, '_>) -> Option<Json<'a>> {
    let tokens = reply.take_if("logprobs", |raw| raw.get().starts_with('[').then_some(raw))?;
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.raw("content", tokens.get());
        members.null("refusal");
    });
    Some(Json::written(out))
}

pub(super) fn write_logprobs(members: &mut Members<'_>, logprobs: Option<&Json<'_>>) {
    let raw = logprobs.and_then(Json::as_raw);
    let tokens = raw.and_then(Object::lenient).and_then(|mut both| both.take_json("content"));
    members.json_if("logprobs", tokens.as_ref());
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let choice = reply.choices.first();
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    if finish.is_some_and(|finish| finish.reason == FinishReason::Error) {
        return Err(Place::Document.member(REASON).refuse("is an error"));
    }
    let created = reply.extras.get(DIALECT, CREATED);
    let seed = created.and_then(Json::as_raw);
    let seed = seed.and_then(object::text).unwrap_or_default();
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.text("model", or(&reply.model, envelope.model));
        match created {
            Some(created) => members.raw(CREATED, created.as_str()),
            None => members.text(CREATED, &time::format(reply.created_s.unwrap_or(envelope.created_s))),
        }
        members.object("message", |message| {
            if let Some(choice) = choice {
                message::write_reply(message, &choice.turn, &seed);
            } else {
                message.text("role", "assistant");
                message.text("content", "");
            }
        });
        match finish {
            Some(finish) => write_finish(members, finish),
            None => members.flag("done", false),
        }
        write_logprobs(members, choice.and_then(|choice| choice.logprobs.as_ref()));
        if let Some(usage) = &reply.usage {
            write_usage(usage, members);
        }
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}
