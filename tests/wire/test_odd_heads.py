"""Request lines and fields that no client should write: refused with the end of the connection, or read as one request.

One rule: behind each comes an ordinary request, which is answered where the odd one was, and never otherwise.
"""

import pytest

from flow.rig import Gateway
from wire.test_framing import statuses

LINE = b"GET /livez HTTP/1.1"
NEXT = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
LINES = [
    b"GET  /livez HTTP/1.1",
    b"GET /livez  HTTP/1.1",
    b" GET /livez HTTP/1.1",
    b"\tGET /livez HTTP/1.1",
    b"GET\t/livez\tHTTP/1.1",
    b"GET /livez HTTP/1.1 ",
    b"GET /livez\tHTTP/1.1",
    b"GET\x0b/livez HTTP/1.1",
    b"GET /livez\x0c HTTP/1.1",
    b"GET /livez HTTP/1.2",
    b"GET /livez HTTP/1.10",
    b"GET /livez HTTP/01.1",
    b"GET /livez HTTP/1,1",
    b"GET /livez HTTP/1.",
    b"GET /livez HTTP/.1",
    b"GET /livez HTTP/11",
    b"GET /livez HTTP/2.0",
    b"GET /livez HTTP/0.9",
    b"GET /livez HTTP/1.1HTTP/1.1",
    b"GET /livez HTTP/ 1.1",
    b"GET /livez HTTP /1.1",
    b"GET /livez http/1.1",
    b"GET /livez HTTPS/1.1",
    b"GET /livez ICY/1.0",
    b"GET /livez",
    b"GET /livez ",
    b"GET",
    b"GET ",
    b"/livez HTTP/1.1",
    b" ",
    b"GET /li\0vez HTTP/1.1",
    b"G\0ET /livez HTTP/1.1",
    b"GET /li vez HTTP/1.1",
    b"GET /li\x7fvez HTTP/1.1",
    b"GET /livez\r HTTP/1.1",
    b"GET /livez HTTP/1.1\r",
    b"GE(T /livez HTTP/1.1",
    b"GE:T /livez HTTP/1.1",
    b"GE\xc3\xa9T /livez HTTP/1.1",
    b'"GET" /livez HTTP/1.1',
    b"GET livez HTTP/1.1",
    b"GET \\livez HTTP/1.1",
    b"GET x:80 HTTP/1.1",
    b"GET ?x HTTP/1.1",
    b"GET #x HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET http:/livez HTTP/1.1",
    b"GET //x/livez HTTP/1.1",
    b"GET http://x@y/livez HTTP/1.1",
    b"CONNECT x:80 HTTP/1.1",
    b"CONNECT /livez HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"TRACE /livez HTTP/1.1",
    b"get /livez HTTP/1.1",
    b"M-SEARCH /livez HTTP/1.1",
    b"GET /livez?\xc3\xa9 HTTP/1.1",
    b"GET /livez#x HTTP/1.1",
    b"GET /livez?<script> HTTP/1.1",
    b"GET /livez|x HTTP/1.1",
    b"GET /livez\xff HTTP/1.1",
    b"\r\nGET /livez HTTP/1.1",
    b"\r\n\r\n\r\nGET /livez HTTP/1.1",
    b"\0GET /livez HTTP/1.1",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"\x80\x9e\x01\x03",
    b"SSH-2.0-OpenSSH_9.6",
    b"EHLO x",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2",
    b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c",
    b"PRI * HTTP/1.1",
]
FIELDS = [
    b": z",
    b"x",
    b"x y: z",
    b"x\0: z",
    b"x\t: z",
    b"\tx: z",
    b" x: z",
    b"x(: z",
    b"x[: z",
    b"x,y: z",
    b"x@y: z",
    b'"x": z',
    b"\x80: z",
    b"\xc3\xa9: z",
    b"x\x7f: z",
    b"x: \0",
    b"x: \x01",
    b"x: \x08",
    b"x: a\x0bb",
    b"x: a\x0cb",
    b"x: \x1b[31m",
    b"x: \x7f",
    b"x: a\rb",
    b"x: a\r\n\r b",
    b"x: \xc3\xa9",
    b"x: \xff",
    b"x:",
    b"x:z",
    b"x:\t z \t",
    b"x::z",
    b"x: " + b"y" * 8_000,
    b"content-length: 0",
    b"content-length: 00",
    b"content-length: 0, 0",
    b"content-length: 0x0",
    b"content-length: 0 0",
    b"content-length: \x0b0",
    b"content-length: 18446744073709551616",
    b"content-length: 99999999999999999999999999",
    b"content-length: 1e1",
    b"content-length: zero",
    b"content-length: -0",
    b'content-length: "0"',
    b"content-length;: 0",
    b"content_length: 5",
    b"transfer_encoding: chunked",
    b"transfer-encoding:",
    b"transfer-encoding: identity",
    b"transfer-encoding: chunked;x=1",
    b'transfer-encoding: "chunked"',
    b"transfer-encoding: chunked, chunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: identity",
    b"transfer-encoding: identity\r\ntransfer-encoding: chunked",
    b"transfer-encoding: \x0bchunked",
    b"transfer-encoding: chun\0ked",
    b"transfer-encoding: chunke",
    b"transfer-encoding\x0b: chunked",
    b"connection: close, x",
    b"connection: upgrade\r\nupgrade: websocket",
    b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
    b"expect: nothing",
    b"te: trailers, chunked",
    b"trailer: content-length",
]


def shown(raw: bytes) -> str:
    return repr(raw[:60])


def sound(answers: list[int]) -> bool:
    """One refusal, or nothing, and the end; or an answer to each of the two."""
    if len(answers) < 2:
        return answers in ([], [400], [431], [501], [505])
    # An odd request may end its connection with its answer, and then it has one only.
    return answers[0] in (200, 404, 405) and answers[1:] == [200]


@pytest.mark.parametrize("line", LINES, ids=shown)
def test_an_odd_request_line_is_read_in_one_way(line: bytes, gateway: Gateway) -> None:
    for name, door in gateway.doors.items():
        assert sound(statuses(door, line + b"\r\nhost: x\r\n\r\n" + NEXT)), name


@pytest.mark.parametrize("field", FIELDS, ids=shown)
def test_an_odd_field_is_read_in_one_way(field: bytes, gateway: Gateway) -> None:
    for name, door in gateway.doors.items():
        answers = statuses(door, LINE + b"\r\nhost: x\r\n" + field + b"\r\n\r\n" + NEXT)
        # Where chunks are announced, the next request is a body that is none, and is not answered.
        last = field.startswith(b"connection: close") or b"chunked" in field
        assert sound(answers) or (last and answers == [200]), name
