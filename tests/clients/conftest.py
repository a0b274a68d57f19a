"""Real programs for every test here: llama.cpp servers, `fastroute serve` in front of them, SDKs that call it.

Each runs as its own process in a clean environment, as at a user's; tests speak to SDKs by one JSON line each way. What
`make test-clients` installs is needed, and its absence is a failure, not a skip.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import IO, Any, NamedTuple

import httpx2
import pytest

from clients.scripted import Scripted
from flow.rig import Command

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
DEADLINE_S = 30.0
"""For anything to start or to answer; ten times what a busy machine of two cores needs."""

CONFIG = Template("""\
listen: {port: 0, edge_port: 0, admin_port: 0}
providers:
  here: {dialect: openai_chat, address: $here/v1}
  there: {dialect: openai_chat, address: $there/v1}
  messages: {speaks: {anthropic_messages: /v1/messages}, address: $here}
  scripted: {dialect: openai_chat, address: $scripted/v1}
models:
  local/tiny: {targets: [here/tiny, there/tiny]}
  local/messages: {targets: [messages/tiny]}
  mock/echo: {targets: [mock/echo]}
""")
NEEDED = ("openai", "langchain_openai", "pydantic_ai", "instructor", "numpy", "gguf", "xllamacpp")
"""Some of what is installed for these tests alone."""
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""


class Program:
    """A child process that speaks on its standard output, line by line, and never keeps a test waiting for ever."""

    def __init__(self, argv: list[str], home: Path, *, stdin: int | None = None) -> None:
        # Whoever tries to reach beyond this machine is refused at once.
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "HTTPS_PROXY": NOWHERE}
        with (home / "stderr.txt").open("ab") as errors:
            self._process = subprocess.Popen(
                argv, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
            )
        self._argv = argv
        self._home = home

    def read_line(self) -> str:
        """The next line. Fails the test when the program ends, or stays silent until the deadline."""
        out = self._pipe(self._process.stdout)
        timer = threading.Timer(DEADLINE_S, self._process.kill)
        timer.start()
        line = out.readline()
        timer.cancel()
        if not line:
            self._process.wait()
            pytest.fail(f"{' '.join(self._argv)} ended or was silent for {DEADLINE_S:.0f} s: {self.said()}")
        return line.rstrip("\n")

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        return (self._home / "stderr.txt").read_text()[-2_000:]

    def write_line(self, line: str) -> None:
        pipe = self._pipe(self._process.stdin)
        # Whoever reads the answer is told why there is none.
        with contextlib.suppress(BrokenPipeError):
            pipe.write(line + "\n")
            pipe.flush()

    def stop(self, number: int) -> int:
        """Sends a signal, waits for the end and gives the exit status."""
        self._process.send_signal(number)
        try:
            return self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            pytest.fail(f"{' '.join(self._argv)} did not end {DEADLINE_S:.0f} s after signal {number}")

    def close(self) -> None:
        """Ends it if it still runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


class Upstream(NamedTuple):
    """A llama.cpp server."""

    address: str
    program: Program


class Gateway(NamedTuple):
    """A running `fastroute serve`: what it printed, and its doors by name."""

    screen: list[str]
    doors: dict[str, str]


Ask = Callable[..., dict[str, Any]]
"""`ask("models.list")`: one call of an SDK through one door. Gives `headers` and `body` or `chunks`, or an `error`."""


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    missing = [module for module in NEEDED if find_spec(module) is None]
    missing += [program for program in ("node", "fastroute") if not (BIN / program).exists()]
    missing += [] if (HERE / "node_modules/ai").is_dir() else ["tests/clients/node_modules"]
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; `make test-clients` installs them", pytrace=False)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([sys.executable, str(HERE / "tiny_model.py"), str(path)], check=True)
    return path


@contextlib.contextmanager
def _upstream(model: Path, home: Path) -> Iterator[Upstream]:
    program = Program([sys.executable, str(HERE / "llama_server.py"), str(model)], home)
    with contextlib.closing(program):
        address = program.read_line()
        _wait_until_healthy(address)
        yield Upstream(address, program)


