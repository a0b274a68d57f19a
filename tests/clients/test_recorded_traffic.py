"""Requests that clients of many kinds sent once, sent again to both doors: to the built-in model and to llama.cpp.

`FASTROUTE_CLIENTS` names a folder with `traffic.jsonl`: a request per line with its headers in their order and
spelling, long texts cut out. None of its lines is here.
"""

import contextlib
import json
import os
import re
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

SERVED = {"/v1/chat/completions", "/v1/embeddings", "/v1/models"}
RECORDED = 52
"""Lines of the recording that ask for one of these."""

# A text that was cut out whole, or after its beginning; what stays tells its length.
CUT = re.compile(r"<elided (\d+) chars>|… \[(\d+) characters\]$")


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    folder = os.environ.get("FASTROUTE_CLIENTS")
    if not folder:
        pytest.skip(f"FASTROUTE_CLIENTS is not set: skipped {RECORDED} recorded requests")
    lines = Path(folder, "traffic.jsonl").read_text(encoding="utf-8").splitlines()
    return [request for request in map(json.loads, lines) if request["path"] in SERVED]


def test_every_recorded_request_for_a_dialect_we_speak_is_answered(
    gateway: Any, door: str, recorded: list[dict[str, Any]]
) -> None:
    faults = []
    for request in recorded:
        body = filled(request["body"]) and {**filled(request["body"]), "model": "mock/echo"}
        fault = fault_of(send(gateway.doors[door], request, body), body)
        if fault:
            faults.append(f"{name_of(request)}: {fault}")
    assert not faults
    assert len(recorded) == RECORDED
    print(f"{door}: {dict(Counter(request['path'] for request in recorded))}")


def test_a_real_server_says_to_every_recorded_request_what_it_says_without_a_gateway(
    gateway: Any, there: Any, door: str, recorded: list[dict[str, Any]]
) -> None:
    statuses: Counter[int] = Counter()
    for request in recorded:
        if request["body"] is None:
            continue
        body = filled(request["body"])
        if "messages" in body:
            # A reply that is the same twice, and short.
            body |= {"temperature": 0, "max_tokens": 8}
        direct = send(there.address, request, {**body, "model": "tiny"})
        through = send(gateway.doors[door], request, {**body, "model": "local/tiny"})
        if direct.status >= 500:
            # An upstream's fault (here a picture shown to a model without eyes) is told as the upstream's.
            assert (through.status, through.headers["x-fastroute-upstream-status"]) == (502, str(direct.status))
        else:
            assert (through.status, documents(through)) == (direct.status, documents(direct)), name_of(request)
        statuses[direct.status] += 1
    # Some of the prompts are longer than the model can hold.
    assert statuses[200] > statuses[400]
    print(f"{door}: {dict(statuses)}")


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def name_of(request: dict[str, Any]) -> str:
    return f"{request['client']} ({request['scenario']}) {request['method']} {request['path']}"


def send(address: str, request: dict[str, Any], body: dict[str, Any] | None) -> Reply:
    """Sends the request as its client did, header by header."""
    sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    with contextlib.closing(HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        connection.putrequest(request["method"], request["path"], skip_host=True, skip_accept_encoding=True)
        ours = {"host": urlsplit(address).netloc, "content-length": str(len(sent))}
        for name, value in request["headers"]:
            connection.putheader(name, ours.get(name.lower(), value))
        connection.endheaders(sent)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, reply.read().decode())


def fault_of(reply: Reply, body: dict[str, Any] | None) -> str | None:
    """What is wrong with a reply of the built-in model, if anything."""
    if reply.status != 200 or "content-encoding" in reply.headers:
        return f"{reply.status} {reply.headers} {reply.text}"
    if body is None:
        ids = [model["id"] for model in json.loads(reply.text)["data"]]
        return None if "mock/echo" in ids else f"lists {ids}"
    if reply.headers["x-fastroute-target"] != "mock/echo":
        return f"answered by {reply.headers['x-fastroute-target']}"
    if "input" in body:
        wanted = len(body["input"]) if isinstance(body["input"], list) else 1
        data = json.loads(reply.text)["data"]
        return None if len(data) == wanted else f"{len(data)} embeddings for {wanted} inputs"
    if body.get("stream"):
        return fault_of_stream(reply, bool((body.get("stream_options") or {}).get("include_usage")))
    return None if json.loads(reply.text)["choices"][0]["finish_reason"] else "not finished"


def fault_of_stream(reply: Reply, usage_asked: bool) -> str | None:
    *_, done, rest = reply.text.split("\n\n")
    if (done, rest) != ("data: [DONE]", ""):
        return f"a stream that ends with {done!r} and {rest!r}"
    chunks = documents(reply)
    if not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]):
        return "a stream without a finish"
    usage_given = any(chunk.get("usage") for chunk in chunks)
    return None if usage_given == usage_asked else f"usage asked for: {usage_asked}, given: {usage_given}"


def documents(reply: Reply) -> list[Any]:
    """What a reply says: its one document or those of its events, without what differs from one reply to the next."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        return [lasting(json.loads(reply.text))]
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    return [lasting(json.loads(event)) for event in events if event != "[DONE]"]


def lasting(value: Any) -> Any:
    if isinstance(value, dict):
        passing = {"id", "created", "timings"}
        return {name: lasting(inner) for name, inner in value.items() if name not in passing}
    return [lasting(inner) for inner in value] if isinstance(value, list) else value


def filled(value: Any) -> Any:
    """A body with its texts at their old lengths again."""
    if isinstance(value, dict):
        return {name: filled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if isinstance(value, str) and (cut := CUT.search(value)):
        kept = value[: cut.start()]
        return kept + "x" * (int(cut[1] or cut[2]) - len(kept))
    return value
