"""Mistakes about listeners, in the words a user reads."""

from pathlib import Path
from typing import Any

import pytest

from fastroute.config.listeners import unguarded_listeners
from fastroute.config.schema import Listen
from unit.config_mistakes import hold

CASES: dict[str, tuple[str, list[str]]] = {
    # Listeners.
    "an address that is none": (
        "listen: {address: 'not a host'}\n",
        ['1:19: listen.address: "not a host" is neither an IP address nor a host name'],
    ),
    "an IPv4 address with a slip": (
        "listen: {address: 127.0.0.256}\n",
        ['1:19: listen.address: "127.0.0.256" is neither an IP address nor a host name'],
    ),
    "one port twice": (
        "listen: {port: 4001}\n",
        ["1:1: listen.edge_port: the same port as listen.port"],
    ),
    "an open door": (
        "listen: {address: 0.0.0.0}\n",
        [
            '1:19: warning: listen.address: "0.0.0.0" can be reached by other machines, and no keys are asked for; '
            "serve refuses it without open: true"
        ],
    ),
    "an open door for metrics": (
        "listen: {admin_address: 10.0.0.7}\n",
        [
            '1:25: warning: listen.admin_address: "10.0.0.7" can be reached by other machines, and no keys are asked '
            "for; serve refuses it without open: true"
        ],
    ),
}


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_mistake_about_listeners_is_told_with_place_and_cure(text: str, expected: list[str], tmp_path: Path) -> None:
    hold(text, expected, tmp_path)


def test_listeners_that_other_machines_reach_need_to_be_opened_on_purpose() -> None:
    def unguarded(**settings: Any) -> list[tuple[str, str]]:
        return [(wanted.name, wanted.address_key) for wanted in unguarded_listeners(Listen(**settings))]

    assert unguarded() == []
    assert unguarded(address="localhost", edge_address="::1") == []
    assert unguarded(address="::", edge_address="192.0.2.1", admin_address="metrics.internal") == [
        ("granian", "address"),
        ("edge", "edge_address"),
        ("admin", "admin_address"),
    ]
    assert unguarded(address="0.0.0.0") == [("granian", "address"), ("edge", "address")]
    assert unguarded(address="0.0.0.0", open=True) == []
    assert unguarded(edge=False, edge_address="192.0.2.1", admin=False, admin_address="192.0.2.1") == []
