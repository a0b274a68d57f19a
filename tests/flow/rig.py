"""What the flow tests run on: a scripted upstream, a gateway before it, and a client that sees every byte.

One rule: nobody waits for time to pass; `eventually` looks until something is so, or the deadline is over.
One surprise: health outlives a test, so each test takes a route of its own and with it two targets nobody else calls.
"""

import contextlib
import functools
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

PYTHON = Path(__file__).parents[2] / "python"
POLICIES = Path(__file__).parent / "policies"
COMMAND = [sys.executable, "-W", "ignore", "-c", "from fastroute.cli import main; main(prog_name='fastroute')"]
START_S = 30.0
"""A start imports a debug build on a machine that may be busy."""
ROUTES = 400
ACCOUNTS = 20
READ_ON = {"drained": "drain", "finished": "finish"}
"""Kinds of routes whose provider does not want everything cancelled; their providers have their names."""
HEDGE_S = 0.25
"""When another target is asked beside a slow one, on routes that hedge."""
HASTE_S = 0.4
"""First token and silence of the hasty routes."""


def eventually(look: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
    """The first truthy answer of `look`."""
    end = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s} s, last seen {found!r}")
        time.sleep(0.005)


def free_port() -> int:
    """A port below those that the kernel gives to connections: one of them could take it before it is used."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@functools.cache
def refusing_port() -> int:
    """A port that is ours and refuses: bound and not listening, so that no neighbour on the machine gets it."""
    _bound.append(socket.socket())
    _bound[-1].bind(("127.0.0.1", 0))
    return _bound[-1].getsockname()[1]


_bound: list[socket.socket] = []


class Command:
    """A `fastroute` command as a process, with everything it wrote in one file."""

    def __init__(
        self, log: Path, *arguments: str, env: Mapping[str, str] | None = None, inside: Sequence[str] = ()
    ) -> None:
        """`inside` is put before the command line: a command that runs another one."""
        self._log = log
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*inside, *COMMAND, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={
                    **inherited,
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONPATH": f"{PYTHON}:{POLICIES}",
                    "FASTROUTE_STATE_DIR": str(log.parent / "state"),
                    **(env or {}),
                },
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def urls(self, count: int) -> list[str]:
        """The addresses on the line that says it listens."""

        def look() -> list[str]:
            found = re.findall(r"http://[\d.]+:\d+", self.output)
            assert self.process.poll() is None or len(found) >= count, self.output
            return found if len(found) >= count else []

        return eventually(look, "started", START_S)[:count]

    def wait(self, deadline_s: float = 20.0) -> int:
        return self.process.wait(deadline_s)

    def stop(self) -> None:
        """Ends it without grace. Idempotent."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def launch(config: object, folder: Path, name: str = "gateway", **more: Any) -> Command:
    """A gateway with this configuration, about to start; file and log have its name."""
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return Command(folder / f"{name}.log", "serve", "-c", str(file), **more)


class Upstream:
    """The scripted upstream."""

    def __init__(self, command: Command) -> None:
        self.command = command
        (self.origin,) = command.urls(1)

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.origin}/__mock/{path}", body, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - ours
            return reply.read()

    def script(self, *rules: Mapping[str, Any], **defaults: Any) -> None:
        """Replaces the script and forgets the log."""
        whole = {"rules": rules, "defaults": defaults, "keep_body_bytes": 65_536}
        self.call("PUT", "script", json.dumps(whole).encode())
        self.call("DELETE", "log")

    def rows(self, *models: str) -> list[dict[str, Any]]:
        """What the log says of these models, oldest first."""
        lines = self.call("GET", "log").splitlines()
        return [row for row in map(json.loads, lines) if not models or row["model"] in models]

    def row(
        self, model: str, described: Callable[[dict[str, Any]], Any], what: str, deadline_s: float = 5
    ) -> dict[str, Any]:
        """The one row of a model, once it is as described."""

        def look() -> dict[str, Any] | None:
            rows = self.rows(model)
            assert len(rows) <= 1, rows
            return rows[0] if rows and described(rows[0]) else None

        found = eventually(look, what, deadline_s)
        assert found is not None
        return found


class Route(NamedTuple):
    """A public model with two targets, in this order."""

    name: str
    first: str
    second: str

    def rule(self, *steps: Any, second: bool = False, **match: Any) -> dict[str, Any]:
        """What the upstream does when this route's first (or second) target is called."""
        return {"match": {"model": self.second if second else self.first, **match}, "steps": steps}


class Reply(NamedTuple):
    """What a client saw."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    """The transport ended as it should: nothing promised is missing."""

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.body)["error"]

    @property
    def target(self) -> str:
        return self.headers["x-fastroute-target"].partition("/")[2]

    @property
    def attempts(self) -> int:
        return int(self.headers["x-fastroute-attempts"])

    @property
    def events(self) -> list[Any]:
        """Data of a stream's events: parsed JSON, or the text of what is none (`[DONE]`)."""
        return list(events(self.body))


def events(body: bytes) -> Iterator[Any]:
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line.removeprefix(b"data:").strip() for line in block.split(b"\n") if line.startswith(b"data:")]
        if lines:
            text = b"\n".join(lines)
            yield json.loads(text) if text.startswith(b"{") else text.decode()


def text_of(seen: Sequence[Any]) -> str:
    """The content of a stream's events, joined."""
    pieces = [
        choice["delta"].get("content")
        for event in seen
        if isinstance(event, dict)
        for choice in event.get("choices", [])
    ]
    return "".join(piece for piece in pieces if piece)


