"""The official SDKs' own parsers read what we render: every recorded answer, said in each client's dialect.

A loopback server gives the rendered bytes; the SDK's values are those of `core.parse_reply` and `core.StreamReader`.
In the short form each kind of content is read once, in the long form every line.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clients.sdks import REFUSED, SDKS
from contract.recorded import Line, lines
from contract.said import LOSSES, Said, differences, read_stream, said_in_reply
from fastroute import core

FIDELITY = {"exact", "normalised", "reframed", "curated", "response_only", "media_elided"}


class Server(ThreadingHTTPServer):
    """Gives the same prepared answer to whoever asks."""

    daemon_threads = True
    answer = (b"", "")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave together; apart, the second waits for the first to be acknowledged.
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body, kind = self.server.answer  # pyright: ignore[reportAttributeAccessIssue]
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """A test says what it has to say itself."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answering) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def sampled() -> Iterator[Line]:
    """Lines that hold, between them, each kind of content of each dialect, streamed and whole."""
    seen: set[tuple[object, ...]] = set()
    for line in lines():
        if not line.answered:
            continue
        kinds = {(line.dialect, line.streaming, tag) for tag in line.tags - FIDELITY if not tag.startswith("req_")}
        if kinds - seen:
            seen |= kinds
            yield line


def rendered(line: Line, target: str) -> tuple[bytes, str, Said]:
    source = line.dialect or ""
    if line.streaming:
        stream = core.StreamTranslator(source, target, reply_id="r1", model="m")
        body = stream.push(line.body) + stream.finish()
        return body, "text/event-stream", read_stream(target, [body])
    body = core.translate_reply(line.body, source, target, reply_id="r1", model="m")
    return body, "application/json", said_in_reply(core.parse_reply(body, target))


def faults(line: Line, target: str, sdk: Any, server: Server) -> list[str]:
    """What the SDK reads otherwise, if anything."""
    body, kind, ours = rendered(line, target)
    server.answer = (body, kind)
    try:
        theirs = sdk.stream() if line.streaming else sdk.reply()
    except REFUSED as refused:
        return [] if ours.failed else [f"refused: {type(refused).__name__}"]
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError) as broken:
        return [f"{type(broken).__name__}: {str(broken)[:200]}"]
    if ours.failed and theirs.failed is False and line.streaming:
        unfinished = any(choice.finish is None for choice in theirs.choices.values()) or not theirs.choices
        return [] if unfinished else ["an unfinished stream looks whole"]
    # Arguments that are no object are a member of one, which our own reader takes out again.
    known = {what for dialect, what in LOSSES if dialect == target} | {"arguments"}
    return [f"{what}: {how}" for what, how in differences(theirs, ours) if what not in known]


def read_all(chosen: Iterator[Line], target: str, server: Server) -> Counter[str]:
    sdk = SDKS[target](server.address)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for line in chosen:
        # What is said in its own dialect goes on as it is, and is the provider's to answer for.
        if line.dialect == target:
            continue
        counts["streams" if line.streaming else "replies"] += 1
        found = faults(line, target, sdk, server)
        wrong += [f"{line.id}: {line.dialect} to {target}: {fault}" for fault in found]
    print(f"{target}: {dict(counts)}")
    assert not wrong, f"{len(wrong)} faults:\n" + "\n".join(wrong[:40])
    return counts


@pytest.mark.parametrize("target", SDKS)
def test_the_official_sdk_reads_each_kind_of_content_in_what_we_render(target: str, server: Server) -> None:
    counts = read_all(sampled(), target, server)
    assert min(counts["streams"], counts["replies"]) > 20


@pytest.mark.long
@pytest.mark.parametrize("target", SDKS)
def test_the_official_sdk_reads_every_recorded_answer_that_we_render(target: str, server: Server) -> None:
    read_all((line for line in lines() if line.answered), target, server)
