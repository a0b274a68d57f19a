"""Bytes that are no UTF-8, wherever a client can write: refused where text is read, ignored where none is, never ours.

A header's value may hold any byte above 127 and means nothing here; a path that no endpoint has is an unknown one.
"""

import pytest

from flow.rig import CHAT, Door, Reply, Route, Upstream, chat
from wire.test_parity import exactly

INVALID = [
    b"\x80",
    b"\xbf",
    b"\xc3",
    b"\xc3(",
    b"\xe2\x82",
    b"\xe2(\xa1",
    b"\xf0\x9f\x98",
    b"\xf0(\x8c\xbc",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe\xff",
    b"\xff\xfe",
    b"gr\xfcn",
    b"\x93quoted\x94",
]
"""Stray and missing continuations, overlong forms, halves of surrogates, beyond the last character, other encodings."""
BODIES = [
    b'{"model":"%s","messages":[{"role":"user","content":"%b"}]}',
    b'{"model":"%s","messages":[{"role":"user","content":"a"}],"%b":1}',
    b'{"model":"%s","messages":[{"role":"%b","content":"a"}]}',
    b'{"model":"%s","messages":[{"role":"user","content":"a"}],"user":"a%bb"}',
    b'{"model":"%s","messages":[{"role":"user","content":"a"}],"x":{"y":[{"%b":2}]}}',
    b'{"model":"%s","messages":[{"role":"user","content":"a"}]%b}',
    b'{"model":"%s","messages":[{"role":"user","content":"a"}]}%b',
    b'%.0s{"model":"%b","messages":[{"role":"user","content":"a"}]}',
]
HEAD = b"%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%s\r\n"


def shown(raw: bytes) -> str:
    return raw.hex(" ")


@pytest.mark.parametrize("raw", INVALID, ids=shown)
def test_in_a_body_they_are_refused(raw: bytes, door: Door, upstream: Upstream, route: Route) -> None:
    for body in BODIES:
        reply: Reply = door.post(body % (route.name.encode(), raw))
        assert reply.status == 400, body
        assert reply.error["code"] == "invalid_json", body
        reply.body.decode()
    assert upstream.rows() == []


@pytest.mark.parametrize("raw", INVALID, ids=shown)
def test_in_a_path_they_lead_nowhere(raw: bytes, door: Door) -> None:
    encoded = b"".join(b"%%%02x" % byte for byte in raw)
    for start in (b"/", b"/livez", b"/v1/models/", b"/v1/chat/completions/"):
        assert exactly(door, HEAD % (b"GET", start + raw, b""))[0] in (400, 404), start
        assert exactly(door, HEAD % (b"GET", start + encoded, b""))[0] == 404, start


@pytest.mark.parametrize("raw", INVALID, ids=shown)
def test_in_a_query_they_change_nothing(raw: bytes, door: Door) -> None:
    encoded = b"".join(b"%%%02x" % byte for byte in raw)
    assert exactly(door, HEAD % (b"GET", b"/livez?x=" + raw, b""))[0] in (200, 400)
    assert exactly(door, HEAD % (b"GET", b"/livez?x=" + encoded + b"&" + encoded, b""))[0] == 200


@pytest.mark.parametrize("raw", INVALID, ids=shown)
def test_in_a_header_they_name_none_and_say_nothing(raw: bytes, door: Door, upstream: Upstream, route: Route) -> None:
    assert exactly(door, HEAD % (b"GET", b"/livez", b"x-%b: y\r\n" % raw))[0] == 400
    body = chat(route.name)
    for name in (b"x-mine", b"x-request-id", b"traceparent", b"idempotency-key", b"authorization", b"content-type"):
        fields = b"content-length: %d\r\n%b: a%bz\r\n" % (len(body), name, raw)
        assert exactly(door, HEAD % (b"POST", CHAT.encode(), fields) + body)[0] == 200, name
    assert all(row["headers"].get("x-mine") is None for row in upstream.rows())