def finishes(seen: Sequence[Any]) -> list[str]:
    reasons = [
        choice.get("finish_reason") for event in seen if isinstance(event, dict) for choice in event.get("choices", [])
    ]
    return [reason for reason in reasons if reason]


CHAT = "/v1/chat/completions"


def chat(model: str, **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **more}).encode()


class Door:
    """One way into a gateway."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        host, port = url.removeprefix("http://").split(":")
        self.place = (host, int(port))

    def connect(self, timeout_s: float = 30.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.place, timeout=timeout_s)

    def socket(self, timeout_s: float = 30.0) -> socket.socket:
        return socket.create_connection(self.place, timeout_s)

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            sent = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, body, {**sent, **(headers or {})})
            return read(connection.getresponse())

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        return self.send("POST", CHAT, body, headers)

    def ask(self, route: Route | str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        name = route if isinstance(route, str) else route.name
        return self.post(chat(name, **more), headers)


def ask_raw(door: Door, route: Route, **more: Any) -> socket.socket:
    """Sends a request in one write on a socket of its own, and reads nothing."""
    body = chat(route.name, **more)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    client = door.socket()
    client.sendall(head.encode() + body)
    return client


def read(response: http.client.HTTPResponse) -> Reply:
    body, whole = bytearray(), True
    try:
        while piece := response.read1(65_536):
            body += piece
        # read1 takes an early end of a promised length for the end.
        whole = response.length in (None, 0)
    except (http.client.IncompleteRead, ConnectionError) as error:
        body += getattr(error, "partial", b"")
        whole = False
    response.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, bytes(body), whole)


class Gateway:
    """A running gateway in front of one upstream."""

    def __init__(self, command: Command) -> None:
        self.command = command
        granian, edge = command.urls(2)
        self.doors = {"granian": Door("granian", granian), "edge": Door("edge", edge)}

    @property
    def process(self) -> int:
        """The data process."""
        return data_process(self.command)

    @property
    def memory_bytes(self) -> int:
        status = Path(f"/proc/{self.process}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


@contextlib.contextmanager
def serving(config: object, folder: Path, name: str = "gateway", **more: Any) -> Iterator[Gateway]:
    """The same, running for as long as the block does."""
    command = launch(config, folder, name, **more)
    try:
        yield Gateway(command)
    finally:
        command.stop()


Serve = Callable[..., Gateway]
"""Starts a gateway of a test's own with a configuration, and ends it with the test."""


def data_process(command: Command) -> int:
    """Process id of the supervisor's one child; 0 while there is none."""
    pid = command.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def configuration(upstream: str, admin_port: int, **limits: Any) -> dict[str, Any]:
    """Routes of every kind, `ROUTES` of each, with targets of their own."""
    haste = {"ttft_soft_timeout_s": HASTE_S, "ttft_timeout_s": 3 * HASTE_S, "idle_timeout_s": HASTE_S}
    kinds: dict[str, dict[str, Any]] = {
        "patient": {},
        "hasty": {"patience": haste},
        "counted": {"policy": "flow_policies:first_when_idle"},
    }
    models = {
        f"{kind}-{number}": {"targets": [f"up/{kind}-{number}-first", f"up/{kind}-{number}-second"], **more}
        for kind, more in kinds.items()
        for number in range(ROUTES)
    }
    dead = {"dialect": "openai_chat", "address": f"http://127.0.0.1:{refusing_port()}/v1"}
    for kind in READ_ON:
        for name in (f"{kind}-{number}" for number in range(ACCOUNTS)):
            targets = [f"{kind}/{name}-first", f"{kind}/{name}-second"]
            models[name] = {"policy": "flow_policies:first_when_idle", "targets": targets}
    # A provider that refuses rests after some requests, so whoever has one has it for itself.
    refusing = {f"refused-{number}": dead for number in range(ACCOUNTS)}
    for name in refusing:
        models[name] = {"targets": [f"{name}/{name}-first", f"up/{name}-second"]}
    for name in (f"hedging-{number}" for number in range(ACCOUNTS)):
        models[name] = {"targets": [f"up/{name}-first", f"up/{name}-second"], "patience": {"hedge_after_s": HEDGE_S}}
    read_on = {
        kind: {"dialect": "openai_chat", "address": f"{upstream}/v1", "on_client_gone": wish}
        for kind, wish in READ_ON.items()
    }
    # A refused key is out for every model, so whoever has one refused has it for itself.
    accounts = {
        f"account-{number}": {
            "dialect": "openai_chat",
            "address": f"{upstream}/v1",
            "key": f"sk-canary-of-account-{number}",
        }
        for number in range(ACCOUNTS)
    }
    for name in accounts:
        models[name] = {"targets": [f"{name}/{name}-first", f"{name}/{name}-second"]}
    return {
        "listen": {"port": 0, "edge_port": 0, "admin_port": admin_port},
        "providers": {
            **accounts,
            **read_on,
            "up": {"dialect": "openai_chat", "address": f"{upstream}/v1", "key": "sk-canary-of-the-provider"},
            **refusing,
            "dead": dead,
        },
        "models": {
            **models,
            "half-dead": {"targets": ["dead/first", "up/alive"]},
            "thrice": {"targets": ["up/thrice-1", "up/thrice-2", "up/thrice-3"]},
        },
        "limits": limits,
    }
