"""Both doors answer alike, whatever a client writes into a path or a header."""

import json

import pytest

from flow.rig import CHAT, Door, Gateway, Route, Upstream, chat


def exactly(door: Door, request: bytes) -> tuple[int, str | None, str]:
    """Status, error code and request id of the reply to these bytes."""
    with door.socket(10) as client:
        client.sendall(request)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    error = json.loads(body).get("error") if body.startswith(b"{") else None
    return int(head[9:12]), error and error["code"], fields.get("x-request-id", "")


def both(
    gateway: Gateway, method: bytes, target: bytes, fields: bytes = b"", body: bytes = b""
) -> tuple[int, str | None, str]:
    request = b"%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n%s"
    sent = request % (method, target, len(body), fields, body)
    edge, granian = (exactly(gateway.doors[name], sent) for name in ("edge", "granian"))
    assert edge[:2] == granian[:2], target
    return edge


PATHS: list[tuple[bytes, int]] = [
    (b"/v1/models", 200),
    (b"/v1/%6dodels", 200),
    (b"/%76%31/models", 200),
    (b"/v1%2Fmodels", 200),
    (b"/v1/models/mock%2Fecho", 404),
    (b"/v1/models/half-dead", 200),
    (b"/v1/models/half%2ddead", 200),
    (b"/v1/models/half%252ddead", 404),
    (b"/v1/models/%", 404),
    (b"/v1/models/%zz", 404),
    (b"/v1/models/%ff%fe", 404),
    (b"/v1/models/%00", 404),
    (b"/v1/models?x=%41", 200),
    (b"/v1/models/", 404),
    (b"/v1//models", 404),
    (b"//v1/models", 404),
    (b"/v1/./models", 404),
    (b"/v1/x/../models", 404),
    (b"/v1/models;x", 404),
    (b"/V1/models", 404),
    (b"/v1/chat%2Fcompletions", 405),
    (b"/livez%3Fx", 404),
    (b"http://x/v1/models", 200),
    (b"http://x", 404),
    (b"*", 404),
]


@pytest.mark.parametrize("target, status", PATHS, ids=[target.decode() for target, _ in PATHS])
def test_a_path_means_the_same_at_both_doors(target: bytes, status: int, gateway: Gateway) -> None:
    assert both(gateway, b"GET", target)[0] == status


def test_a_path_that_is_encoded_is_served_as_the_plain_one(gateway: Gateway, upstream: Upstream, route: Route) -> None:
    assert both(gateway, b"POST", CHAT.replace("c", "%63").encode(), body=chat(route.name))[0] == 200
    assert len(upstream.rows()) == 2


GOOD = b"x-client-request-id: mine-1\r\n"
IDS: list[tuple[bytes, str | None]] = [
    (b"x-request-id: a\r\n" + GOOD, "a"),
    (GOOD, "mine-1"),
    (b"x-request-id: a b\r\n" + GOOD, "mine-1"),
    (b"x-request-id: \r\n" + GOOD, "mine-1"),
    (b"x-request-id: \xff\r\n" + GOOD, "mine-1"),
    (b"x-request-id: " + b"a" * 129 + b"\r\n" + GOOD, "mine-1"),
    (b"x-request-id: a\r\nx-request-id: b\r\n", "a"),
    (b"x-request-id: a b\r\nx-client-request-id: \xff\r\n", None),
]


@pytest.mark.parametrize("fields, taken", IDS)
def test_the_first_usable_request_id_is_taken(fields: bytes, taken: str | None, gateway: Gateway) -> None:
    request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + fields + b"\r\n"
    for door in gateway.doors.values():
        said = exactly(door, request)[2]
        assert said == taken or (taken is None and said.startswith("req_")), door.name


CODINGS: list[tuple[bytes, int]] = [
    (b"content-encoding: identity\r\n", 200),
    (b"content-encoding: Identity\r\n", 200),
    (b"Content-Encoding: IDENTITY, identity\r\n", 200),
    (b"content-encoding: identity\r\ncontent-encoding: identity\r\n", 200),
    (b"content-encoding:\r\n", 200),
    (b"content-encoding: gzip\r\n", 415),
    (b"content-encoding: identity\r\ncontent-encoding: gzip\r\n", 415),
    (b"content-encoding: identity,br\r\n", 415),
    (b"content-encoding: identity;q=1\r\n", 415),
    (b"content-encoding: gz\xffip\r\n", 415),
]


@pytest.mark.parametrize("fields, status", CODINGS)
def test_only_identity_is_no_coding(
    fields: bytes, status: int, gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    assert both(gateway, b"POST", CHAT.encode(), fields, chat(route.name))[0] == status
    assert len(upstream.rows()) == (2 if status == 200 else 0)
