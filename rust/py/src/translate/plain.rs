//! Replies and streams as plain values, for programs that read and do not translate.

use std::sync::{Mutex, PoisonError};

use fastroute_core::dialects::Reader;
use fastroute_core::dialects::message::{ChatReply, Content, ErrorReply, Event, FinishReason, Reply, TokenUsage};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Frames, Settling};
use fastroute_core::usage::UsageRule;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{EVENT_BYTES, dialect as dialect_of, named, refused};

#[pyclass(frozen, get_all, module = "fastroute._core")]
#[derive(Clone)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
#[derive(Clone)]
#[expect(clippy::struct_field_names, reason = "the names that everybody knows them by")]
struct ReplyUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

impl From<TokenUsage> for ReplyUsage {
    fn from(tokens: TokenUsage) -> Self {
        Self {
            prompt_tokens: tokens.prompt_tokens,
            completion_tokens: tokens.completion_tokens,
            total_tokens: tokens.total_tokens,
            cached_tokens: tokens.cached_tokens,
            cache_write_tokens: tokens.cache_write_tokens,
            reasoning_tokens: tokens.reasoning_tokens,
        }
    }
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
#[derive(Clone)]
struct ReplyError {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    status: Option<u16>,
}

impl From<&ErrorReply<'_>> for ReplyError {
    fn from(error: &ErrorReply<'_>) -> Self {
        Self {
            message: error.message.to_string(),
            kind: error.kind.as_deref().map(str::to_owned),
            code: error.code.as_deref().map(str::to_owned),
            param: error.param.as_deref().map(str::to_owned),
            status: error.status,
        }
    }
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
#[derive(Clone)]
struct ReplyChoice {
    index: u32,
    text: String,
    reasoning: String,
    refusal: String,
    tool_calls: Vec<ToolCall>,
    finish: Option<&'static str>,
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
struct ParsedReply {
    id: String,
    model: String,
    choices: Vec<ReplyChoice>,
    usage: Option<ReplyUsage>,
}

fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls | FinishReason::FunctionCall => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Error => "error",
    }
}

fn plain(reply: &ChatReply<'_>) -> ParsedReply {
    let choices = reply.choices.iter().map(|choice| {
        let mut plain = ReplyChoice {
            index: choice.index,
            text: String::new(),
            reasoning: String::new(),
            refusal: String::new(),
            tool_calls: Vec::new(),
            finish: choice.finish.as_ref().map(|finish| word(finish.reason)),
        };
        for block in &choice.turn.blocks {
            match &block.content {
                Content::Text { text, .. } => plain.text += text,
                Content::Reasoning(reasoning) => plain.reasoning += &reasoning.text,
                Content::Refusal { text, .. } => plain.refusal += text,
                Content::ToolCall(call) => plain.tool_calls.push(ToolCall {
                    id: call.id.to_string(),
                    name: call.name.to_string(),
                    arguments: call.arguments.to_string(),
                }),
                _ => {}
            }
        }
        plain
    });
    ParsedReply {
        id: reply.id.to_string(),
        model: reply.model.to_string(),
        choices: choices.collect(),
        usage: reply.usage.as_ref().map(|usage| usage.tokens.into()),
    }
}

#[pyfunction]
fn parse_reply(body: &[u8], dialect: &str) -> PyResult<ParsedReply> {
    let known = dialect_of(dialect)?;
    match known.parse_reply(body).map_err(|error| refused(&error))? {
        Reply::Chat(mut chat) => {
            let seed = named(&chat.id).into_owned();
            translate::name_reply(&mut chat, &seed);
            translate::settle_reply(&mut chat, known, UsageRule::Invariant);
            Ok(plain(&chat))
        }
        Reply::Embeddings(_) | Reply::Rerank(_) => Err(PyValueError::new_err("vectors and ranks hold no text")),
    }
}

#[pyfunction]
fn parse_error(body: &[u8], dialect: &str) -> PyResult<ReplyError> {
    Ok((&dialect_of(dialect)?.parse_error(body)).into())
}

/// One thing that a stream says. Which fields are filled is told by `kind`.
#[pyclass(frozen, get_all, module = "fastroute._core")]
struct StreamEvent {
    kind: &'static str,
    choice: u32,
    call: Option<u32>,
    text: String,
    id: String,
    name: String,
    finish: Option<&'static str>,
    usage: Option<ReplyUsage>,
    error: Option<ReplyError>,
}

impl StreamEvent {
    fn new(kind: &'static str, choice: u32, text: &str) -> Self {
        let (id, name, text) = (String::new(), String::new(), text.to_owned());
        Self { kind, choice, call: None, text, id, name, finish: None, usage: None, error: None }
    }

