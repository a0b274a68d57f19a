"""The one module that imports the extension: checks that it fits, and says so when it was built for debugging."""

import warnings

from fastroute import _core
from fastroute._core import DEBUG_BUILD, WATCHDOG_SIGNAL, Engine, load_script, read_segment, run_load, run_mock

__all__ = ["DEBUG_BUILD", "VERSION", "WATCHDOG_SIGNAL", "Engine", "load_script", "read_segment", "run_load", "run_mock"]

VERSION: str = _core.__version__

if DEBUG_BUILD:
    warnings.warn(
        "this fastroute was built without optimisation; it is many times slower (build it with `make run`)",
        RuntimeWarning,
        stacklevel=2,
    )
