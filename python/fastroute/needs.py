"""What a provider known by name still needs before it can be called.

It stands below both sides: the catalogue says it, and the checks of a configuration read it.
"""

from collections.abc import Mapping
from typing import NamedTuple

REGION = "region"
"""The one variable of an address that has a key of its own in a provider."""


class Needs(NamedTuple):
    """`Needs()` is a provider that needs nothing and whose address has nothing to choose."""

    keys: tuple[str, ...] = ()
    """Variables that would give it a key if they were set; none when it needs no more."""
    address: bool = False
    """Whether it has no address of its own."""
    vars: Mapping[str, tuple[str, ...]] = {}
    """What its address asks for, each with the variables of the environment that it is looked for in."""
    open: frozenset[str] = frozenset()
    """Those of `vars` that nothing fills yet."""
    free: frozenset[str] = frozenset()
    """Those of `vars` that may hold anything an address may; the others are chosen from a list."""
    regions: tuple[str, ...] = ()
    """Regions whose address it knows."""
