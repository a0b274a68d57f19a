//! `fastroute.core`: translation between dialects, and replies as plain values.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fastroute_core::dialects::message::{
    ChatReply, Content, Encoding, Envelope, ErrorReply, Event, FinishReason, Reply, TokenUsage, Wanted,
};
use fastroute_core::dialects::{self, Dialect, Reader};
use fastroute_core::passes::{self, Demands};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address, Frames};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(fastroute._core, DialectError, PyValueError);

/// Streams of images and sound have events of megabytes.
const EVENT_BYTES: usize = 16 << 20;

fn refused(error: &dialects::DialectError) -> PyErr {
    DialectError::new_err((error.to_string(), error.pointer.clone(), error.param.clone()))
}

fn dialect(name: &str) -> PyResult<Dialect> {
    Dialect::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        PyValueError::new_err(format!("no dialect {name:?}; there are {}", known.join(", ")))
    })
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The id of a reply whose caller has none for it: a conversation must not hold two of them, nor two of their calls.
fn named(reply_id: &str) -> Cow<'_, str> {
    if !reply_id.is_empty() {
        return Cow::Borrowed(reply_id);
    }
    // Each state is seeded by the system's randomness.
    let [a, b] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    Cow::Owned(format!("{a:016x}{b:016x}"))
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
struct Translated {
    body: Py<PyBytes>,
    dropped: Vec<String>,
    changed: Vec<String>,
    way_back: Py<WayBack>,
    stream: bool,
    include_usage: bool,
    encoding: Option<&'static str>,
    alone: bool,
}

const ENCODINGS: [(&str, Encoding); 2] = [("float", Encoding::Float), ("base64", Encoding::Base64)];

/// What a reply must be read with; only its own request's is of use.
#[pyclass(frozen, module = "fastroute._core")]
struct WayBack(passes::WayBack);

fn way_back(given: Option<Py<WayBack>>) -> passes::WayBack {
    given.map(|given| given.get().0.clone()).unwrap_or_default()
}

#[pyfunction]
fn translate_request(py: Python<'_>, body: &[u8], source: &str, target: &str) -> PyResult<Translated> {
    let (source, target) = (dialect(source)?, dialect(target)?);
    let told =
        translate::request(body, source, &Demands::of(target), Address::default()).map_err(|error| refused(&error))?;
    Ok(Translated {
        body: PyBytes::new(py, &told.body).unbind(),
        dropped: told.dropped,
        changed: told.changed,
        way_back: Py::new(py, WayBack(told.way_back))?,
        stream: told.stream,
        include_usage: told.include_usage,
        encoding: told.wanted.and_then(|wanted| {
            let word = ENCODINGS.iter().find(|(_, encoding)| Some(*encoding) == wanted.encoding);
            word.map(|(word, _)| *word)
        }),
        alone: told.wanted.is_some_and(|wanted| wanted.alone),
    })
}

#[pyfunction]
#[pyo3(signature = (body, source, target, *, way_back = None, reply_id = "", model = "", encoding = None, alone = false))]
#[expect(clippy::too_many_arguments, reason = "each is an argument of its own in Python, most of them by name")]
fn translate_reply(
    py: Python<'_>,
    body: &[u8],
    source: &str,
    target: &str,
    way_back: Option<Py<WayBack>>,
    reply_id: &str,
    model: &str,
    encoding: Option<&str>,
    alone: bool,
) -> PyResult<Py<PyBytes>> {
    let encoding = encoding.map(|word| {
        let known = ENCODINGS.iter().find(|(known, _)| *known == word).map(|(_, encoding)| *encoding);
        known.ok_or_else(|| PyValueError::new_err("encoding must be float or base64"))
    });
    let encoding = encoding.transpose()?;
    let wanted = (encoding.is_some() || alone).then_some(Wanted { encoding, alone });
    let id = named(reply_id);
    let envelope = Envelope { id: &id, model, created_s: now_s(), include_usage: true };
    let back = self::way_back(way_back);
    let (source, target) = (dialect(source)?, dialect(target)?);
    let told = translate::reply_as(body, source, target, &back, &envelope, wanted).map_err(|error| refused(&error))?;
    Ok(PyBytes::new(py, &told).unbind())
}

#[pyclass(frozen, module = "fastroute._core")]
struct StreamTranslator(Mutex<translate::StreamTranslator>);

impl StreamTranslator {
    fn with(&self, py: Python<'_>, act: impl FnOnce(&mut translate::StreamTranslator, &mut Vec<u8>)) -> Py<PyBytes> {
        let mut out = Vec::new();
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), &mut out);
        PyBytes::new(py, &out).unbind()
    }
}

