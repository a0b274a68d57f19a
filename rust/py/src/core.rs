//! `fastroute.core`: scanner, SSE parser and token counts for other Python programs.

use std::sync::{Mutex, PoisonError};

use fastroute_core::json::{self, JsonError as ScanError, Limits, Shape};
use fastroute_core::model_names;
use fastroute_core::sse;
use fastroute_core::tokens::{self, Budget};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(fastroute._core, JsonError, PyValueError);
create_exception!(fastroute._core, SseError, PyValueError);

fn refused(error: &ScanError) -> PyErr {
    JsonError::new_err((error.to_string(), error.kind.code(), error.offset, error.pointer.clone()))
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
struct Scan {
    model: Option<String>,
    stream: Option<bool>,
    include_usage: Option<bool>,
    max_tokens: Option<u64>,
    n: Option<u64>,
    messages: u32,
    tools: u32,
    inputs: u32,
    text_bytes: u64,
}

#[pyfunction]
#[pyo3(signature = (body, shape = "chat"))]
fn scan(body: &[u8], shape: &str) -> PyResult<Scan> {
    let shape = match shape {
        "chat" => Shape::Chat,
        "embeddings" => Shape::Embeddings,
        "any" => Shape::Any,
        other => return Err(PyValueError::new_err(format!("no shape {other:?}; there are chat, embeddings and any"))),
    };
    let scan = json::scan(body, shape, &Limits::default()).map_err(|error| refused(&error))?;
    Ok(Scan {
        model: scan.model.as_deref().map(str::to_owned),
        stream: scan.stream,
        include_usage: scan.include_usage,
        max_tokens: scan.max_tokens,
        n: scan.n,
        messages: scan.messages,
        tools: scan.tools,
        inputs: scan.inputs,
        text_bytes: scan.text_bytes,
    })
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
struct SseEvent {
    event: String,
    data: Py<PyBytes>,
    id: String,
}

#[pyclass(frozen, module = "fastroute._core")]
struct SseParser(Mutex<sse::Parser>);

fn gathered(
    py: Python<'_>,
    run: impl FnOnce(&mut dyn FnMut(sse::Event<'_>)) -> Result<(), sse::SseError>,
) -> PyResult<Vec<SseEvent>> {
    let mut events = Vec::new();
    run(&mut |event| {
        events.push(SseEvent {
            event: String::from_utf8_lossy(event.name).into_owned(),
            data: PyBytes::new(py, event.data).unbind(),
            id: String::from_utf8_lossy(event.last_id).into_owned(),
        });
    })
    .map_err(|error| SseError::new_err(error.to_string()))?;
    Ok(events)
}

#[pymethods]
impl SseParser {
    #[new]
    #[pyo3(signature = (line_bytes = 1 << 20, event_bytes = 1 << 20))]
    fn new(line_bytes: usize, event_bytes: usize) -> Self {
        Self(Mutex::new(sse::Parser::new(sse::Limits { line_bytes, event_bytes })))
    }

    fn feed(&self, py: Python<'_>, chunk: &[u8]) -> PyResult<Vec<SseEvent>> {
        let mut parser = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gathered(py, |on| parser.feed(chunk, on).map(|_| ()))
    }

    fn end(&self, py: Python<'_>) -> PyResult<Vec<SseEvent>> {
        let mut parser = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gathered(py, |on| parser.end(on))
    }
}

#[pyclass(frozen, get_all, module = "fastroute._core")]
struct TokenCount {
    tokens: u64,
    exact: bool,
}

#[pyfunction]
fn count_tokens(py: Python<'_>, model: &str, text: &str) -> TokenCount {
    let encoding = tokens::encoding_for(model);
    let counted = py.detach(|| tokens::count_text(encoding, text, &mut Budget::default()));
    TokenCount { tokens: counted.tokens, exact: counted.exact }
}

/// The names a model may be known by, the most particular first.
#[pyfunction]
fn model_spellings(model: &str) -> Vec<std::borrow::Cow<'_, str>> {
    model_names::spellings(model)
}

/// Without what tells one snapshot of a model from another.
#[pyfunction]
fn model_family(model: &str) -> &str {
    model_names::family(model)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("JsonError", module.py().get_type::<JsonError>())?;
    module.add("SseError", module.py().get_type::<SseError>())?;
    module.add_class::<Scan>()?;
    module.add_class::<SseEvent>()?;
    module.add_class::<SseParser>()?;
    module.add_class::<TokenCount>()?;
    module.add_function(wrap_pyfunction!(count_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(model_family, module)?)?;
    module.add_function(wrap_pyfunction!(model_spellings, module)?)?;
    module.add_function(wrap_pyfunction!(scan, module)?)
}
