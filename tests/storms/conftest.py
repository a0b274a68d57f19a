"""Gateways of a test's own, as the flow tests have them, and upstreams that may die."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow.conftest import serve
from storms.mortal import Mortal

__all__ = ["mortals", "serve"]


@pytest.fixture
def mortals(tmp_path: Path) -> Iterator[Callable[..., list[Mortal]]]:
    """Starts upstreams by their names."""
    running: list[Mortal] = []

    def start(*names: str) -> list[Mortal]:
        began = [Mortal(tmp_path, name) for name in names]
        running.extend(began)
        return began

    yield start
    for each in running:
        each.end()
