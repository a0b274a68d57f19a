//! A whole reply of any dialect: what it says about itself, and the same reply in its client's dialect.

use bytes::Bytes;

use super::chunk::{Chunk, Shape};
use super::reply::{ReplyFacts, error_in_array, inspect, no_reply};
use crate::cursor::Cursor;
use crate::dialects::fold::{Fold, FoldError};
use crate::dialects::message::{ChatReply, Content, Envelope, Event, FinishReason, Reply, Wanted};
use crate::dialects::{Dialect, DialectError, Reader};
use crate::failure::{ErrorBody, Failure, Kind, classify};
use crate::passes::WayBack;
use crate::sse::Limits;
use crate::translate::{self, Frames, Unsaid};
use crate::usage::UsageRule;

/// What may be held of a stream that is put together: as much as of a reply that comes whole.
const GATHERED_BYTES: usize = 64 << 20;

/// As [`super::inspect_reply`], of a reply that is a conversation's in some dialect, or vectors.
pub fn inspect_reply_of(dialect: Dialect, body: &[u8], rule: UsageRule) -> Result<ReplyFacts, Failure> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => inspect(body, rule, true),
        Dialect::OpenAiEmbeddings => inspect(body, rule, false),
        _ => read(dialect, body).map(|(_, facts)| facts),
    }
}

/// A reply in whose own words its facts stand nowhere.
fn read(dialect: Dialect, body: &[u8]) -> Result<(Reply<'_>, ReplyFacts), Failure> {
    no_error(body)?;
    let reply = dialect.parse_reply(body).map_err(|_| unreadable(body))?;
    let facts = facts(&reply)?;
    Ok((reply, facts))
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
    let (reply, facts) = match source {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings => {
            let facts = inspect_reply_of(source, body, rule)?;
            (source.parse_reply(body), facts)
        }
        _ => read(source, body).map(|(reply, facts)| (Ok(reply), facts))?,
    };
    told(reply.and_then(|reply| translate::say_reply(reply, [source, target], way_back, envelope, wanted)), facts)
}

fn told(said: Result<(Bytes, Vec<String>), DialectError>, facts: ReplyFacts) -> Result<(Bytes, ReplyFacts), Failure> {
    said.map(|(said, unsaid)| (said, ReplyFacts { unsaid, ..facts })).map_err(|error| {
        Failure::new(Kind::Malformed).saying(format!("The provider's reply has no words in this dialect: {error}"))
    })
}

/// A whole stream as one reply in its client's dialect: for a client that did not ask for the stream that its target
/// insists on. What fails or breaks off gives none, and nothing is made up for it.
pub fn gather_reply(
    body: &[u8],
    content_type: &[u8],
    [source, target]: [Dialect; 2],
    way_back: &WayBack,
    envelope: &Envelope<'_>,
) -> Result<(Bytes, ReplyFacts), Failure> {
    let no_streams = || Failure::new(Kind::Internal).saying("this dialect has no streams");
    let limits = Limits::default();
    let reader = source.reader().ok_or_else(no_streams)?;
    let mut gathering = Gathering { reader, fold: Fold::new(GATHERED_BYTES), unsaid: Unsaid::default(), target };
    let mut frames = Frames::of_reply(source, content_type, limits);
    let mut failed = Ok(());
    let mut take = |name: &str, data: &[u8]| {
        if failed.is_ok() {
            failed = gathering.take(name, data);
        }
    };
    let read = frames.feed(body, &mut take);
    let fault = frames.fault();
    frames.end(&mut take);
    failed?;
    if !read {
        return Err(Failure::new(Kind::Malformed).saying(fault));
    }
    let lost = std::mem::take(&mut gathering.unsaid).names();
    let chat = gathering.finish()?;
    let reply = Reply::Chat(chat);
    let facts = facts(&reply)?;
    let (said, mut facts) = told(translate::say_reply(reply, [source, target], way_back, envelope, None), facts)?;
    facts.unsaid.extend(lost);
    Ok((said, facts))
}

struct Gathering {
    reader: Reader,
    fold: Fold,
    /// Of what is no part of a reply that is put together.
    unsaid: Unsaid,
    target: Dialect,
}

impl Gathering {
    fn take(&mut self, name: &str, data: &[u8]) -> Result<(), Failure> {
        let events = self.reader.parse_event(name, data).map_err(|_| Failure::new(Kind::Malformed))?;
        for event in events {
            if matches!(event, Event::Error(_)) {
                return Err(classify(200, &ErrorBody::parse(data)));
            }
            self.add(&event)?;
        }
        Ok(())
    }

    fn add(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        if matches!(event, Event::Opaque { .. }) {
            self.unsaid.look(event, self.target);
        }
        self.fold.add(event).map_err(|_| Failure::new(Kind::ResponseTooLarge))
    }

    fn finish(mut self) -> Result<ChatReply<'static>, Failure> {
        for event in self.reader.end() {
            self.add(&event)?;
        }
        self.fold.finish().map_err(|error| match error {
            FoldError::TooLarge { .. } => Failure::new(Kind::ResponseTooLarge),
            FoldError::Failed(_) => Failure::new(Kind::UpstreamError),
            FoldError::Unfinished => Failure::new(Kind::Truncated),
        })
    }
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
    no_reply(body)
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
        unsaid: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKS: &str = "data: {\"id\":\"c1\",\"model\":\"m\",\"created\":5,\"choices\":[{\"index\":0,\"delta\":\
        {\"role\":\"assistant\",\"content\":\"so \"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"so\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";

    fn gathered(body: &str, target: Dialect) -> Result<(Bytes, ReplyFacts), Failure> {
        let dialects = [Dialect::OpenAiChat, target];
        gather_reply(body.as_bytes(), b"text/event-stream", dialects, &WayBack::default(), &Envelope::default())
    }

    #[test]
    fn a_stream_becomes_a_reply_in_the_dialect_of_its_client() {
        let (said, facts) = gathered(&format!("{CHUNKS}data: [DONE]\n\n"), Dialect::OpenAiChat).unwrap();
        let reply: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(reply["object"], "chat.completion");
        assert_eq!(reply["choices"][0]["message"]["content"], "so so");
        assert_eq!(reply["choices"][0]["finish_reason"], "stop");
        assert_eq!(reply["usage"]["total_tokens"], 5);
        assert_eq!((facts.usage.map(|usage| usage.total_tokens), facts.empty), (Some(5), false));
        let (said, _) = gathered(CHUNKS, Dialect::AnthropicMessages).unwrap();
        let reply: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(reply["content"][0]["text"], "so so");
    }

    #[test]
    fn what_fails_or_breaks_off_gives_no_reply() {
        let cut = CHUNKS.split_inclusive("\n\n").next().unwrap();
        assert_eq!(gathered(cut, Dialect::OpenAiChat).unwrap_err().kind, Kind::Truncated);
        let error = "data: {\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}\n\n";
        assert_eq!(gathered(&format!("{cut}{error}"), Dialect::OpenAiChat).unwrap_err().kind, Kind::RateLimited);
        assert_eq!(gathered("data: {\"choices\":\n\n", Dialect::OpenAiChat).unwrap_err().kind, Kind::Malformed);
    }
}
