//! The whole reply, both ways: candidates are choices, and a blocked prompt is one that was filtered.
//!
//! The surprise is protobuf's: an `index` of zero is left out, and most servers leave out all of them.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::citations::{self, Spoken};
use super::finish::{self, Said};
use super::{DIALECT, logprobs, turn, usage};
use crate::dialects::chatlike::or;
use crate::dialects::message::{
    Block, ChatReply, Choice, Content, Envelope, Extra, Extras, Finish, FinishReason, Json, Role, Spelling, Text, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const FEEDBACK: &str = "promptFeedback";
const BLOCK_REASON: &str = "blockReason";
const BLOCK_MESSAGE: &str = "blockReasonMessage";
/// Google's word where only the message tells that something was blocked.
const NO_REASON: &str = "BLOCKED_REASON_UNSPECIFIED";

pub(super) fn parse(body: &[u8]) -> Result<ChatReply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("candidates");
    if !["candidates", FEEDBACK, "usageMetadata"].iter().any(|name| reply.has(name)) {
        return Err(place.refuse("is required"));
    }
    let id = reply.take_if("responseId", filled).unwrap_or_default();
    let candidates = reply.take_filled_list("candidates")?.unwrap_or_default();
    let choices = candidates.into_iter().enumerate().map(|(at, raw)| parse_candidate(raw, place.item(at), at, &id));
    let mut choices = choices.collect::<Result<Vec<_>, _>>()?;
    if choices.is_empty() {
        choices.extend(take_blocked(&mut reply));
    }
    Ok(ChatReply {
        choices,
        model: reply.take_if("modelVersion", filled).unwrap_or_default(),
        created_s: reply.peek("createTime").and_then(object::text).and_then(|time| seconds(&time)),
        usage: reply.take_if("usageMetadata", usage::parse),
        id,
        extras: reply.into_extras(DIALECT),
    })
}

pub(super) fn filled(raw: &RawValue) -> Option<Text<'_>> {
    object::text(raw).filter(|text| !text.is_empty())
}

fn parse_candidate<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    position: usize,
    reply_id: &str,
) -> Result<Choice<'a>, DialectError> {
    let mut candidate = Object::open(raw, place, Mode::Lenient)?;
    let index = take_index(&mut candidate, position)?;
    let content = candidate.take_if("content", |raw| raw.get().starts_with('{').then_some(raw));
    let mut turn = turn::parse_candidate(content, reply_id, index);
    let finish = finish::take(&mut candidate, said(&turn.blocks));
    cite(&candidate, &mut turn.blocks);
    let logprobs = candidate.peek(logprobs::FIELD).and_then(logprobs::parse);
    Ok(Choice { index, turn, finish, logprobs, extras: candidate.into_extras(DIALECT) })
}

/// Takes the index of a candidate, and its position where there is none.
pub(super) fn take_index(candidate: &mut Object<'_, '_>, position: usize) -> Result<u32, DialectError> {
    let said = candidate.take_if("index", |raw| object::whole(raw).filter(|index| *index > 0));
    u32::try_from(said.unwrap_or(position as u64)).map_err(|_| candidate.place.member("index").refuse("is too large"))
}

fn said(blocks: &[Block<'_>]) -> Said {
    let is_call = |block: &Block<'_>| matches!(block.content, Content::ToolCall(_));
    let is_empty = |block: &Block<'_>| matches!(&block.content, Content::Text { text, .. } if text.is_empty());
    Said { anything: !blocks.iter().all(is_empty), calls: blocks.iter().any(is_call) }
}

/// Hangs the citations on the last text, or on the part that they name; which of its words they are about is told where
/// that is known.
fn cite<'a>(candidate: &Object<'a, '_>, blocks: &mut [Block<'a>]) {
    if !citations::stand_in(candidate) {
        return;
    }
    let mut all = String::new();
    let mut starts = Vec::with_capacity(blocks.len());
    for block in blocks.iter() {
        let Content::Text { text, .. } = &block.content else {
            starts.push(None);
            continue;
        };
        starts.push(Some((all.len(), text.len())));
        all.push_str(text);
    }
    let Some(last) = starts.iter().rposition(Option::is_some) else {
        return;
    };
    let from = starts.get(last).copied().flatten().map_or(0, |(from, _)| from);
    let parts: Vec<_> = starts
        .into_iter()
        .map(|part| part.and_then(|(from, length)| Some(Spoken { text: all.get(..from + length)?, from })))
        .collect();
    for (part, citation) in citations::of(candidate, Some(Spoken { text: &all, from }), &parts) {
        let block = blocks.get_mut(part.unwrap_or(last));
        if let Some(Content::Text { citations, .. }) = block.map(|block| &mut block.content) {
            citations.push(citation);
        }
    }
}

