"""One upstream and one gateway for all flow tests; a fresh route for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow.records import journal_of
from flow.rig import (
    READ_ON,
    Command,
    Door,
    Gateway,
    Route,
    Serve,
    Upstream,
    configuration,
    free_port,
    launch,
    serving,
)

_numbers = itertools.count()
_accounts = itertools.count()
_few = {kind: itertools.count() for kind in ("hedging", "refused", *READ_ON)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow")


@pytest.fixture(scope="session")
def shared_upstream(folder: Path) -> Iterator[Upstream]:
    command = Command(folder / "mock.log", "mock", "--port", "0")
    try:
        yield Upstream(command)
    finally:
        command.stop()


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    shared_upstream.script()
    return shared_upstream


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts gateways of a test's own: `serve(config, env={…})`."""
    commands: list[Command] = []

    def start(config: object, **more: Any) -> Gateway:
        commands.append(launch(config, tmp_path, f"gateway-{len(commands)}", **more))
        return Gateway(commands[-1])

    yield start
    for command in commands:
        command.stop()


@pytest.fixture(scope="session")
def admin_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def gateway(folder: Path, shared_upstream: Upstream, admin_port: int) -> Iterator[Gateway]:
    with serving(configuration(shared_upstream.origin, admin_port, max_body_bytes=1 << 20), folder) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def journal(folder: Path, gateway: Gateway) -> Path:
    """Where the gateway of all tests keeps its journal."""
    return journal_of(folder, gateway)


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, gateway: Gateway) -> Door:
    return gateway.doors[request.param]


def _route(kind: str) -> Route:
    name = f"{kind}-{next(_numbers)}"
    return Route(name, f"{name}-first", f"{name}-second")


@pytest.fixture
def route() -> Route:
    """Two targets and ordinary patience."""
    return _route("patient")


@pytest.fixture
def account() -> Route:
    """Two targets of a provider, and a key, that nobody else uses."""
    name = f"account-{next(_accounts)}"
    return Route(name, f"{name}-first", f"{name}-second")


def _one_of_few(kind: str) -> Route:
    name = f"{kind}-{next(_few[kind])}"
    return Route(name, f"{name}-first", f"{name}-second")


@pytest.fixture
def drained() -> Route:
    """Two targets, taken as `counted` does, of a provider whose replies are read to their end."""
    return _one_of_few("drained")


@pytest.fixture
def finished() -> Route:
    """The same of a provider whose attempts are carried to their end."""
    return _one_of_few("finished")


@pytest.fixture
def hedging() -> Route:
    """Two targets, the second of which is asked beside the first where that is slow."""
    return _one_of_few("hedging")


@pytest.fixture
def refused() -> Route:
    """Two targets, the first of which is at a port that refuses."""
    return _one_of_few("refused")


@pytest.fixture
def hasty() -> Route:
    """Two targets, and little patience with silence."""
    return _route("hasty")


@pytest.fixture
def counted() -> Route:
    """Two targets that are taken as written while nothing is counted as in flight."""
    return _route("counted")
