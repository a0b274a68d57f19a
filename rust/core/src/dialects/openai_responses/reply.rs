//! The response object, both ways: whole, and as the events of a stream carry it. And the states it can end in.

use bytes::Bytes;

use super::items::{self, Manner};
use super::{DIALECT, USAGE};
use crate::dialects::chatlike::or;
use crate::dialects::message::{
    Block, ChatReply, Choice, Content, Envelope, ErrorReply, Extras, Finish, FinishReason, Json, Role, Turn, Usage,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// What the published schema requires of a response and nobody but its own server knows: the echo of the request.
const ECHO: [(&str, &str); 13] = [
    ("error", "null"),
    ("incomplete_details", "null"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
];

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("output");
    let Some(output) = reply.take_list("output")? else {
        return Err(place.refuse("must be a list"));
    };
    let mut blocks = Vec::new();
    for (index, raw) in output.into_iter().enumerate() {
        blocks.append(&mut items::parse(raw, place.item(index), Mode::Lenient)?);
    }
    let called = blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let logprobs = take_logprobs(&mut blocks);
    let finish = take_finish(&mut reply, called);
    reply.forget("object");
    let usage = reply.take_object("usage")?.map(|raw| USAGE.parse(raw));
    reply.forget("usage");
    let choice =
        Choice { index: 0, turn: Turn::new(Role::Assistant, blocks), finish, logprobs, extras: Extras::default() };
    Ok(ChatReply {
        id: reply.take_text("id")?.unwrap_or_default(),
        model: reply.take_text("model")?.unwrap_or_default(),
        created_s: reply.take_u64("created_at")?,
        choices: vec![choice],
        usage,
        extras: reply.into_extras(DIALECT),
    })
}

/// Where one text has log probabilities they are those of the choice; where several have, each keeps its own.
fn take_logprobs(blocks: &mut [Block<'_>]) -> Option<Json<'static>> {
    let mut texts = blocks.iter_mut().filter(|block| matches!(block.content, Content::Text { .. }));
    let (Some(text), None) = (texts.next(), texts.next()) else {
        return None;
    };
    text.extras.get(DIALECT, "logprobs").filter(|list| list.as_str().starts_with('['))?;
    let list = text.extras.take(DIALECT, "logprobs")?;
    let mut out = Buffer::new();
    output::object(&mut out, |logprobs| logprobs.raw("content", list.as_str()));
    Some(Json::written(out))
}

/// The list of them as a part holds it, from the form of the choice.
pub(super) fn list_of_logprobs<'l>(logprobs: &'l Json<'_>) -> Option<&'l str> {
    let object: std::collections::BTreeMap<&str, &crate::dialects::raw::RawValue> =
        serde_json::from_str(logprobs.as_str()).ok()?;
    let list = object.get("content")?.get();
    list.starts_with('[').then_some(list)
}

/// Takes `status`, and `incomplete_details` where they are one of the two published reasons. States of a response that
/// has not ended are no finish and stay where they are.
pub(super) fn take_finish<'a>(response: &mut Object<'a, '_>, called: bool) -> Option<Finish<'a>> {
    let status = response.peek("status").and_then(object::text)?;
    let finish = match status.as_ref() {
        "completed" => Finish::new(if called { FinishReason::ToolCalls } else { FinishReason::Stop }, None),
        "incomplete" => {
            let understood = response.take_if("incomplete_details", |raw| {
                let mut details = Object::lenient(raw)?;
                let reason = match details.take_if("reason", object::text)?.as_ref() {
                    "max_output_tokens" => FinishReason::Length,
                    "content_filter" => FinishReason::ContentFilter,
                    _ => return None,
                };
                details.is_empty().then_some(reason)
            });
            match understood {
                Some(reason) => Finish::new(reason, None),
                // Cut short for a reason it does not tell: still not an answer that came to its end.
                None => Finish::new(FinishReason::Length, Some(status)),
            }
        }
        "failed" => {
            let error = response.peek("error").and_then(Object::lenient);
            let code = error.and_then(|mut error| error.take_if("code", object::text));
            Finish::new(FinishReason::Error, code.or(Some(status)))
        }
        _ => return None,
    };
    response.forget("status");
    Some(finish)
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(2048);
    let choice = reply.choices.first();
    let id = or(&reply.id, envelope.id);
    let logprobs = choice.and_then(|choice| choice.logprobs.as_ref()).and_then(list_of_logprobs);
    let response = Response {
        id,
        model: or(&reply.model, envelope.model),
        created_s: reply.created_s.unwrap_or(envelope.created_s),
        state: &State::Ended(choice.and_then(|choice| choice.finish.as_ref())),
        usage: reply.usage.as_ref(),
        extras: &reply.extras,
    };
    response.write(&mut out, |out| {
        let mut manner = Manner { reply_id: Some(id), logprobs };
        let items = choice.map(|choice| items::items(&choice.turn.blocks, true));
        let items = (0..).zip(items.into_iter().flatten());
        output::list(out, items, |out, (index, item)| items::write(out, index, &item, &mut manner));
    });
    out.into()
}

/// A response at some moment of its life, without its items.
pub(super) struct Response<'r> {
    pub(super) id: &'r str,
    pub(super) model: &'r str,
    pub(super) created_s: u64,
    pub(super) state: &'r State<'r>,
    pub(super) usage: Option<&'r Usage<'r>>,
    pub(super) extras: &'r Extras<'r>,
}

pub(super) enum State<'r> {
    Running,
    Ended(Option<&'r Finish<'r>>),
    Failed(&'r ErrorReply<'r>),
}

impl State<'_> {
    /// The event that says so.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::Running => "response.in_progress",
            Self::Failed(_) => "response.failed",
            Self::Ended(finish) => match finish.map(|finish| finish.reason) {
                Some(FinishReason::Length | FinishReason::ContentFilter) => "response.incomplete",
                Some(FinishReason::Error) => "response.failed",
                _ => "response.completed",
            },
        }
    }
}

