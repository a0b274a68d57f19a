//! The whole reply around its choices, as OpenAI's chat and its older completions have it.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::or;
use super::usage::{Counts, elsewhere};
use crate::dialects::message::{ChatReply, Choice, Envelope, FinishReason};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{Dialect, DialectError, Place};

/// How one of the dialects says it.
pub(crate) struct Form {
    pub(crate) dialect: Dialect,
    /// What a reply says that it is.
    pub(crate) object: &'static str,
    pub(crate) usage: Counts,
}

/// A reply, and its usage as it stands.
pub(crate) type Counted<'a> = (ChatReply<'a>, Option<&'a RawValue>);

/// Reads a reply; `settle` is for what stands beside the choices and is theirs. Refuses a document without choices.
pub(crate) fn parse<'a>(
    body: &'a [u8],
    form: &Form,
    parse_choice: fn(&'a RawValue, Place<'_>, usize) -> Result<Choice<'a>, DialectError>,
    settle: impl FnOnce(&Object<'a, '_>, &mut [Choice<'a>]),
) -> Result<Counted<'a>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("choices");
    let Some(choices) = reply.take_list("choices")? else {
        return Err(place.refuse("must be a list"));
    };
    let usage = reply.take_object("usage")?.or_else(|| elsewhere(&reply, &choices));
    let mut read = Vec::with_capacity(choices.len());
    for (index, raw) in choices.into_iter().enumerate() {
        read.push(parse_choice(raw, place.item(index), index)?);
    }
    let mut choices = read;
    // Whoever tells one of them tells the first, wherever it stands.
    choices.sort_by_key(|choice| choice.index);
    settle(&reply, &mut choices);
    // The published schema knows an absent usage, not a null one.
    for name in ["object", "usage"] {
        reply.forget(name);
    }
    let chat = ChatReply {
        id: reply.take_text("id")?.unwrap_or_default(),
        model: reply.take_text("model")?.unwrap_or_default(),
        created_s: reply.take_u64("created")?,
        choices,
        usage: usage.map(|raw| form.usage.parse(raw)),
        extras: reply.into_extras(form.dialect),
    };
    Ok((chat, usage))
}

/// The number that a choice has, or that of its place.
pub(crate) fn take_index(choice: &mut Object<'_, '_>, place: Place<'_>, position: usize) -> Result<u32, DialectError> {
    let index = choice.take_u64("index")?.unwrap_or(position as u64);
    u32::try_from(index).map_err(|_| place.member("index").refuse("is too large"))
}

/// Refuses a reply that ended in an error: there is no finish reason for that, and none is made up.
pub(crate) fn render(
    reply: &ChatReply<'_>,
    envelope: &Envelope<'_>,
    form: &Form,
    write_choice: fn(&mut Buffer, &Choice<'_>),
) -> Result<Bytes, DialectError> {
    let choices = Place::Document.member("choices");
    let is_error = |choice: &Choice<'_>| matches!(&choice.finish, Some(end) if end.reason == FinishReason::Error);
    if let Some(failed) = reply.choices.iter().position(is_error) {
        return Err(choices.item(failed).member("finish_reason").refuse("is an error"));
    }
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        members.text("id", or(&reply.id, envelope.id));
        members.text("object", form.object);
        members.whole("created", reply.created_s.unwrap_or(envelope.created_s));
        members.text("model", or(&reply.model, envelope.model));
        members.list("choices", &reply.choices, write_choice);
        if let Some(usage) = &reply.usage {
            members.object("usage", |members| form.usage.write(usage, members));
        }
        members.extras(form.dialect, &reply.extras);
    });
    Ok(out.into())
}
