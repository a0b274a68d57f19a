"""Requests that real clients of many kinds sent once, sent again to both doors and answered by the built-in model.

`FASTROUTE_CLIENTS` names a folder with `traffic.jsonl`: a request per line with its headers in their order and
spelling, long texts cut out. None of its lines is here.
"""

import json
import os
import re
from collections import Counter
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
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
        body = filled(request["body"])
        if body is not None:
            body["model"] = "mock/echo"
        fault = fault_of(gateway.doors[door], request, body)
        if fault:
            faults.append(f"{request['client']} ({request['scenario']}) {request['method']} {request['path']}: {fault}")
    assert not faults
    assert len(recorded) == RECORDED
    print(f"{door}: {dict(Counter(request['path'] for request in recorded))}")


def fault_of(address: str, request: dict[str, Any], body: dict[str, Any] | None) -> str | None:
    """Sends the request as its client did; what is wrong with the reply, if anything."""
    sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.putrequest(request["method"], request["path"], skip_host=True, skip_accept_encoding=True)
    ours = {"host": connection.host, "content-length": str(len(sent))}
    for name, value in request["headers"]:
        connection.putheader(name, ours.get(name.lower(), value))
    connection.endheaders(sent)
    reply = connection.getresponse()
    read = reply.read().decode()
    connection.close()
    if reply.status != 200:
        return f"{reply.status} {read}"
    if reply.getheader("content-encoding"):
        return f"compressed with {reply.getheader('content-encoding')}"
    if body is None:
        ids = [model["id"] for model in json.loads(read)["data"]]
        return None if "mock/echo" in ids else f"lists {ids}"
    return fault_of_generation(reply, read, body)


def fault_of_generation(reply: HTTPResponse, read: str, body: dict[str, Any]) -> str | None:
    if reply.getheader("x-fastroute-target") != "mock/echo":
        return f"answered by {reply.getheader('x-fastroute-target')}"
    if "input" in body:
        wanted = len(body["input"]) if isinstance(body["input"], list) else 1
        data = json.loads(read)["data"]
        return None if len(data) == wanted else f"{len(data)} embeddings for {wanted} inputs"
    if not body.get("stream"):
        choice = json.loads(read)["choices"][0]
        return None if choice["finish_reason"] else "not finished"
    *events, done, rest = read.split("\n\n")
    if (done, rest) != ("data: [DONE]", ""):
        return f"a stream that ends with {done!r} and {rest!r}"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    if not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]):
        return "a stream without a finish"
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    given = any(chunk.get("usage") for chunk in chunks)
    return None if given == asked else f"usage asked for: {asked}, given: {given}"


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
