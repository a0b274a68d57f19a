"""Certificates good and bad, made by the `openssl` command, and a server that shows one of them.

One rule: the server takes down every byte that comes before and after the handshake, because what must not be sent is
what is looked for.
"""

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

HOST = "localhost"
LONG_AGO = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
STILL_LONG = ("-startdate", "20200101000000Z", "-enddate", "20991231000000Z")
AUTHORITY = """
[ca]
default_ca = test
[test]
dir = .
database = ./index
serial = ./serial
new_certs_dir = .
certificate = ./ca.pem
private_key = ./ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


class Shown(NamedTuple):
    """What a server shows who it is with."""

    chain: Path
    key: Path


class Authority:
    """An authority of a test's own, in a folder."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs the openssl command (Debian: openssl)")
        self._folder = folder
        folder.mkdir()
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.cnf").write_text(AUTHORITY)
        self.file = folder / "ca.pem"
        self._sign_itself("ca", "an authority", "basicConstraints=critical,CA:TRUE")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _shown(self, name: str) -> Shown:
        return Shown(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _sign_itself(self, name: str, subject: str, extension: str) -> Shown:
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        self._openssl(
            "req", "-x509", *new, "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={subject}", "-addext", extension
        )
        return self._shown(name)

    def self_signed(self) -> Shown:
        return self._sign_itself("self", HOST, f"subjectAltName=DNS:{HOST}")

    def signed(self, name: str, host: str, dates: tuple[str, ...] = STILL_LONG) -> Shown:
        (self._folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        self._openssl("req", *new, "-out", f"{name}.csr", "-subj", f"/CN={host}")
        self._openssl(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem"),
            *("-extfile", f"{name}.ext", *dates),
        )
        return self._shown(name)


ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"x","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
)
HELLO = b"\x16\x03"
"""How a TLS connection begins."""


class Server:
    """Accepts, does what its kind of failure is, and takes down what it was sent."""

    def __init__(self, shown: Shown | None, *, old: bool = False) -> None:
        self.hellos: list[bytes] = []
        """The first bytes of each connection."""
        self.shaken = 0
        """Handshakes that came to an end."""
        self.asked: list[bytes] = []
        """What came through the handshakes."""
        self._settings = None if shown is None else _settings(shown, old=old)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._attend, args=(client,), daemon=True).start()

    def _attend(self, client: socket.socket) -> None:
        client.settimeout(10)
        with contextlib.suppress(OSError), client:
            self.hellos.append(client.recv(5, socket.MSG_PEEK))
            if self._settings is None:
                # Closed with a linger time of nothing, it resets.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            with self._settings.wrap_socket(client, server_side=True) as secure:
                self.shaken += 1
                while asked := secure.recv(65_536):
                    self.asked.append(asked)
                    self.answer(secure)

    def answer(self, secure: ssl.SSLSocket) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
        secure.sendall(head.encode() + ANSWER)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _settings(shown: Shown, *, old: bool) -> ssl.SSLContext:
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings.load_cert_chain(shown.chain, shown.key)
    if old:
        # What nobody should speak any more has to be asked for twice.
        settings.set_ciphers("ALL:@SECLEVEL=0")
        settings.minimum_version = settings.maximum_version = ssl.TLSVersion.TLSv1
    return settings


@contextlib.contextmanager
def serving(shown: Shown | None, *, old: bool = False) -> Iterator[Server]:
    server = Server(shown, old=old)
    try:
        yield server
    finally:
        server.close()