/// The choice that a blocked prompt comes to.
fn take_blocked<'a>(reply: &mut Object<'a, '_>) -> Option<Choice<'a>> {
    let mut feedback = Object::lenient(reply.peek(FEEDBACK)?)?;
    let reason = feedback.take_if(BLOCK_REASON, filled);
    let message = feedback.take_if(BLOCK_MESSAGE, filled);
    let reason = reason.or(message.as_ref().map(|_| NO_REASON.into()))?;
    let raw = Json::from(reply.peek(FEEDBACK)?);
    reply.forget(FEEDBACK);
    // The reason is for the finish. Only a message is words that could be told.
    let refusal = message.map(|text| Block::new(Content::Refusal { text, spelling: Spelling::Plain }));
    let mut finish = Finish::new(FinishReason::ContentFilter, Some(reason));
    // Whole, because it tells the prompt's fault from the answer's.
    finish.extras.push(Extra { dialect: DIALECT, name: FEEDBACK.into(), value: raw });
    Some(Choice {
        index: 0,
        turn: Turn::new(Role::Assistant, refusal.into_iter().collect()),
        finish: Some(finish),
        logprobs: None,
        extras: Extras::default(),
    })
}

/// What a stream's feedback says: why the prompt was blocked, and in which words, if in any.
pub(super) fn blocked(feedback: &RawValue) -> Option<(Text<'_>, Option<Text<'_>>)> {
    let mut feedback = Object::lenient(feedback)?;
    let reason = feedback.take_if(BLOCK_REASON, filled);
    let message = feedback.take_if(BLOCK_MESSAGE, filled);
    let reason = reason.or(message.as_ref().map(|_| NO_REASON.into()))?;
    Some((reason, message))
}

pub(super) fn render(reply: &ChatReply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let place = Place::Document.member("candidates");
    for (at, choice) in reply.choices.iter().enumerate() {
        if choice.finish.as_ref().is_some_and(|finish| !finish::is_sayable(finish)) {
            return Err(place.item(at).member("finishReason").refuse("is an error"));
        }
    }
    let feedback = reply.choices.iter().find_map(feedback_of);
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        let mut candidates = reply.choices.iter().filter(|choice| feedback_of(choice).is_none()).peekable();
        // What is said of nothing still has to say that there is nothing.
        if candidates.peek().is_some() || is_empty(reply) {
            members.list("candidates", candidates, write_candidate);
        }
        members.json_if(FEEDBACK, feedback);
        if let Some(usage) = &reply.usage {
            members.object("usageMetadata", |members| usage::write(usage, members));
        }
        write_names(members, or(&reply.model, envelope.model), or(&reply.id, envelope.id));
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}

fn is_empty(reply: &ChatReply<'_>) -> bool {
    let said = ["candidates", FEEDBACK, "usageMetadata"];
    reply.choices.is_empty()
        && reply.usage.is_none()
        && said.iter().all(|name| reply.extras.get(DIALECT, name).is_none())
}

fn feedback_of<'c>(choice: &'c Choice<'_>) -> Option<&'c Json<'c>> {
    choice.finish.as_ref()?.extras.get(DIALECT, FEEDBACK)
}

pub(super) fn write_names(members: &mut Members<'_>, model: &str, id: &str) {
    members.text_if("modelVersion", Some(model).filter(|model| !model.is_empty()));
    members.text_if("responseId", Some(id).filter(|id| !id.is_empty()));
}

fn write_candidate(out: &mut Buffer, choice: &Choice<'_>) {
    output::object(out, |candidate| {
        turn::write_candidate(candidate, &choice.turn);
        if let Some(finish) = &choice.finish {
            finish::write(candidate, finish);
        }
        write_index(candidate, choice.index);
        if !citations::are_said(&choice.extras) {
            citations::write(candidate, &citations::among(&choice.turn.blocks));
        }
        logprobs::write(candidate, choice.logprobs.as_ref(), &choice.extras);
        candidate.extras(DIALECT, &choice.extras);
    });
}

pub(super) fn write_index(candidate: &mut Members<'_>, index: u32) {
    candidate.whole_if("index", (index > 0).then_some(index.into()));
}

/// Seconds since 1970 of a UTC time as RFC 3339 writes it, `2025-01-31T12:00:00.25Z` (Hinnant's `days_from_civil`).
pub(super) fn seconds(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    if !time.is_ascii() || !time.ends_with('Z') || time.get(10..11) != Some("T") {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_seconds_and_what_is_no_time_nothing() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2024-02-29T12:30:15.123456Z"), Some(1_709_209_815));
        for other in ["", "2024-02-29", "2024-13-01T00:00:00Z", "2024-02-29T12:30:15+01:00", "éééééééééééZ"]
        {
            assert_eq!(seconds(other), None, "{other}");
        }
    }
}