impl Response<'_> {
    pub(super) fn write(&self, out: &mut Buffer, output: impl FnOnce(&mut Buffer)) {
        output::object(out, |members| {
            members.text("id", self.id);
            members.text("object", "response");
            members.whole("created_at", self.created_s);
            members.text("model", self.model);
            self.write_state(members);
            output(members.key("output"));
            if let Some(usage) = self.usage {
                members.object("usage", |members| USAGE.write(usage, members));
            }
            members.extras(DIALECT, self.extras);
            for (name, value) in ECHO {
                if self.extras.get(DIALECT, name).is_none() && !members.has(name) {
                    members.raw(name, value);
                }
            }
        });
    }

    fn write_state(&self, members: &mut Members<'_>) {
        let told = |name| self.extras.get(DIALECT, name).is_some();
        let incomplete = |members: &mut Members<'_>, reason: &str| {
            members.text("status", "incomplete");
            if self.extras.get(DIALECT, "incomplete_details").is_none_or(|details| details.as_str() == "null") {
                members.object("incomplete_details", |details| details.text("reason", reason));
            }
        };
        match self.state {
            State::Running if told("status") => {}
            State::Running => members.text("status", "in_progress"),
            State::Failed(error) => {
                members.text("status", "failed");
                write_error(members, code_of(error), &error.message, self.extras);
            }
            // Nobody said how it ended.
            State::Ended(None) => {}
            State::Ended(Some(finish)) => match finish.reason {
                FinishReason::Stop | FinishReason::ToolCalls | FinishReason::FunctionCall => {
                    members.text("status", "completed");
                }
                FinishReason::Length if finish.native.as_deref() == Some("incomplete") => {
                    members.text("status", "incomplete");
                }
                FinishReason::Length => incomplete(members, "max_output_tokens"),
                FinishReason::ContentFilter => incomplete(members, "content_filter"),
                FinishReason::Error => {
                    members.text("status", "failed");
                    if !told("error") {
                        write_error(
                            members,
                            ("server_error", None),
                            "the upstream ended its answer with an error",
                            self.extras,
                        );
                    }
                }
            },
        }
    }
}

/// The published codes of a response that failed, and those that agents act on beside them.
const CODES: [&str; 25] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
    "context_length_exceeded",
    "insufficient_quota",
    "usage_not_included",
    "server_is_overloaded",
    "slow_down",
];

/// A code is required, and clients decide by it whether to try again: where there is no word that they know, ours. The
/// word of the error is then its type.
fn code_of<'e>(error: &'e ErrorReply<'_>) -> (&'e str, Option<&'e str>) {
    let word =
        error.code.as_deref().filter(|code| code.starts_with(|c: char| c.is_ascii_alphabetic()) && !code.contains(' '));
    let ours = error.extras.of(DIALECT).next().is_some();
    let limited = error.status == Some(429)
        || [error.kind.as_deref(), word].into_iter().flatten().any(|word| word.contains("rate_limit"));
    match word {
        Some(word) if ours || CODES.contains(&word) => (word, None),
        word => (if limited { "rate_limit_exceeded" } else { "server_error" }, word),
    }
}

fn write_error(members: &mut Members<'_>, (code, kind): (&str, Option<&str>), message: &str, extras: &Extras<'_>) {
    members.object("error", |error| {
        error.text("code", code);
        error.text("message", message);
        error.text_if("type", kind);
        error.rest_of("error", DIALECT, extras);
    });
}
