"""The one module that imports the extension: checks that it fits, and says so when it was built for debugging.

One rule: an extension of another build is refused here, before a request meets it. The surprise: the version alone does
not tell builds apart between two releases, so what Rust fills in by position is compared too.
"""

import warnings

from fastroute import facts
from fastroute.errors import EngineError
from fastroute.version import VERSION

_REMEDY = "build it again with `make dev`, or reinstall fastroute"

try:
    from fastroute import _core
    from fastroute._core import (
        DEBUG_BUILD,
        FIELDS,
        WATCHDOG_SIGNAL,
        Engine,
        NextTable,
        load_script,
        model_family,
        model_spellings,
        read_segment,
        run_load,
        run_mock,
    )
except ImportError as error:
    # Its text names the file where there is one.
    raise EngineError(f"the extension cannot be used: {error}; {_REMEDY}") from error

__all__ = [
    "DEBUG_BUILD",
    "WATCHDOG_SIGNAL",
    "Engine",
    "NextTable",
    "load_script",
    "model_family",
    "model_spellings",
    "read_segment",
    "run_load",
    "run_mock",
]

if _core.__version__ != VERSION:
    raise EngineError(f"{_core.__file__} is version {_core.__version__}, and this package is {VERSION}; {_REMEDY}")

for _name, _fields in FIELDS:
    if list(getattr(facts, _name).__struct_fields__) != _fields.split():
        raise EngineError(f"{_core.__file__} was built for another fastroute/facts.py ({_name} differs); {_REMEDY}")

if DEBUG_BUILD:
    warnings.warn(
        "this fastroute was built without optimisation; it is many times slower (build it with `make run`)",
        RuntimeWarning,
        stacklevel=2,
    )
