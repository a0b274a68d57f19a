"""What the rig must know of a peer."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Recipe(NamedTuple):
    """A gateway that is no part of this project."""

    name: str
    said: str
    """What stands beside its row: version to install, features that are on."""
    command: Callable[[Path, int, int], list[str]]
    """From a folder for its files, the mock's port and its own, what to run."""
    headers: Callable[[int], list[str]]
    """What each request must carry, given the mock's port."""
