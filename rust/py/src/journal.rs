//! Segments of the journal as Python reads them: for the command that prints them, and for tests.

use fastroute_core::journal::{Reader, render_line};
use pyo3::prelude::*;

/// The records of a segment as JSON lines, how its reading ended (`whole`, `torn`, `damaged`, `foreign`), and at which
/// byte.
#[pyfunction]
fn read_segment(py: Python<'_>, segment: &[u8]) -> (Vec<String>, &'static str, usize) {
    py.detach(|| {
        let mut reader = Reader::new(segment);
        let lines = reader.by_ref().map(|record| render_line(&record)).collect();
        let (name, at) = reader.end().map_or(("whole", segment.len()), |end| (end.name(), end.at()));
        (lines, name, at)
    })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_segment, module)?)
}
