"""Upstreams whose certificate or handshake is not right: never spoken to, neither in the clear nor without looking.

The surprise: a server learns nothing of what we would have sent it, so the tests look at what the server got.
"""

import contextlib
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults.stream import finishes
from flow import rig
from flow.records import Journal
from flow.rig import Command, Door, Gateway, Upstream, eventually, free_port
from network.certificates import ANSWER, HELLO, HOST, LONG_AGO, Authority, Server, serving

KEY = "sk-canary-of-the-provider"
PROMPT = "canary-of-the-prompt"
FAULTS = ("expired", "wrong name", "self-signed", "TLS 1.0 only", "reset in the handshake", "silent in the handshake")
DOORS = ("granian", "edge")
WAYS = ("plain", "stream")
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
TLS_S = 0.5


class Place(NamedTuple):
    gateway: Gateway
    folder: Path
    port: int
    servers: dict[str, Server]

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "state" / str(self.port) / "journal")

    def ends(self, provider: str) -> list[tuple[str, str | None]]:
        """State and failure of each attempt at a provider, oldest first."""
        journal = self.journal
        settles = journal.settles
        mine = [each["attempt"] for each in journal.intents.values() if each["target"] == f"{provider}/x"]
        return [(settles[each]["state"], settles[each]["failure"]) for each in mine if each in settles]


def slug(fault: str, door: str, way: str = "plain") -> str:
    return f"{fault.replace(' ', '-').replace('.', '-').lower()}-{door}-{way}"


def configuration(servers: dict[str, Server], authority: Path, well: str, port: int) -> dict[str, Any]:
    def provider(server: Server) -> dict[str, Any]:
        return {
            "dialect": "openai_chat",
            "address": f"https://{HOST}:{server.port}/v1",
            "key": KEY,
            "ca_file": str(authority),
            "timeouts": {"tls_timeout_s": TLS_S} if server is servers["silent in the handshake"] else {},
        }

    # After three failures in a row a target may stand last: each door and way has its own.
    providers = {
        slug(fault, door, way): provider(server) for fault, server in servers.items() for door in DOORS for way in WAYS
    }
    models = {f"{name}-alone": {"targets": [f"{name}/x"]} for name in providers}
    models |= {f"{name}-first": {"targets": [f"{name}/x", "well/y"]} for name in providers}
    return {
        "listen": {"port": port, "edge_port": 0, "admin": False},
        "providers": {**providers, "well": {"dialect": "openai_chat", "address": f"{well}/v1"}},
        "models": models,
        "observability": {"log_level": "debug"},
    }


@contextlib.contextmanager
def silent_server() -> Iterator[Server]:
    """Its handshakes never come to an end."""

    class Silent(Server):
        def _attend(self, client: socket.socket) -> None:
            client.settimeout(10)
            with contextlib.suppress(OSError), client:
                self.hellos.append(client.recv(5))
                while client.recv(65_536):
                    pass

    server = Silent(None)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "authority")
    good = authority.signed("good", HOST)
    with contextlib.ExitStack() as running:
        servers = {
            "good": running.enter_context(serving(good)),
            "expired": running.enter_context(serving(authority.signed("expired", HOST, LONG_AGO))),
            "wrong name": running.enter_context(serving(authority.signed("other", "somebody-else.example"))),
            "self-signed": running.enter_context(serving(authority.self_signed())),
            "TLS 1.0 only": running.enter_context(serving(good, old=True)),
            "reset in the handshake": running.enter_context(serving(None)),
            "silent in the handshake": running.enter_context(silent_server()),
        }
        mock = Command(folder / "mock.log", "mock", "--port", "0")
        running.callback(mock.stop)
        port = free_port()
        config = configuration(servers, authority.file, Upstream(mock).origin, port)
        yield Place(running.enter_context(rig.serving(config, folder)), folder, port, servers)


def one_model(provider: dict[str, Any]) -> dict[str, Any]:
    listen = {"port": 0, "edge_port": 0, "admin": False}
    return {"listen": listen, "providers": {"up": provider}, "models": {"m": {"targets": ["up/x"]}}}


def ask(door: Door, model: str, *, stream: bool = False) -> Any:
    return door.ask(model, messages=[{"role": "user", "content": PROMPT}], stream=stream)


@pytest.mark.parametrize("door", DOORS)
def test_a_good_certificate_of_a_trusted_authority_is_spoken_to(place: Place, door: str) -> None:
    reply = ask(place.gateway.doors[door], slug("good", door) + "-alone")
    assert reply.status == 200, reply
    assert any(KEY.encode() in asked for asked in place.servers["good"].asked)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("door", DOORS)
