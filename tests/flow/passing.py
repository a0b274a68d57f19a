"""A provider whose bodies mean nothing to the gateway: a server that answers bytes, and forms as clients send them."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

JSON = "application/json"


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, bytes]:
        """The parts of a form, as another parser reads them."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + self.body)
        found: dict[str, bytes] = {}
        for part in form.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(name, str)
            assert isinstance(content, bytes)
            found[name] = content
        return found


class Answer(NamedTuple):
    """What the server says. Pieces are sent as chunks, one write each; without an end the connection breaks off."""

    body: bytes | Sequence[bytes]
    kind: str = JSON
    status: int = 200
    headers: Mapping[str, str] = {}
    ends: bool = True
    go_on: threading.Event | None = None
    """Waited for between the first piece and the others."""


def told(content: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(content).encode(), status=status)


class Server:
    """A loopback server that remembers what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Answer] = lambda _asked: told({})
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                outer.asked.append(asked)
                _send(self, outer.answer(asked))

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names of the standard library

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base calls it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    if answer.kind:
        handler.send_header("content-type", answer.kind)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    if isinstance(answer.body, bytes):
        handler.send_header("content-length", str(len(answer.body) + (0 if answer.ends else 1)))
        handler.end_headers()
        handler.wfile.write(answer.body)
    else:
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for number, piece in enumerate(answer.body):
            if number == 1 and answer.go_on is not None:
                answer.go_on.wait(20)
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if answer.ends:
            handler.wfile.write(b"0\r\n\r\n")
    if not answer.ends:
        handler.close_connection = True


BOUNDARY = "----flow-1"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(**fields: str | bytes) -> bytes:
    """A form as browsers write it; bytes are files."""
    parts = b""
    for name, value in fields.items():
        file = "" if isinstance(value, str) else '; filename="a.wav"\r\ncontent-type: audio/wav'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts += head.encode() + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()
