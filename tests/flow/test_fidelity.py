"""Same dialect: the upstream gets what the client wrote, and the client gets what the upstream wrote."""

import json
import re
from typing import Any

import pytest

from flow.rig import Door, Route, Upstream

# Spacing, order, escapes, number spellings and fields that a parser and printer would not bring back.
PECULIAR = (
    '{ "model" :\t"MODEL",  "x_unknown":{"a" : [1.0e+2, -0.0, 1E5,\n 12345678901234567890, 0.1000 ],'
    '"é":"\\u00e9\\/"},\r\n'
    ' "messages":[ {"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 日本 \\t\\"q\\"" , "name":"n"} ],'
    '"temperature":1.00 ,'
    '"seed":9007199254740993, "metadata":null,"TEMPERATURE":2'
)


@pytest.mark.parametrize(
    "stream", ["", ' , "stream" : false ', ', "stream":true,"stream_options":{"include_usage":true}']
)
def test_the_upstream_gets_the_clients_bytes_but_for_the_model(
    stream: str, upstream: Upstream, door: Door, route: Route
) -> None:
    sent = PECULIAR + stream + " }\n"
    reply = door.post(sent.replace("MODEL", route.name).encode())
    assert reply.status == 200, reply.body
    (row,) = upstream.rows()
    assert row["body"] == sent.replace("MODEL", route.first)
    assert row["body_bytes"] == len(sent.replace("MODEL", route.first).encode())


@pytest.mark.parametrize(
    "options",
    ["", ',"stream_options":{}', ', "stream_options" : { "include_usage" : false , "x":1 }', ',"stream_options":null'],
)
def test_a_stream_is_asked_for_usage_and_nothing_else_changes(
    options: str, upstream: Upstream, door: Door, route: Route
) -> None:
    sent = f'{PECULIAR}, "stream": true{options}}}'
    assert door.post(sent.replace("MODEL", route.name).encode()).status == 200
    (row,) = upstream.rows()
    asked, expected = json.loads(row["body"]), json.loads(sent.replace("MODEL", route.first))
    given = expected.pop("stream_options", None) or {}
    assert asked.pop("stream_options") == {**given, "include_usage": True}
    assert asked == expected
    # Apart from the options themselves every byte is where it was.
    bare = re.compile(r',?\s*"stream_options"\s*:\s*(\{[^}]*\}|null),?')
    squeezed = re.compile(r"[\s,]+")
    assert squeezed.sub("", bare.sub("", row["body"])) == squeezed.sub(
        "", bare.sub("", sent.replace("MODEL", route.first))
    )
    assert PECULIAR.replace("MODEL", route.first).removeprefix("{") in row["body"]


def test_headers_of_the_client_stay_here_but_for_those_that_mean_something_upstream(
    upstream: Upstream, door: Door, route: Route
) -> None:
    kept = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "idempotency-key": "k-1",
        "openai-beta": "assistants=v2",
    }
    own = {
        "authorization": "Bearer sk-canary-of-the-client",
        "cookie": "a=b",
        "x-forwarded-for": "10.0.0.1",
        "x-own": "1",
    }
    assert door.ask(route, kept | own).status == 200
    (row,) = upstream.rows()
    assert {name: row["headers"].get(name) for name in kept} == kept
    assert not {"cookie", "x-forwarded-for", "x-own"} & set(row["headers"])
    # The mock shows the last four characters of a credential.
    assert row["headers"]["authorization"].endswith("ider")


PLAIN = '{ "id":"r", "object" : "chat.completion","created":1,\n"model":"Real-Name","x":[1.0e+2,-0.0],"choices":[ {"index":0,"message":{"role":"assistant","content":"\\u00e9\\/ \\ud83d\\ude00"},"finish_reason":"stop"} ],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"x":{"y":1}} }\n'  # noqa: E501 - bytes as they are sent


def test_a_plain_reply_is_the_upstreams_bytes(upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(
        route.rule({"status": {"code": 200, "headers": {"content-type": "application/json"}, "body": PLAIN}})
    )
    assert door.ask(route).body == PLAIN.encode()


@pytest.mark.parametrize("size", [60_000, 66_000, 1_000_000])
def test_a_reply_of_any_size_arrives_whole(size: int, upstream: Upstream, door: Door, route: Route) -> None:
    long = PLAIN.replace("Real-Name", "n" * size)
    upstream.script(route.rule({"status": {"code": 200, "body": long}}))
    reply = door.ask(route)
    assert reply.whole
    assert reply.body == long.encode()


def event(**fields: Any) -> str:
    return (
        "data: "
        + json.dumps({"id": "s", "object": "chat.completion.chunk", "model": "Real", **fields}, indent=None)
        + "\n\n"
    )


def delta(finish: str | None = None, **fields: Any) -> str:
    return event(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


BODY = [
    ": a comment\n\n",
    delta(role="assistant", content=""),
    'data:{"id":"s","choices":[{"index":0,"delta":{"content":"no space, \\u00e9 and 1.0e+2"}}],'
    '"x_vendor":{"a":[ 1.0 ]}}\n\n',
    delta(content="日本 🚢"),
    'event: vendor.thing\nid: 7\ndata: {"anything":1}\n\n',
    delta(finish="stop"),
]
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
DONE = "data: [DONE]\n\n"


def sends(pieces: list[str]) -> list[Any]:
    steps: list[Any] = [{"head": {"content_type": "text/event-stream"}}]
    for piece in pieces:
        steps += [{"send": {"utf8": piece}}, {"delay": {"ms": 3}}]
    return steps


def cuts(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [7, 64, 100_000])
def test_a_stream_is_the_upstreams_bytes_in_any_chunking(
    size: int, upstream: Upstream, door: Door, route: Route
) -> None:
    whole = "".join([*BODY, USAGE, DONE])
    upstream.script(route.rule(*sends(cuts(whole, size))))
    reply = door.ask(route, stream=True, stream_options={"include_usage": True})
    assert reply.body == whole.encode()


@pytest.mark.parametrize("size", [7, 64, 100_000])
def test_usage_nobody_asked_for_is_all_that_is_missing(size: int, upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(route.rule(*sends(cuts("".join([*BODY, USAGE, DONE]), size))))
    reply = door.ask(route, stream=True)
    assert reply.body == "".join([*BODY, DONE]).encode()


def test_an_upstream_that_leaves_out_the_last_word_is_not_corrected(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule(*sends(BODY)))
    reply = door.ask(route, stream=True)
    assert reply.body == "".join(BODY).encode()
    assert reply.whole
