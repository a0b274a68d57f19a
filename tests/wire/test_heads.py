"""How long a head may be, and of how many headers: to the byte at the edge door, in HTTP/1 and HTTP/2."""

import pytest

from flow.rig import Door, Gateway, Route, chat
from wire.h2 import Connection
from wire.test_framing import statuses

HEAD_BYTES = 32 * 1024
FIELDS = 100
GET = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


def padded(length: int) -> bytes:
    """A head of so many bytes."""
    field = b"x-padding: "
    return GET + field + b"y" * (length - len(GET) - len(field) - 4) + b"\r\n\r\n"


def test_a_head_may_have_32_kib_and_not_a_byte_more(gateway: Gateway) -> None:
    edge = gateway.doors["edge"]
    assert statuses(edge, padded(HEAD_BYTES)) == [200]
    assert statuses(edge, padded(HEAD_BYTES + 1)) == [431]
    assert statuses(edge, padded(HEAD_BYTES - 9), b"") == [200]


@pytest.mark.parametrize("start", [b"", GET, GET + b"x: y"], ids=["a request line", "a name", "a value"])
def test_a_head_that_never_ends_is_ended_at_32_kib(start: bytes, gateway: Gateway) -> None:
    edge = gateway.doors["edge"]
    assert statuses(edge, start + b"z" * (HEAD_BYTES - len(start))) == [431]


def test_a_head_far_too_long_gets_no_answer_of_success(door: Door) -> None:
    assert statuses(door, padded(512 * 1024)) in ([431], [])


def test_a_head_may_have_a_hundred_headers(door: Door) -> None:
    more = b"".join(b"x-%d: y\r\n" % number for number in range(FIELDS - 2))
    assert statuses(door, GET + more + b"\r\n") == [200]
    assert statuses(door, GET + more + b"x: y\r\n\r\n") == [431]


def test_a_hundred_headers_is_the_bound_of_http2_too(gateway: Gateway, route: Route) -> None:
    fields = [(f"x-{number}", "y") for number in range(FIELDS)]
    with Connection(gateway.doors["edge"]) as client:
        assert b'"choices"' in client.finish(client.begin(chat(route.name), *fields))
        assert b'"too_many_headers"' in client.finish(client.begin(chat(route.name), *fields, ("x", "y")))
