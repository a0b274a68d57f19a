//! The border: builds `fastroute._core`. The only crate that knows Python exists.
//!
//! The one rule: nothing but the loop thread attaches to Python. I/O threads carry slot numbers, never `Py` objects.

mod bell;
mod brain;
mod core;
mod decider;
mod drain;
mod gateway;
mod journal;
mod mock;
mod queue;
mod reply;
mod request;
mod rsgi;
mod slice;
mod sync;
mod taps;
mod translate;
mod watchdog;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("FIELDS", brain::FIELDS.to_vec())?;
    module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    module.add("WATCHDOG_SIGNAL", watchdog::SIGNAL)?;
    module.add_class::<gateway::Gateway>()?;
    module.add_class::<gateway::NextTable>()?;
    journal::register(module)?;
    mock::register(module)?;
    module.add_class::<request::Request>()?;
    translate::register(module)?;
    core::register(module)
}
