"""HTTP/2 with prior knowledge at the edge door: each stream is an exchange of its own, with its own window and end."""

import shutil
import subprocess
import time
from typing import Any

import pytest

from flow.rig import (
    Gateway,
    Route,
    Serve,
    Upstream,
    chat,
    configuration,
    events,
    eventually,
    finishes,
    free_port,
    text_of,
)
from wire.h2 import CANCEL, Connection

EVENT = 'data: {"id":"b","model":"m","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
LINE = [{"head": {"content_type": "text/event-stream"}}]
NOTICED_MS = 250
MEMORY_BYTES = 16 << 20
SOCKETS_BYTES = 24 << 20
WINDOW = 65_536
STALL_S = 1.0


def pace(count: int) -> list[Any]:
    return [{"events": {"count": count, "every_ms": 10}}, {"finish": {}}, "done"]


def test_a_stream_is_the_upstreams_bytes(upstream: Upstream, gateway: Gateway, route: Route) -> None:
    whole = EVENT % "one" + 'data:{"x": 1.0e+2,"choices":[ ]}\n\n' + EVENT % "two"
    stop = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    upstream.script(route.rule(*LINE, {"send": {"utf8": whole}}, {"delay": {"ms": 5}}, {"send": {"utf8": stop}}))
    with Connection(gateway.doors["edge"]) as client:
        assert client.finish(client.begin(chat(route.name, stream=True))) == (whole + stop).encode()


def test_many_streams_share_one_connection_and_each_fails_over_alone(
    upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    upstream.script(
        route.rule({"status": {"code": 503}}, every=2), route.rule(*pace(10)), route.rule(*pace(10), second=True)
    )
    with Connection(gateway.doors["edge"]) as client:
        begun = [client.begin(chat(route.name, stream=True)) for _ in range(40)]
        for stream in begun:
            seen = list(events(client.finish(stream)))
            assert (finishes(seen), seen[-1]) == (["stop"], "[DONE]")
    assert upstream.rows(route.second), "some failed over"


def test_a_reset_of_one_stream_is_seen_upstream_and_leaves_the_others(
    upstream: Upstream, gateway: Gateway, counted: Route, route: Route
) -> None:
    upstream.script(counted.rule(*pace(80)), route.rule(*pace(80)))
    with Connection(gateway.doors["edge"]) as client:
        given_up, kept = (client.begin(chat(one.name, stream=True)) for one in (counted, route))
        client.pump(lambda: len(client.data[given_up]) > 500 and len(client.data[kept]) > 500)
        (row,) = upstream.rows(counted.first)
        left_ns = time.monotonic_ns()
        client.cancel(given_up)
        row = upstream.row(counted.first, lambda row: row["ended"] == "cancelled", "the upstream saw the reset")
        assert (row["cancel_ns"] - left_ns) / 1e6 < NOTICED_MS
        assert client.finish(kept).endswith(b"data: [DONE]\n\n")


def test_a_stream_whose_window_is_full_stops_its_upstream_and_no_other(
    upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    flood = {"send": {"utf8": EVENT % ("x" * 65_536), "repeat": 2_000}}
    upstream.script(route.rule(*LINE, flood, first=1))
    before = gateway.memory_bytes
    with Connection(gateway.doors["edge"], WINDOW) as client:
        full = client.begin(chat(route.name, stream=True))
        client.pump(lambda: len(client.data[full]) == WINDOW)
        for _ in range(20):
            assert b'"choices"' in client.finish(client.begin(chat(route.name)))
        assert len(client.data[full]) == WINDOW, "nothing beyond its window"
        assert gateway.memory_bytes - before < MEMORY_BYTES
        client.widen(full, WINDOW)
        client.pump(lambda: len(client.data[full]) == 2 * WINDOW)
        assert gateway.memory_bytes - before < MEMORY_BYTES
    row = eventually(
        lambda: next((row for row in upstream.rows(route.first) if row["ended"] == "cancelled"), None),
        "the flood ended",
    )
    assert row is not None
    assert row["bytes_sent"] < SOCKETS_BYTES


def test_a_stream_that_takes_nothing_is_reset_while_the_others_go_on(
    upstream: Upstream, serve: Serve, route: Route
) -> None:
    flood = {"send": {"utf8": EVENT % ("x" * 65_536), "repeat": 2_000}}
    upstream.script(route.rule(*LINE, flood, first=1), route.rule(*pace(200)))
    gateway = serve(configuration(upstream.origin, free_port(), client_stall_timeout_s=STALL_S))
    with Connection(gateway.doors["edge"], WINDOW) as client:
        full = client.begin(chat(route.name, stream=True))
        client.pump(lambda: len(client.data[full]) == WINDOW)
        stood_ns = time.monotonic_ns()
        slow = client.begin(chat(route.name, stream=True))
        assert client.finish(slow).endswith(b"data: [DONE]\n\n"), "silence of the upstream is not the client's"
        assert client.reset == {full: CANCEL}
        assert b'"choices"' in client.finish(client.begin(chat(route.name)))
    row = next(row for row in upstream.rows(route.first) if row["ended"] == "cancelled")
    assert STALL_S * 0.9 < (row["cancel_ns"] - stood_ns) / 1e9 < STALL_S + 0.5


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_stream_ends_cleanly_with_an_error_event(
    how: str, upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    upstream.script(route.rule({"events": {"count": 3, "text": "word "}}, {"delay": {"ms": 20}}, how))
    with Connection(gateway.doors["edge"]) as client:
        seen = list(events(client.finish(client.begin(chat(route.name, stream=True)))))
    assert text_of(seen) == "word word word "
    assert seen[-1]["error"]["code"] == "upstream_truncated"
    assert "[DONE]" not in seen


def test_a_long_plain_reply_that_breaks_off_is_a_reset(upstream: Upstream, gateway: Gateway, route: Route) -> None:
    upstream.script(route.rule({"cut": {"after_bytes": 200_000, "of": "body"}}, {"reply": {"bytes": 400_000}}))
    with Connection(gateway.doors["edge"]) as client:
        stream = client.begin(chat(route.name))
        client.pump(lambda: stream in client.reset or stream in client.ended)
        assert stream in client.reset
        assert b'"choices"' in client.finish(client.begin(chat(route.name.replace("patient", "hasty"))))


def test_a_flood_of_resets_harms_nobody_else(upstream: Upstream, gateway: Gateway, route: Route) -> None:
    """The rapid reset of CVE-2023-44487."""
    edge = gateway.doors["edge"]
    before = gateway.memory_bytes
    with Connection(edge) as attacker:
        try:
            for _ in range(2_000):
                attacker.cancel(attacker.begin(chat(route.name, stream=True)))
            attacker.pump(lambda: attacker.goaway is not None, 5)
        except ConnectionError:
            pass
        assert edge.ask(route).status == 200
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows()), "nothing is left upstream")
    assert gateway.memory_bytes - before < MEMORY_BYTES


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_speaks_it(upstream: Upstream, gateway: Gateway, route: Route) -> None:
    host, port = gateway.doors["edge"].place
    url = f"http://{host}:{port}/v1/chat/completions"
    command = [
        "curl",
        "-sS",
        "--http2-prior-knowledge",
        "-w",
        "%{http_version} %{http_code}",
        "-d",
        chat(route.name),
        url,
    ]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
    assert said.endswith(b"2 200")
