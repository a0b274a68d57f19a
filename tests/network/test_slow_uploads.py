"""A provider that is slow to read a long request: waited for, although nothing is confirmed meanwhile."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from flow.rig import Serve, chat, free_port
from network.certificates import ANSWER

CONNECT_S = 1.0
READS_AFTER_S = 2.5
"""Longer than a provider may leave a short request unconfirmed."""
LONG_BYTES = 4 << 20


@pytest.fixture
def slow_reader() -> Iterator[int]:
    """Its port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=attend, args=(client,), daemon=True).start()

    def attend(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            time.sleep(READS_AFTER_S)
            missing = LONG_BYTES
            while missing > 0 and (piece := client.recv(1 << 20)):
                missing -= len(piece)
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ")
            client.sendall(b"%d\r\nconnection: close\r\n\r\n" % len(ANSWER) + ANSWER)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_a_long_request_is_given_the_time_that_its_reader_takes(name: str, slow_reader: int, serve: Serve) -> None:
    provider = {"dialect": "openai_chat", "address": f"http://127.0.0.1:{slow_reader}/v1"}
    gateway = serve(
        {
            "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
            "providers": {"slow": {**provider, "timeouts": {"connect_timeout_s": CONNECT_S}}},
        }
    )
    began = time.monotonic()
    reply = gateway.doors[name].post(chat("slow/x", user="x" * LONG_BYTES))
    assert reply.status == 200, reply
    assert reply.attempts == 1
    assert time.monotonic() - began > READS_AFTER_S