def test_nobody_is_spoken_to_who_does_not_prove_who_he_is(place: Place, door: str, fault: str) -> None:
    server, names = place.servers[fault], [slug(fault, door, way) for way in WAYS]
    before, shaken = len(server.hellos), server.shaken
    for name, stream in zip(names, (False, True), strict=True):
        alone = ask(place.gateway.doors[door], f"{name}-alone", stream=stream)
        assert (alone.status, alone.error["code"]) == (502, "upstream_tls")
        assert alone.headers["x-should-retry"] == "false"
        first = ask(place.gateway.doors[door], f"{name}-first", stream=stream)
        assert (first.status, first.attempts, first.headers["x-fastroute-target"]) == (200, 2, "well/y")
    for name in names:
        ends = eventually(
            lambda name=name: found if len(found := place.ends(name)) == 2 else None, "both are on record", 5
        )
        assert ends == [("refused", "tls")] * 2
    # One connection for each attempt: nothing is tried in another way.
    assert len(server.hellos) - before == 4
    assert all(hello[:2] == HELLO for hello in server.hellos), "nothing in the clear"
    assert server.asked == [], "nothing behind a handshake that should not have been one"
    assert server.shaken == shaken


def test_another_authority_under_the_same_name_is_trusted_from_a_hang_up_on(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(old.file, trusted)
    with serving(new.signed("good", HOST)) as server:
        provider = {"dialect": "openai_chat", "address": f"https://{HOST}:{server.port}/v1", "ca_file": str(trusted)}
        with rig.serving(one_model(provider), tmp_path) as gateway:
            doors = gateway.doors.values()
            assert {ask(door, "m").status for door in doors} == {502}
            shutil.copy(new.file, trusted)
            gateway.command.process.send_signal(signal.SIGHUP)
            for door in doors:
                eventually(lambda door=door: ask(door, "m").status == 200, "the new authority is trusted")


WORD = b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
LEFT = [
    # kind, body, with a goodbye: what its client is told
    ("application/json", ANSWER, True, None),
    ("application/json", ANSWER, False, "upstream_truncated"),
    ("text/event-stream", WORD + STOP, False, None),
    ("text/event-stream", WORD, True, "upstream_truncated"),
    ("text/event-stream", WORD, False, "upstream_truncated"),
]
"""Replies that last until the connection ends. Without TLS's own goodbye anybody on the way may have ended it."""


class Leaving(Server):
    """Answers once as it is told to, and goes."""

    says: tuple[str, bytes, bool] = ("", b"", True)

    def answer(self, secure: ssl.SSLSocket) -> None:
        kind, body, goodbye = self.says
        secure.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode() + body)
        if goodbye:
            secure.unwrap()
        secure.close()


@pytest.mark.parametrize("door", DOORS)
def test_a_reply_whose_end_anybody_may_have_made_is_not_whole(tmp_path: Path, door: str) -> None:
    authority = Authority(tmp_path / "authority")
    server = Leaving(authority.signed("good", HOST))
    address = f"https://{HOST}:{server.port}/v1"
    provider = {"dialect": "openai_chat", "address": address, "ca_file": str(authority.file)}
    with contextlib.closing(server), rig.serving(one_model(provider), tmp_path) as gateway:
        for kind, body, goodbye, code in LEFT:
            server.says = (kind, body, goodbye)
            stream = kind == "text/event-stream"
            reply = ask(gateway.doors[door], "m", stream=stream)
            about = (kind, goodbye, reply.body)
            if not stream:
                assert (reply.status, reply.error["code"] if code else None) == (502 if code else 200, code), about
                continue
            assert (reply.status, reply.whole) == (200, True), about
            if code:
                assert reply.events[-1]["error"]["code"] == code, about
                assert finishes(reply.events) == [], about
            else:
                assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]"), about


def test_the_servers_are_what_they_say(place: Place) -> None:
    """A client that does not look gets through, where there is only a certificate to look at."""
    for fault in ("good", "expired", "wrong name", "self-signed"):
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        assert spoken(blind, place.servers[fault]) in {"TLSv1.2", "TLSv1.3"}
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    assert spoken(old, place.servers["TLS 1.0 only"]) == "TLSv1"


def spoken(settings: ssl.SSLContext, server: Server) -> str | None:
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as plain,
        settings.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        return secure.version()
