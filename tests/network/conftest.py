"""One network for all of these tests, with a scripted upstream at each of two addresses and a gateway before them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from flow.conftest import serve
from flow.records import Journal
from flow.rig import Command, Door, Gateway, Upstream
from network.namespace import Network, network

__all__ = ["place", "serve"]

LOST, WELL = "127.0.0.2", "127.0.0.3"
"""Addresses of the first and the second target; packets are lost at the first."""
PORT = 8000
GRANIAN, EDGE, ADMIN = 4000, 4001, 4002
NOWHERE = "10.9.9.9"
MODELS = 40


class Place(NamedTuple):
    """What runs on the inside."""

    network: Network
    lost: Upstream
    well: Upstream
    gateway: Gateway
    folder: Path

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "state" / str(GRANIAN) / "journal")

    @property
    def doors(self) -> dict[str, Door]:
        return self.gateway.doors


def configuration() -> dict[str, object]:
    addresses = {
        "lost": f"http://{LOST}:{PORT}/v1",
        "well": f"http://{WELL}:{PORT}/v1",
        "nowhere": f"http://{NOWHERE}/v1",
    }
    return {
        "listen": {"port": GRANIAN, "edge_port": EDGE, "admin_port": ADMIN},
        "providers": {
            # Health is kept by provider as well: each test has one of its own for the same place.
            f"{name}-{number}": {"dialect": "openai_chat", "address": address}
            for name, address in addresses.items()
            for number in range(MODELS)
        },
        "models": {
            f"{name}-{number}": {"targets": [f"{name}-{number}/x", f"well-{number}/x"]}
            for name in ("lost", "nowhere")
            for number in range(MODELS)
        }
        | {f"alone-{number}": {"targets": [f"lost-{number}/x"]} for number in range(MODELS)},
    }


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("network")
    with network() as inside, contextlib.ExitStack() as running:

        def start(log: str, *arguments: str) -> Command:
            command = Command(folder / log, *arguments, inside=inside.inside)
            running.callback(command.stop)
            return command

        mocks = [start(f"{host}.log", "mock", "--host", host, "--port", str(PORT)) for host in (LOST, WELL)]
        file = folder / "gateway.json"
        file.write_text(json.dumps(configuration()))
        gateway = start("gateway.log", "serve", "-c", str(file))
        lost, well = (inside.call(Upstream, mock) for mock in mocks)
        yield Place(inside, lost, well, Gateway(gateway), folder)
