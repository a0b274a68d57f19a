//! The built-in model `mock/echo`: it says what it was told, so that a client can be tried with no key and no network.
//!
//! Pure and deterministic: the same request gives the same bytes. Where a request asks for a tool call or for JSON it
//! answers the smallest one its schema allows; such an answer has the right form and no meaning.

mod instance;
mod vectors;

use std::borrow::Cow;

use bytes::Bytes;

use crate::dialects::message::{
    Block, CallKind, Callable, ChatReply, ChatRequest, Choice, Content, EmbeddingsRequest, Envelope, Event, Extras,
    Finish, FinishReason, Inputs, Json, Reply, Request, ResponseFormat, Role, TokenUsage, Tool, ToolCall,
    ToolChoiceMode, Turn, Usage,
};
use crate::dialects::{Dialect, DialectError, Place, mint, output};

/// Counts the tokens of a text.
pub type Count<'c> = &'c dyn Fn(&str) -> u32;

/// Each choice repeats the whole text: a request must not multiply its own size without end.
const MOST_CHOICES: u64 = 16;
/// A frame costs some 200 bytes around its word, so a long text is cut into longer pieces instead of more of them.
const MOST_PIECES: usize = 4096;

enum Answer<'a> {
    Text(Cow<'a, str>),
    Call(ToolCall<'a>),
}

/// Answers a chat request in one document. Refuses what the dialect refuses, and schemas nothing can satisfy.
pub fn reply(request: &[u8], model: &str, id: &str, created_s: u64, count: Count<'_>) -> Result<Bytes, DialectError> {
    let chat = parse_chat(request)?;
    let answer = answer(&chat, id)?;
    let choices = (0..choices_of(&chat)?).map(|index| Choice {
        index,
        turn: Turn::new(Role::Assistant, vec![answer.block()]),
        finish: Some(answer.finish()),
        logprobs: None,
        extras: Extras::default(),
    });
    let reply = ChatReply {
        id: id.into(),
        model: model.into(),
        created_s: Some(created_s),
        choices: choices.collect(),
        usage: Some(usage(&chat, &answer, count)?),
        extras: Extras::default(),
    };
    Dialect::OpenAiChat.render_reply(&Reply::Chat(reply), &Envelope::default())
}

/// Answers a chat request as a stream: one item per frame, the last one `[DONE]`, one word per delta of text.
pub fn events(
    request: &[u8],
    model: &str,
    id: &str,
    created_s: u64,
    count: Count<'_>,
) -> Result<Vec<Bytes>, DialectError> {
    let chat = parse_chat(request)?;
    let answer = answer(&chat, id)?;
    let mut events = vec![Event::MessageStart {
        id: id.into(),
        model: model.into(),
        created_s: Some(created_s),
        extras: Extras::default(),
    }];
    for choice in 0..choices_of(&chat)? {
        answer.stream(choice, &mut events);
    }
    events.push(Event::Usage(usage(&chat, &answer, count)?));
    events.push(Event::Done);
    let envelope = Envelope { id, model, created_s, include_usage: chat.include_usage() };
    let Some(mut writer) = Dialect::OpenAiChat.writer(&envelope) else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for event in &events {
        writer.render_event(event, &mut out);
    }
    Ok(frames(&Bytes::from(out)))
}

/// Answers an embeddings request: a unit vector per input that depends on nothing but the input.
pub fn embeddings(request: &[u8], model: &str, count: Count<'_>) -> Result<Bytes, DialectError> {
    let Request::Embeddings(request) = Dialect::OpenAiEmbeddings.parse_request(request)? else {
        return Err(Dialect::OpenAiEmbeddings.has_no_words());
    };
    let reply = vectors::reply(&request, model, prompt_tokens(&request, count))?;
    Dialect::OpenAiEmbeddings.render_reply(&Reply::Embeddings(reply), &Envelope::default())
}

fn prompt_tokens(request: &EmbeddingsRequest<'_>, count: Count<'_>) -> u64 {
    match &request.inputs {
        Inputs::Texts(texts) => texts.iter().map(|text| u64::from(count(text))).sum(),
        Inputs::Tokens(lists) => lists.iter().map(|tokens| tokens.len() as u64).sum(),
        Inputs::Opaque { .. } => 0,
    }
}

fn parse_chat(request: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    match Dialect::OpenAiChat.parse_request(request)? {
        Request::Chat(chat) => Ok(chat),
        _ => Err(Dialect::OpenAiChat.has_no_words()),
    }
}

fn choices_of(chat: &ChatRequest<'_>) -> Result<u32, DialectError> {
    let wanted = chat.sampling.n.unwrap_or(1);
    if (1..=MOST_CHOICES).contains(&wanted) {
        return Ok(u32::try_from(wanted).unwrap_or(1));
    }
    let place = Place::Document.member("n");
    Err(place.refuse(format!("must be from 1 to {MOST_CHOICES} for this model")))
}

fn answer<'a>(chat: &'a ChatRequest<'_>, id: &str) -> Result<Answer<'a>, DialectError> {
    if let Some(tool) = forced_tool(chat)? {
        return call(tool, chat, id).map(Answer::Call);
    }
    let text = last_user_text(chat);
    Ok(Answer::Text(match &chat.response_format {
        None | Some(ResponseFormat::Text) => text,
        Some(ResponseFormat::JsonSchema { schema: Some(schema), .. }) => {
            let format = Place::Document.member("response_format");
            let inner = format.member("json_schema");
            instance::of(schema, inner.member("schema"))?.into()
        }
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. }) => echo_object(&text),
    }))
}

