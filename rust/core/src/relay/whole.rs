//! A whole reply of any dialect: what it says about itself, and the same reply in its client's dialect.

use bytes::Bytes;

use super::chunk::{Chunk, Shape};
use super::reply::{ReplyFacts, error_in_array, inspect_reply};
use crate::cursor::Cursor;
use crate::dialects::Dialect;
use crate::dialects::message::{ChatReply, Content, Envelope, FinishReason, Reply, Wanted};
use crate::failure::{ErrorBody, Failure, Kind, classify};
use crate::passes::WayBack;
use crate::translate;
use crate::usage::UsageRule;

/// As [`inspect_reply`], of a dialect that is not chat.
pub fn inspect_reply_of(dialect: Dialect, body: &[u8], rule: UsageRule) -> Result<ReplyFacts, Failure> {
    if matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings) {
        return inspect_reply(body, rule);
    }
    no_error(body)?;
    facts(&dialect.parse_reply(body).map_err(|_| unreadable(body))?)
}

/// The same reply in another dialect, in the client's own words, and what it says about itself.
pub fn cross_reply(
    body: &[u8],
    [source, target]: [Dialect; 2],
    rule: UsageRule,
    way_back: &WayBack,
    wanted: Option<Wanted>,
    envelope: &Envelope<'_>,
) -> Result<(Bytes, ReplyFacts), Failure> {
    let facts = inspect_reply_of(source, body, rule)?;
    let said = translate::reply_as(body, source, target, way_back, envelope, wanted);
    said.map(|said| (said, facts)).map_err(|error| {
        Failure::new(Kind::Malformed).saying(format!("The provider's reply has no words in this dialect: {error}"))
    })
}

/// Every dialect has errors under this name, and none has anything else there.
fn no_error(body: &[u8]) -> Result<(), Failure> {
    match Cursor::new(body).peek() {
        Some(b'{') => {}
        Some(b'[') => return Err(error_in_array(body)),
        _ => return Err(Failure::new(Kind::Malformed)),
    }
    let chunk = Chunk::parse(body, Shape::Reply).map_err(|_| unreadable(body))?;
    chunk.error.map_or(Ok(()), |error| Err(classify(200, &ErrorBody::parse(error))))
}

/// What is no reply is an error in words of its own, or only a part.
fn unreadable(body: &[u8]) -> Failure {
    if body.trim_ascii().last() != Some(&b'}') {
        return Failure::new(Kind::Truncated);
    }
    let said = ErrorBody::parse(body);
    if said.message.is_empty() { Failure::new(Kind::Malformed) } else { classify(200, &said) }
}

fn facts(reply: &Reply<'_>) -> Result<ReplyFacts, Failure> {
    let chat = match reply {
        Reply::Chat(chat) => chat,
        Reply::Embeddings(embeddings) => {
            let usage = embeddings.usage.as_ref().map(|usage| usage.tokens.into());
            return Ok(ReplyFacts { usage, ..ReplyFacts::default() });
        }
        Reply::Rerank(_) => return Ok(ReplyFacts::default()),
    };
    let finish = chat.choices.iter().find_map(|choice| choice.finish.as_ref());
    if finish.is_some_and(|finish| finish.reason == FinishReason::Error) {
        return Err(Failure::new(Kind::UpstreamError));
    }
    let (content_bytes, empty) = weigh(chat);
    Ok(ReplyFacts {
        usage: chat.usage.as_ref().map(|usage| usage.tokens.into()),
        finish_reason: finish.map(|finish| finish.reason.word().into()),
        model: (!chat.model.is_empty()).then(|| chat.model.as_ref().into()),
        content_bytes,
        empty,
    })
}

/// Bytes of what was generated, and whether that is nothing at all.
fn weigh(chat: &ChatReply<'_>) -> (u64, bool) {
    let (mut bytes, mut empty) = (0, true);
    for block in chat.choices.iter().flat_map(|choice| &choice.turn.blocks) {
        let (length, something) = match &block.content {
            Content::Text { text, .. } | Content::Refusal { text, .. } => (text.len(), !text.is_empty()),
            Content::Reasoning(reasoning) => (reasoning.text.len(), !reasoning.text.is_empty()),
            Content::ToolCall(call) => (call.name.len() + call.arguments.len(), true),
            _ => (0, true),
        };
        bytes += length as u64;
        empty &= !something;
    }
    (bytes, empty)
}
