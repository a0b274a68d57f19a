"""What every benchmark needs: the sources beside us, and a build worth measuring."""

import sys
from pathlib import Path

import pytest

# `benches` is imported from the checkout, not from an installation.
sys.path.insert(0, str(Path(__file__).parents[1]))


def pytest_sessionstart(session: pytest.Session) -> None:
    from fastroute import native

    measures = not session.config.getoption("benchmark_disable")
    if native.DEBUG_BUILD and measures:
        pytest.exit("this is a debug build of the extension; build a release first (maturin develop --release)", 2)