fn last_user_text<'a>(chat: &'a ChatRequest<'_>) -> Cow<'a, str> {
    let turn = chat.turns.iter().rev().find(|turn| turn.role == Role::User);
    let mut texts = turn.into_iter().flat_map(Turn::texts);
    let first = Cow::Borrowed(texts.next().unwrap_or_default());
    texts.fold(first, |all, text| Cow::Owned(format!("{all}\n{text}")))
}

fn echo_object(text: &str) -> Cow<'static, str> {
    let mut out = Vec::new();
    output::object(&mut out, |object| object.text("echo", text));
    Json::written(out).as_str().to_owned().into()
}

/// The tool that the request insists on; without insistence, words are the answer.
fn forced_tool<'a, 'b>(chat: &'a ChatRequest<'b>) -> Result<Option<&'a Callable<'b>>, DialectError> {
    let Some(choice) = &chat.tool_choice else {
        return Ok(None);
    };
    let named = |name: &str| callables(chat).find(|tool| tool.name == name);
    let tool = match &choice.mode {
        ToolChoiceMode::Required => callables(chat).next(),
        ToolChoiceMode::Named(name) => named(name),
        ToolChoiceMode::Allowed { tools, required: true } => tools.iter().find_map(|(_, name)| named(name)),
        ToolChoiceMode::None | ToolChoiceMode::Auto | ToolChoiceMode::Allowed { .. } => {
            return Ok(None);
        }
    };
    let place = Place::Document.member("tool_choice");
    let none = || place.refuse("asks for a tool that is not among the tools");
    tool.ok_or_else(none).map(Some)
}

fn callables<'a, 'b>(chat: &'a ChatRequest<'b>) -> impl Iterator<Item = &'a Callable<'b>> {
    chat.tools.iter().filter_map(|tool| match tool {
        Tool::Callable(callable) => Some(callable),
        Tool::Opaque { .. } => None,
    })
}

fn call<'a>(tool: &'a Callable<'_>, chat: &ChatRequest<'_>, id: &str) -> Result<ToolCall<'a>, DialectError> {
    let arguments = match (tool.kind, &tool.parameters) {
        (CallKind::Custom, _) => last_user_text(chat).into_owned(),
        (_, Some(schema)) => instance::of(schema, Place::Document.member("tools"))?,
        (_, None) => "{}".to_owned(),
    };
    Ok(ToolCall {
        kind: tool.kind,
        id: match tool.kind {
            CallKind::LegacyFunction => Cow::Borrowed(""),
            CallKind::Function | CallKind::Custom => mint::call_id(id, 0, 0).into(),
        },
        name: Cow::Borrowed(&tool.name),
        arguments: arguments.into(),
        signature: None,
    })
}