#[pymethods]
impl StreamTranslator {
    #[new]
    #[pyo3(signature = (source, target, *, way_back = None, include_usage = true, reply_id = "", model = ""))]
    fn new(
        source: &str,
        target: &str,
        way_back: Option<Py<WayBack>>,
        include_usage: bool,
        reply_id: &str,
        model: &str,
    ) -> PyResult<Self> {
        let id = named(reply_id);
        let envelope = Envelope { id: &id, model, created_s: now_s(), include_usage };
        let limits = Limits { line_bytes: EVENT_BYTES, event_bytes: EVENT_BYTES };
        let back = self::way_back(way_back);
        translate::StreamTranslator::new(dialect(source)?, dialect(target)?, back, &envelope, limits)
            .map(|stream| Self(Mutex::new(stream)))
            .ok_or_else(|| PyValueError::new_err(format!("one of {source} and {target} has no streams")))
    }

    fn push(&self, py: Python<'_>, chunk: &[u8]) -> Py<PyBytes> {
        self.with(py, |stream, out| stream.push(chunk, out))
    }

    fn finish(&self, py: Python<'_>) -> Py<PyBytes> {
        self.with(py, translate::StreamTranslator::finish)
    }

    #[getter]
    fn ended(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended()
    }
}

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
    match self::dialect(dialect)?.parse_reply(body).map_err(|error| refused(&error))? {
        Reply::Chat(mut chat) => {
            let seed = named(&chat.id).into_owned();
            translate::name_reply(&mut chat, &seed);
            Ok(plain(&chat))
        }
        Reply::Embeddings(_) | Reply::Rerank(_) => Err(PyValueError::new_err("vectors and ranks hold no text")),
    }
}

#[pyfunction]
fn parse_error(body: &[u8], dialect: &str) -> PyResult<ReplyError> {
    Ok((&self::dialect(dialect)?.parse_error(body)).into())
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
    calls: Calls,
}

/// What names the calls of a stream that come without an id.
#[derive(Default)]
struct Calls(Option<String>);

impl Calls {
    fn name(&mut self, event: &mut Event<'_>) {
        match event {
            Event::MessageStart { id, .. } => self.0 = Some(named(id).into_owned()),
            _ => {
                if let Some(seed) = &self.0 {
                    translate::name_event(event, seed);
                }
            }
        }
    }
}

#[pyclass(frozen, module = "fastroute._core")]
struct StreamReader(Mutex<Option<Reading>>);

impl Reading {
    fn add(
        (reader, calls): (&mut Reader, &mut Calls),
        name: &str,
        data: &[u8],
        told: &mut Vec<StreamEvent>,
    ) -> PyResult<()> {
        for mut event in reader.parse_event(name, data).map_err(|error| refused(&error))? {
            calls.name(&mut event);
            told.extend(StreamEvent::of(&event));
        }
        Ok(())
    }
}

#[pymethods]
impl StreamReader {
    #[new]
    fn new(dialect: &str) -> PyResult<Self> {
        let known = self::dialect(dialect)?;
        let limits = Limits { line_bytes: EVENT_BYTES, event_bytes: EVENT_BYTES };
        let reader = known.reader().ok_or_else(|| PyValueError::new_err(format!("{dialect} has no streams")))?;
        Ok(Self(Mutex::new(Some(Reading { frames: Frames::of(known, limits), reader, calls: Calls::default() }))))
    }

    fn push(&self, chunk: &[u8]) -> PyResult<Vec<StreamEvent>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Reading { frames, reader, calls }) = held.as_mut() else {
            return Err(PyValueError::new_err("this stream has ended"));
        };
        let (mut told, mut read) = (Vec::new(), Ok(()));
        let framed = frames.feed(chunk, |name, data| {
            if read.is_ok() {
                read = Reading::add((reader, calls), name, data, &mut told);
            }
        });
        read?;
        if framed { Ok(told) } else { Err(PyValueError::new_err(frames.fault())) }
    }

    fn finish(&self) -> PyResult<Vec<StreamEvent>> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut told, mut read) = (Vec::new(), Ok(()));
        if let Some(Reading { frames, mut reader, mut calls }) = taken {
            frames.end(|name, data| {
                if read.is_ok() {
                    read = Reading::add((&mut reader, &mut calls), name, data, &mut told);
                }
            });
            for mut event in reader.end() {
                calls.name(&mut event);
                told.extend(StreamEvent::of(&event));
            }
        }
        read.map(|()| told)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    module.add("DIALECTS", names)?;
    module.add("DialectError", module.py().get_type::<DialectError>())?;
    module.add_class::<Translated>()?;
    module.add_class::<WayBack>()?;
    module.add_class::<StreamTranslator>()?;
    module.add_class::<ToolCall>()?;
    module.add_class::<ReplyUsage>()?;
    module.add_class::<ReplyError>()?;
    module.add_class::<ReplyChoice>()?;
    module.add_class::<ParsedReply>()?;
    module.add_class::<StreamEvent>()?;
    module.add_class::<StreamReader>()?;
    module.add_function(wrap_pyfunction!(translate_request, module)?)?;
    module.add_function(wrap_pyfunction!(translate_reply, module)?)?;
    module.add_function(wrap_pyfunction!(parse_reply, module)?)?;
    module.add_function(wrap_pyfunction!(parse_error, module)?)
}
