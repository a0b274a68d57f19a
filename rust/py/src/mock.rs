//! The scripted upstream and the load generator for `fastroute mock` and `fastroute bench`.
//!
//! Both run with the interpreter released. Load goes to this machine only: the generator does not wait for anybody.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::FromRawFd as _;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use fastroute_engine::mock::load::{Load, Mode, Workload, run};
use fastroute_engine::mock::{self, Script};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// How often the interpreter is asked whether a signal came.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Serves a script (JSON) on a listening socket, which it takes over, until a signal's handler raises.
///
/// Files that the script names are relative to `folder`.
#[pyfunction]
fn run_mock(py: Python<'_>, listener: i32, script: &str, folder: &str) -> PyResult<()> {
    let script = Script::parse(script, Path::new(folder)).map_err(refused)?;
    #[expect(unsafe_code, reason = "the caller hands over a descriptor it owns and does not use again")]
    let listener = unsafe { TcpListener::from_raw_fd(listener) };
    let (ended, wait) = mpsc::channel();
    // It has no end of its own: the thread serves until the process is over.
    std::thread::Builder::new().name("mock-upstream".into()).spawn(move || {
        // The caller may have left by a signal; then nobody wants to know.
        let _ = ended.send(mock::run(vec![listener], script));
    })?;
    let wait = std::sync::Mutex::new(wait);
    loop {
        let news = py.detach(|| {
            wait.lock().map_or(Err(RecvTimeoutError::Disconnected), |wait| wait.recv_timeout(SIGNALS_EVERY))
        });
        match news {
            Ok(served) => return served.map_err(PyErr::from),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(PyOSError::new_err("the mock ended by itself")),
        }
    }
}

/// The script (JSON) an upstream needs for a workload, by its name such as `W1`.
#[pyfunction]
fn load_script(workload: &str) -> PyResult<&'static str> {
    Ok(known(workload)?.script())
}

/// Measures one workload against `address` and gives the report as JSON.
///
/// With `rate` the loop is open (requests a second, over at most `connections`), else closed over `connections`.
#[pyfunction]
#[pyo3(signature = (address, workload, *, model, path, headers, rate, connections, warm_up_s, window_s))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments, named where they are given")]
fn run_load(
    py: Python<'_>,
    address: &str,
    workload: &str,
    model: &str,
    path: String,
    headers: Vec<(String, String)>,
    rate: Option<f64>,
    connections: usize,
    warm_up_s: f64,
    window_s: f64,
) -> PyResult<Py<PyBytes>> {
    let address: SocketAddr = address.parse().map_err(refused)?;
    if !address.ip().is_loopback() {
        return Err(refused(format_args!("{address} is not this machine; load goes to loopback addresses only")));
    }
    let seconds = |value: f64| Duration::try_from_secs_f64(value).map_err(refused);
    let workload = known(workload)?;
    let mut shapes = workload.shapes(model);
    for shape in &mut shapes {
        shape.path.clone_from(&path);
        shape.headers.clone_from(&headers);
    }
    let mode = match (rate, workload.mode()) {
        (Some(rate), _) => Mode::Open { rate, most_connections: connections },
        (None, Mode::Closed { ramp, .. }) => Mode::Closed { connections, ramp },
        (None, open @ Mode::Open { .. }) => open,
    };
    let mut load = Load::new(address, shapes, mode);
    (load.warm_up, load.window) = (seconds(warm_up_s)?, seconds(window_s)?);
    let report = py.detach(|| run(&load))?;
    let json = serde_json::to_vec(&report).map_err(refused)?;
    Ok(PyBytes::new(py, &json).unbind())
}

fn known(name: &str) -> PyResult<Workload> {
    Workload::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Workload::names().collect();
        refused(format_args!("no workload {name:?}; there are {}", names.join(", ")))
    })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run_mock, module)?)?;
    module.add_function(wrap_pyfunction!(load_script, module)?)?;
    module.add_function(wrap_pyfunction!(run_load, module)?)
}