impl Answer<'_> {
    fn block(&self) -> Block<'_> {
        match self {
            Self::Text(text) => Block::text(text.as_ref()),
            Self::Call(call) => Block::new(Content::ToolCall(call.clone())),
        }
    }

    fn finish(&self) -> Finish<'static> {
        let reason = match self {
            Self::Text(_) => FinishReason::Stop,
            Self::Call(call) if call.kind == CallKind::LegacyFunction => FinishReason::FunctionCall,
            Self::Call(_) => FinishReason::ToolCalls,
        };
        Finish::new(reason, None)
    }

    fn stream<'e>(&'e self, choice: u32, events: &mut Vec<Event<'e>>) {
        match self {
            Self::Text(text) => {
                events.push(Event::TextStart { choice });
                events.extend(pieces(text).into_iter().map(|piece| Event::TextDelta {
                    choice,
                    text: piece.into(),
                    logprobs: None,
                }));
                events.push(Event::TextEnd { choice });
            }
            Self::Call(call) => {
                let kind = call.kind;
                events.push(Event::ToolCallStart {
                    choice,
                    call: 0,
                    kind,
                    id: Cow::Borrowed(&call.id),
                    name: Cow::Borrowed(&call.name),
                    signature: None,
                });
                events.push(Event::ToolCallDelta { choice, call: 0, kind, arguments: Cow::Borrowed(&call.arguments) });
                events.push(Event::ToolCallEnd { choice, call: 0 });
            }
        }
        let finish = self.finish();
        events.push(Event::Finish { choice, finish });
    }
}

fn usage(chat: &ChatRequest<'_>, answer: &Answer<'_>, count: Count<'_>) -> Result<Usage<'static>, DialectError> {
    let read = chat.turns.iter().flat_map(|turn| {
        let results = turn.blocks.iter().filter_map(|block| match &block.content {
            Content::ToolResult(result) => Some(result.blocks.as_slice()),
            _ => None,
        });
        std::iter::once(turn.blocks.as_slice()).chain(results).flatten()
    });
    let prompt_tokens: u64 = read
        .filter_map(|block| match &block.content {
            Content::Text { text, .. } => Some(u64::from(count(text))),
            _ => None,
        })
        .sum();
    let written = match answer {
        Answer::Text(text) => text,
        Answer::Call(call) => &call.arguments,
    };
    let completion_tokens = u64::from(count(written)) * u64::from(choices_of(chat)?);
    Ok(Usage {
        tokens: TokenUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            ..TokenUsage::default()
        },
        extras: Extras::default(),
    })
}

/// Cuts a text after each run of white space; joined, the pieces are the text.
fn pieces(text: &str) -> Vec<&str> {
    let mut cuts = Vec::new();
    let mut after_space = false;
    for (at, letter) in text.char_indices() {
        if after_space && !letter.is_whitespace() {
            cuts.push(at);
        }
        after_space = letter.is_whitespace();
    }
    let stride = (cuts.len() / MOST_PIECES) + 1;
    let mut pieces = Vec::new();
    let mut start = 0;
    let ends = cuts.into_iter().skip(stride - 1).step_by(stride);
    for end in ends.chain([text.len()]) {
        pieces.extend(text.get(start..end).filter(|piece| !piece.is_empty()));
        start = end;
    }
    pieces
}

/// One item per frame: JSON holds no bare line end, so an empty line ends a frame and nothing else does.
fn frames(stream: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut start = 0;
    for end in memchr::memmem::find_iter(stream, b"\n\n") {
        frames.push(stream.slice(start..end + 2));
        start = end + 2;
    }
    frames
}

#[cfg(test)]
mod tests;