    /// What begins and ends without saying anything has no event of its own.
    fn of(event: &Event<'_>) -> Option<Self> {
        Some(match event {
            Event::MessageStart { id, model, .. } => {
                Self { id: id.to_string(), name: model.to_string(), ..Self::new("start", 0, "") }
            }
            Event::TextDelta { choice, text, .. } => Self::new("text", *choice, text),
            Event::ReasoningDelta { choice, text } => Self::new("reasoning", *choice, text),
            Event::RefusalDelta { choice, text } => Self::new("refusal", *choice, text),
            Event::ToolCallStart { choice, call, id, name, .. } => Self {
                call: Some(*call),
                id: id.to_string(),
                name: name.to_string(),
                ..Self::new("tool_call", *choice, "")
            },
            Event::ToolCallDelta { choice, call, arguments, .. } => {
                Self { call: Some(*call), ..Self::new("arguments", *choice, arguments) }
            }
            Event::Finish { choice, finish } => {
                Self { finish: Some(word(finish.reason)), ..Self::new("finish", *choice, "") }
            }
            Event::Usage(usage) => Self { usage: Some(usage.tokens.into()), ..Self::new("usage", 0, "") },
            Event::Error(error) => Self { error: Some(error.into()), ..Self::new("error", 0, "") },
            Event::Done => Self::new("done", 0, ""),
            _ => return None,
        })
    }
}

struct Reading {
    frames: Frames,
    reader: Reader,
    telling: Telling,
}

/// Makes of what was read what is told.
struct Telling {
    /// Names the calls that come without an id.
    seed: Option<String>,
    settling: Settling,
}

impl Telling {
    fn tell(&mut self, mut event: Event<'_>) -> Option<StreamEvent> {
        match &mut event {
            Event::MessageStart { id, .. } => self.seed = Some(named(id).into_owned()),
            event => {
                if let Some(seed) = &self.seed {
                    translate::name_event(event, seed);
                }
            }
        }
        self.settling.event(&mut event);
        StreamEvent::of(&event)
    }
}

#[pyclass(frozen, module = "fastroute._core")]
struct StreamReader(Mutex<Option<Reading>>);

impl Reading {
    fn add(
        (reader, telling): (&mut Reader, &mut Telling),
        name: &str,
        data: &[u8],
        told: &mut Vec<StreamEvent>,
    ) -> PyResult<()> {
        let events = reader.parse_event(name, data).map_err(|error| refused(&error))?;
        told.extend(events.into_iter().filter_map(|event| telling.tell(event)));
        Ok(())
    }
}

#[pymethods]
impl StreamReader {
    #[new]
    fn new(dialect: &str) -> PyResult<Self> {
        let known = dialect_of(dialect)?;
        let limits = Limits { line_bytes: EVENT_BYTES, event_bytes: EVENT_BYTES };
        let reader = known.reader().ok_or_else(|| PyValueError::new_err(format!("{dialect} has no streams")))?;
        let telling = Telling { seed: None, settling: Settling::new(known, UsageRule::Invariant) };
        Ok(Self(Mutex::new(Some(Reading { frames: Frames::of(known, limits), reader, telling }))))
    }

    fn push(&self, chunk: &[u8]) -> PyResult<Vec<StreamEvent>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Reading { frames, reader, telling }) = held.as_mut() else {
            return Err(PyValueError::new_err("this stream has ended"));
        };
        let (mut told, mut read) = (Vec::new(), Ok(()));
        let framed = frames.feed(chunk, |name, data| {
            if read.is_ok() {
                read = Reading::add((reader, telling), name, data, &mut told);
            }
        });
        read?;
        if framed { Ok(told) } else { Err(PyValueError::new_err(frames.fault())) }
    }

    fn finish(&self) -> PyResult<Vec<StreamEvent>> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut told, mut read) = (Vec::new(), Ok(()));
        if let Some(Reading { frames, mut reader, mut telling }) = taken {
            frames.end(|name, data| {
                if read.is_ok() {
                    read = Reading::add((&mut reader, &mut telling), name, data, &mut told);
                }
            });
            told.extend(reader.end().into_iter().filter_map(|event| telling.tell(event)));
        }
        read.map(|()| told)
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ToolCall>()?;
    module.add_class::<ReplyUsage>()?;
    module.add_class::<ReplyError>()?;
    module.add_class::<ReplyChoice>()?;
    module.add_class::<ParsedReply>()?;
    module.add_class::<StreamEvent>()?;
    module.add_class::<StreamReader>()?;
    module.add_function(wrap_pyfunction!(parse_reply, module)?)?;
    module.add_function(wrap_pyfunction!(parse_error, module)?)
}
