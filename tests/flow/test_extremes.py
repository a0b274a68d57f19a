"""Bodies at the far end of what JSON can say, in a control group of 512 MiB: a verdict at once, and memory for two.

Where no such group can be made the same is asked without it. One rule: the clock runs from when the byte is out that
decides, because how long a client takes to send the others is its own affair.
"""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow.memory_group import MemoryGroup, memory_group
from flow.rig import CHAT, Door, Gateway, Upstream, chat, configuration, free_port, launch

LIMIT = 512 << 20
CAP = 32 << 20
"""Of a body, as it stands without a word in the configuration."""
DEEPEST = 128
AT_ONCE_MS = 50
OPEN = chat("patient-0").removesuffix(b"}") + b',"x":'
HEAD = b"POST %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" % CHAT.encode()


@pytest.fixture(scope="module")
def cramped(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with memory_group(LIMIT) as group:
        command = launch(configuration(shared_upstream.origin, free_port()), tmp_path_factory.mktemp("cramped"))
        try:
            if isinstance(group, MemoryGroup):
                group.take(command.process.pid)
            else:
                print(f"without the limit: {group}")
            gateway = Gateway(command)
            process = gateway.process
            yield gateway
            assert gateway.process == process, "the same as at the start"
            if isinstance(group, MemoryGroup):
                assert group.killed == 0
        finally:
            command.stop()


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, cramped: Gateway) -> Door:
    return cramped.doors[request.param]


@pytest.fixture
def frugal(cramped: Gateway) -> Iterator[None]:
    """The most that the data process ever held in this test is no more than two bodies above what it held before."""
    status = Path(f"/proc/{cramped.process}")
    (status / "clear_refs").write_text("5")
    before = cramped.memory_bytes
    yield
    peak = re.search(r"VmHWM:\s+(\d+) kB", (status / "status").read_text())
    assert peak
    assert int(peak[1]) * 1024 - before <= 2 * CAP


def verdict(door: Door, head: bytes, body: bytes, last: bytes) -> tuple[int, bytes, float]:
    """Status, body and milliseconds from the last bytes to the answer, which may be there long before them."""
    with door.socket(60) as client:
        # granian ends the connection with an answer that comes before the body is over.
        with contextlib.suppress(ConnectionError):
            client.sendall(HEAD + head + b"\r\n" + body)
            client.sendall(last)
        sent = time.monotonic()
        answer = client.recv(65_536)
        took_ms = (time.monotonic() - sent) * 1000
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(65_536):
                answer += piece
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2], took_ms


def posted(door: Door, body: bytes) -> tuple[int, bytes, float]:
    """The same, three times over: the middle time says what it takes, whoever else wants the core."""
    answers = [verdict(door, b"content-length: %d\r\n" % len(body), body[:-1], body[-1:]) for _ in range(3)]
    (status,) = {status for status, _, _ in answers}
    return status, answers[0][1], sorted(took_ms for _, _, took_ms in answers)[1]


@pytest.mark.usefixtures("frugal", "upstream")
@pytest.mark.parametrize("opened, closed", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_a_depth_of_128_is_answered_and_every_greater_one_refused(door: Door, opened: bytes, closed: bytes) -> None:
    slowest = 0.0
    for depth in (1, 2, 10, 64, 126, 127, 128, 129, 500, 1_000, 10_000, 50_000, 100_000):
        # The body is an object itself.
        body = OPEN + opened * (depth - 1) + b"1" + closed * (depth - 1) + b"}"
        status, said, took_ms = posted(door, body)
        assert status == (200 if depth <= DEEPEST else 400), (depth, said)
        if status == 400:
            slowest = max(slowest, took_ms)
            assert json.loads(said)["error"]["code"] == "invalid_json"
    assert slowest < AT_ONCE_MS


@pytest.mark.usefixtures("frugal", "upstream")
def test_a_million_elements_are_a_body_like_any_other_but_not_a_million_messages(door: Door) -> None:
    many = b"[" + b"0," * 999_999 + b"0]"
    assert posted(door, OPEN + many + b"}")[0] == 200
    status, said, took_ms = posted(door, chat("patient-0").replace(b"[{", b"[" + b"{}," * 999_999 + b"{"))
    assert (status, json.loads(said)["error"]["code"]) == (400, "invalid_value")
    assert took_ms < AT_ONCE_MS


@pytest.mark.usefixtures("frugal", "upstream")
@pytest.mark.parametrize(
    "value",
    [b"1e400", b"-1e400", b"1" + b"0" * 400, b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\ud83d"', b'"\\ude00\\ud83d"'],
    ids=lambda value: value[:16].decode(),
)
def test_what_readers_would_not_agree_on_is_refused_at_once(value: bytes, door: Door) -> None:
    status, said, took_ms = posted(door, OPEN + value + b"}")
    assert status == 400, said
    assert json.loads(said)["error"]["param"] == "x"
    assert took_ms < AT_ONCE_MS


@pytest.mark.usefixtures("frugal")
def test_a_string_of_a_hundred_megabytes_is_refused_before_it_comes_where_its_length_is_told(
    door: Door, upstream: Upstream
) -> None:
    body = OPEN + b'"' + b"x" * 1_000
    status, said, took_ms = verdict(door, b"content-length: %d\r\n" % 100_000_000, body[:-1], b"x")
    assert (status, json.loads(said)["error"]["code"]) == (413, "request_too_large")
    assert took_ms < AT_ONCE_MS
    assert upstream.rows() == []


@pytest.mark.usefixtures("frugal")
def test_a_string_of_a_hundred_megabytes_is_refused_at_the_cap_where_it_is_not(door: Door, upstream: Upstream) -> None:
    piece = b"x" * (1 << 20)
    begun = OPEN + b'"'
    with door.socket(60) as client:
        client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(begun), begun))
        for _ in range(CAP // len(piece) - 1):
            client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        # What the door was sent it has to read first; a pause as long as a client's breath lets it.
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        began = time.monotonic()
        answer = client.recv(65_536)
        took_ms = (time.monotonic() - began) * 1000
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert took_ms < AT_ONCE_MS
    assert upstream.rows() == []
