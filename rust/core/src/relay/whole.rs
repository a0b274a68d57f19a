//! A whole reply of any dialect: what it says about itself, and the same reply in its client's dialect.

use bytes::Bytes;

use super::chunk::{Chunk, Shape};
use super::reply::{ReplyFacts, error_in_array, inspect, no_reply};
use super::seen::NAME_BYTES;
use crate::cursor::Cursor;
use crate::dialects::fold::{Fold, FoldError};
use crate::dialects::message::{
    Block, ChatReply, Choice, Content, Envelope, Event, Extras, FinishReason, Reply, Wanted,
};
use crate::dialects::{Dialect, DialectError, Reader, openai_chat};
use crate::failure::{ErrorBody, Failure, Kind, classify};
use crate::passes::WayBack;
use crate::sse::Limits;
use crate::translate::{self, Frames, Unsaid};
use crate::usage::{Usage, UsageRule};

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
    let reply = dialect.parse_reply(body);
    // Anthropic's reader leaves an error among what it does not know, so that the body need not be looked through for one;
    // others take errors as a part of their replies.
    let sound = match &reply {
        Ok(Reply::Chat(chat)) if dialect == Dialect::AnthropicMessages => !tells_of_failure(&chat.extras, dialect),
        _ => false,
    };
    if !sound {
        no_error(body)?;
    }
    let reply = reply.map_err(|_| unreadable(body))?;
    let facts = facts(&reply)?;
    Ok((reply, facts))
}

/// The same of a chat reply, whose facts are found also where the reply itself cannot be read.
fn read_chat(body: &[u8], rule: UsageRule) -> Result<(Result<Reply<'_>, DialectError>, ReplyFacts), Failure> {
    let reply = openai_chat::parse_counted(body);
    let known = match &reply {
        Ok((chat, Some(usage))) => plain_facts(chat, usage.get(), rule),
        _ => None,
    };
    let facts = known.map_or_else(|| inspect(body, rule, true), Ok)?;
    Ok((reply.map(|(chat, _)| Reply::Chat(chat)), facts))
}

/// What [`inspect`] finds in a reply that says something in text and calls, and nothing out of the ordinary. Of members of
/// one name the last counts, as in what its client is told.
fn plain_facts(chat: &ChatReply<'_>, usage: &str, rule: UsageRule) -> Option<ReplyFacts> {
    let source = Dialect::OpenAiChat;
    let plain = |choice: &Choice<'_>| {
        let finish = choice.finish.as_ref();
        let usual = finish.is_none_or(|finish| finish.native.is_none() && finish.reason != FinishReason::Error);
        let known = |block: &Block<'_>| matches!(&block.content, Content::Text { .. } | Content::ToolCall(_));
        usual && !tells_more(&choice.extras, source) && choice.turn.blocks.iter().all(known)
    };
    if tells_of_failure(&chat.extras, source) || !chat.choices.iter().all(plain) || chat.model.len() > NAME_BYTES {
        return None;
    }
    let (content_bytes, empty) = weigh(chat);
    let finish = chat.choices.iter().find_map(|choice| choice.finish.as_ref());
    (!empty).then(|| ReplyFacts {
        usage: Usage::from_openai(usage.as_bytes(), rule),
        finish_reason: finish.map(|finish| finish.reason.word().into()),
        model: (!chat.model.is_empty()).then(|| chat.model.as_ref().into()),
        content_bytes,
        empty,
        unsaid: Vec::new(),
    })
}

/// Whether a reply says something under a name under which any server may say that it failed.
fn tells_of_failure(extras: &Extras<'_>, dialect: Dialect) -> bool {
    tells(extras, dialect, &["error", "base_resp", "choices"])
}

/// Whether a choice has an error, or usage or a text where the older completions and some servers have them.
fn tells_more(extras: &Extras<'_>, dialect: Dialect) -> bool {
    tells(extras, dialect, &["error", "usage", "text"])
}

fn tells(extras: &Extras<'_>, dialect: Dialect, names: &[&str]) -> bool {
    extras.of(dialect).any(|extra| names.contains(&extra.name.as_ref()) && extra.value.as_str() != "null")
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
        Dialect::OpenAiChat => read_chat(body, rule)?,
        Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings => {
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

    /// The texts have no escapes, and the words of the finish are the neutral ones: then the short way and the long one find
    /// the same.
    #[test]
    fn what_a_plain_reply_says_of_itself_is_what_any_reply_says() {
        let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_cache_hit_tokens":1,"total_tokens":5}"#;
        let choice =
            r#"{"index":0,"message":{"role":"assistant","content":"so"},"finish_reason":"stop","logprobs":null}"#;
        let calls = r#"{"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f",
            "arguments":"{}"}}]},"finish_reason":"tool_calls"}"#;
        let plain = [
            choice.to_owned(),
            calls.to_owned(),
            [choice, &choice.replace('0', "1").replace("stop", "length")].join(","),
        ];
        let other = [
            choice.replace("\"so\"", "\"\""),
            choice.replace("\"stop\"", "\"max_tokens\""),
            choice.replace("\"stop\"", "\"error\""),
            choice.replace("\"stop\"", "\"null\""),
            choice.replace("\"logprobs\":null", "\"error\":{\"message\":\"m\"}"),
            choice.replace("\"content\"", "\"reasoning\":\"because\",\"content\""),
            String::new(),
        ];
        let mut known = 0;
        for (choices, is_plain) in plain.iter().map(|it| (it, true)).chain(other.iter().map(|it| (it, false))) {
            for around in [
                usage.to_owned(),
                format!("{usage},\"model\":\"a\\u00e9\",\"error\":null"),
                format!("{usage},\"error\":\"e\""),
            ] {
                let body = format!("{{\"choices\":[{choices}],{around}}}");
                let (chat, usage) = openai_chat::parse_counted(body.as_bytes()).unwrap();
                let short = plain_facts(&chat, usage.unwrap().get(), UsageRule::default());
                assert_eq!(short.is_some(), is_plain && !around.contains("\"e\""), "{body}");
                if let Some(short) = short {
                    assert_eq!(Ok(short), inspect(body.as_bytes(), UsageRule::default(), true), "{body}");
                    known += 1;
                }
            }
        }
        assert_eq!(known, 6);
    }

    #[test]
    fn an_error_in_anthropics_words_or_beside_them_is_found() {
        let reply = |more: &str| format!(r#"{{"type":"message","content":[{{"type":"text","text":"so"}}]{more}}}"#);
        let read = |more: &str| read(Dialect::AnthropicMessages, reply(more).as_bytes()).map(|_| ());
        assert!(read("").is_ok() && read(r#","error":null,"base_resp":{"status_code":0}"#).is_ok());
        assert!(read(r#","error":{"type":"overloaded_error","message":"m"}"#).is_err());
        assert!(read(r#","choices":[{"error":{"message":"m"}}]"#).is_err());
        assert!(read(r#","base_resp":{"status_code":1002,"status_msg":"m"}"#).is_err());
    }
}
