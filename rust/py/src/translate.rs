//! `fastroute.core`: translation between dialects, and replies as plain values.

mod plain;

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fastroute_core::dialects::message::{Encoding, Envelope, Wanted};
use fastroute_core::dialects::{self, Dialect};
use fastroute_core::passes::{self, Demands};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Address};
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

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    module.add("DIALECTS", names)?;
    module.add("DialectError", module.py().get_type::<DialectError>())?;
    module.add_class::<Translated>()?;
    module.add_class::<WayBack>()?;
    module.add_class::<StreamTranslator>()?;
    module.add_function(wrap_pyfunction!(translate_request, module)?)?;
    module.add_function(wrap_pyfunction!(translate_reply, module)?)?;
    plain::register(module)
}