def _wait_until_healthy(address: str) -> None:
    """Polls `/health`, which is 503 while the model loads."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{address}/health", trust_env=False).is_success:
                return
        time.sleep(0.05)
    pytest.fail(f"llama.cpp at {address} is not healthy after {DEADLINE_S:.0f} s")


@contextlib.contextmanager
def serving(config: str, home: Path) -> Iterator[Gateway]:
    file = home / "gateway.yaml"
    file.write_text(config)
    program = Program([str(BIN / "fastroute"), "serve", "-c", str(file)], home)
    with contextlib.closing(program):
        screen = [program.read_line()]
        while not screen[-1].strip().startswith("SDKs"):
            screen.append(program.read_line())
        listening = next(line for line in screen if line.strip().startswith("listening"))
        urls = listening.replace(",", " ").split()[1:]
        yield Gateway(screen, {name.strip("()"): url for url, name in zip(urls[::2], urls[1::2], strict=True)})
        # Ctrl-C: a stop without lame duck, in which the data process goes too.
        assert program.stop(signal.SIGINT) == 0, f"the gateway did not end well: {program.said()}"


@pytest.fixture(scope="session")
def there(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with _upstream(model, tmp_path_factory.mktemp("there")) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def _scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    command = Command(tmp_path_factory.mktemp("scripted") / "output.txt", "mock", "--port", "0")
    try:
        yield Scripted(command)
    finally:
        command.stop()


@pytest.fixture
def scripted(_scripted: Scripted) -> Scripted:
    _scripted.forget()
    return _scripted


@pytest.fixture(scope="session")
def gateway(
    model: Path, there: Upstream, _scripted: Scripted, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with _upstream(model, tmp_path_factory.mktemp("here")) as here:
        config = CONFIG.substitute(here=here.address, there=there.address, scripted=_scripted.address)
        with serving(config, tmp_path_factory.mktemp("gateway")) as running:
            yield running


@pytest.fixture
def own_gateway(_scripted: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for one test that has its key refused, so that all of that provider's models rest."""
    config = CONFIG.substitute(here=NOWHERE, there=NOWHERE, scripted=_scripted.address)
    config = config.replace("scripted: {", "scripted: {key: sk-of-this-gateway, ")
    with serving(config, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def here(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A server for one test to stop."""
    with _upstream(model, tmp_path_factory.mktemp("here")) as upstream:
        yield upstream


@pytest.fixture
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Gateway]]:
    """Gateways of one test, so that what they learn of a server's health stays there."""
    with contextlib.ExitStack() as running:

        def start(here: str, there: str) -> Gateway:
            config = CONFIG.substitute(here=here, there=there, scripted=NOWHERE)
            return running.enter_context(serving(config, tmp_path_factory.mktemp("gateway")))

        yield start


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session", params=["python", "node"])
def sdk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    programs = {
        "python": [sys.executable, str(HERE / "python_sdk.py")],
        "node": [str(BIN / "node"), str(HERE / "node_sdk.mjs")],
    }
    program = Program(programs[request.param], tmp_path_factory.mktemp("sdk"), stdin=subprocess.PIPE)
    with contextlib.closing(program):
        yield program


@pytest.fixture
def asking(sdk: Program, door: str) -> Callable[[Gateway], Ask]:
    """Calls the SDK through the door of a given gateway."""

    def of(gateway: Gateway) -> Ask:
        def ask(
            call: str, *positional: Any, at_first_chunk: Callable[[], object] | None = None, **named: Any
        ) -> dict[str, Any]:
            question = {"base_url": f"{gateway.doors[door]}/v1", "call": call, "positional": positional, "named": named}
            sdk.write_line(json.dumps(question))
            chunks = []
            while "chunk" in (answer := json.loads(sdk.read_line())):
                if at_first_chunk and not chunks:
                    at_first_chunk()
                chunks.append(answer["chunk"])
            return {"chunks": chunks, **answer}

        return ask

    return of


@pytest.fixture
def ask(asking: Callable[[Gateway], Ask], gateway: Gateway) -> Ask:
    return asking(gateway)
