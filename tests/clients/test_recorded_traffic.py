"""Requests that clients of many kinds sent once, sent again to both doors: to the built-in model and to llama.cpp.

Every line is of some kind below: one that is answered, or one that is told in its own dialect that nobody serves it.

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

ANSWERED = {
    "chat": r"POST /v1/chat/completions",
    "embeddings": r"POST /v1/embeddings",
    "models": r"GET (/anthropic)?/v1/models(\?.*)?",
    "messages": r"POST (/anthropic)?/v1/messages(\?.*)?",
    "responses": r"POST /v1/responses",
    "gemini": r"POST /v1(beta)?/models/[^:]+:(generateContent|streamGenerateContent\?alt=sse)",
    "cohere": r"POST /v2/chat",
    "counting": r"POST (/anthropic)?/v1/(messages/count_tokens(\?.*)?|models/[^:]+:countTokens)",
    "gemini embeddings": r"POST /v1/models/[^:]+:batchEmbedContents",
}
"""Kinds of requests by method and path."""
REFUSED = {
    "nobody's": (r"GET /v1/nope", 1),
    # Its form was not recorded, and what stands for it is none.
    "multipart": (r"POST /v1/audio/transcriptions", 1),
    # The model that is built in ranks nothing.
    "ranks": (r"POST /v2/rerank", 1),
    "websocket": (r"GET /v1/responses", 6),
}
"""What nobody serves, and how many lines ask for it."""
RECORDED = 155
"""Lines of the recording."""

# A text that was cut out whole, or after its beginning; what stays tells its length.
CUT = re.compile(r"<elided (\d+) chars>|… \[(\d+) characters\]$")


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    folder = os.environ.get("FASTROUTE_CLIENTS")
    if not folder:
        pytest.skip(f"FASTROUTE_CLIENTS is not set: skipped {RECORDED} recorded requests")
    lines = Path(folder, "traffic.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == RECORDED
    return list(map(json.loads, lines))


def kind_of(request: dict[str, Any]) -> str | None:
    """Which of the answered kinds it is."""
    asked = f"{request['method']} {request['path']}"
    return next((kind for kind, pattern in ANSWERED.items() if re.fullmatch(pattern, asked)), None)


def test_every_recorded_request_for_a_dialect_we_speak_is_answered(
    gateway: Any, door: str, recorded: list[dict[str, Any]]
) -> None:
    faults, answered = [], Counter()
    for request in recorded:
        kind = kind_of(request)
        if kind is None:
            continue
        asked, body = for_model("mock/echo", request)
        fault = fault_of(kind, send(gateway.doors[door], asked, body), asked, body)
        if fault:
            faults.append(f"{name_of(request)}: {fault}")
        answered[kind] += 1
    assert not faults, "\n".join(faults)
    assert answered.total() == RECORDED - sum(count for _, count in REFUSED.values())
    print(f"{door}: {dict(answered)}")


def test_every_other_recorded_request_is_told_that_nobody_serves_it(
    gateway: Any, door: str, recorded: list[dict[str, Any]]
) -> None:
    refused: Counter[str] = Counter()
    for request in recorded:
        if kind_of(request) is not None:
            continue
        asked = f"{request['method']} {request['path']}"
        (kind,) = (kind for kind, (pattern, _) in REFUSED.items() if re.fullmatch(pattern, asked))
        reply = send(gateway.doors[door], *for_model("mock/echo", request))
        told = {"websocket": {426}, "multipart": {400}}.get(kind, {404, 405})
        assert reply.status in told, f"{name_of(request)}: {reply}"
        error = json.loads(reply.text)
        assert error.get("message") or error["error"]["message"], name_of(request)
        refused[kind] += 1
    assert refused == {kind: count for kind, (_, count) in REFUSED.items()}
    print(f"{door}, not served: {dict(refused)}")


def test_a_real_server_says_to_every_recorded_request_what_it_says_without_a_gateway(
    gateway: Any, there: Any, door: str, recorded: list[dict[str, Any]]
) -> None:
    statuses: Counter[int] = Counter()
    for request in recorded:
        if kind_of(request) not in {"chat", "embeddings"}:
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


def for_model(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The request and its body, for a model of ours."""
    body = filled(request["body"])
    if isinstance(body, dict) and "model" in body:
        body["model"] = model
    return {**request, "path": re.sub(r"(/models/)[^:]+", rf"\1{model}", request["path"])}, body


def send(address: str, request: dict[str, Any], body: Any) -> Reply:
    """Sends the request as its client did, header by header."""
    sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    with contextlib.closing(HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        connection.putrequest(request["method"], request["path"], skip_host=True, skip_accept_encoding=True)
        ours = {"host": urlsplit(address).netloc, "content-length": str(len(sent))}
        for name, value in request["headers"]:
            # What was cut out of a header may leave a mark that no header can carry.
            connection.putheader(name, ours.get(name.lower(), filled(value).replace("…", "...")))
        connection.endheaders(sent)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, reply.read().decode())


def fault_of(kind: str, reply: Reply, request: dict[str, Any], body: Any) -> str | None:
    """What is wrong with a reply of the built-in model, if anything."""
    if reply.status != 200 or "content-encoding" in reply.headers:
        return f"{reply.status} {reply.headers} {reply.text}"
    if kind == "models":
        listed = json.loads(reply.text)
        ids = [
            model.get("id") or model["name"].removeprefix("models/") for model in listed.get("data") or listed["models"]
        ]
        return None if "mock/echo" in ids else f"lists {ids}"
    if kind != "counting" and reply.headers["x-fastroute-target"] != "mock/echo":
        return f"answered by {reply.headers['x-fastroute-target']}"
    if kind in {"counting", "embeddings", "gemini embeddings"}:
        return fault_of_numbers(kind, json.loads(reply.text), body)
    if kind == "chat":
        return fault_of_chat(reply, body)
    return fault_of_dialect(kind, reply, streamed=bool(body.get("stream")) or ":stream" in request["path"])


def fault_of_numbers(kind: str, said: dict[str, Any], body: dict[str, Any]) -> str | None:
    """The same of what holds no words."""
    if kind == "counting":
        return None if said.get("input_tokens", said.get("totalTokens", 0)) > 0 else f"counts {said}"
    asked = body["requests"] if kind == "gemini embeddings" else body["input"]
    wanted = len(asked) if isinstance(asked, list) else 1
    found = len(said["embeddings" if kind == "gemini embeddings" else "data"])
    return None if found == wanted else f"{found} embeddings for {wanted} inputs"


def fault_of_chat(reply: Reply, body: dict[str, Any]) -> str | None:
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


def fault_of_dialect(kind: str, reply: Reply, *, streamed: bool) -> str | None:
    """The same of the dialects that are answered in translation: each has its own way to be at an end."""
    if streamed != reply.headers["content-type"].startswith("text/event-stream"):
        return f"streamed: {streamed}, sent: {reply.headers['content-type']}"
    said = documents(reply)
    last = said[-1]
    if kind == "messages":
        ended = last["type"] == "message_stop" if streamed else last["stop_reason"]
    elif kind == "cohere":
        ended = last["type"] == "message-end" if streamed else last["finish_reason"]
    elif kind == "responses":
        ended = (last["response"] if streamed else last)["status"] == "completed"
    else:
        ended = any("finishReason" in one for document in said for one in document["candidates"])
    return None if ended else f"no end: {last}"


def documents(reply: Reply) -> list[Any]:
    """What a reply says: its one document or those of its events, without what differs from one reply to the next."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        return [lasting(json.loads(reply.text))]
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
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
