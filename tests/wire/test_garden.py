"""Request streams beside other readers: where nginx, Node or h11 sees a body, no door of ours sees a request.

What others accept we may refuse. After the HTTP Garden (Kallus and others), with readers that need no container.
"""

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from flow.rig import Door, Gateway, eventually, free_port
from wire.garden import END, LONG_SILENCE_S, SILENCE_S, Reading, invent, read_by_h11, read_over, sees_more

AT_ONCE = 128
STREAMS = int(os.environ.get("FASTROUTE_STREAMS", "20000"))
SEED = int(os.environ.get("FASTROUTE_SEED", "17"))
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_max_body_size 0; large_client_header_buffers 4 32k;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port}; underscores_in_headers on;
        location / {{ add_header x-seen "<$http_x_request_id>" always; return 204; }}
    }}
}}
"""
NODE = """
const server = require('http').createServer((request, reply) => {
    request.on('error', () => {}); request.resume();
    reply.writeHead(204, {'x-seen': '<' + (request.headers['x-request-id'] || '') + '>'}); reply.end();
});
server.on('checkContinue', (request, reply) => server.emit('request', request, reply));
server.on('checkExpectation', (request, reply) => server.emit('request', request, reply));
server.listen(PORT, '127.0.0.1');
"""


class Server(NamedTuple):
    name: str
    place: tuple[str, int]
    field: bytes


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Those that are installed; h11 always is."""
    folder = tmp_path_factory.mktemp("garden")
    commands: dict[str, list[str]] = {}
    ports = {"nginx": free_port(), "node": free_port()}
    if nginx := shutil.which("nginx"):
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=ports["nginx"]))
        commands["nginx"] = [nginx, "-p", str(folder), "-c", str(config)]
    if node := shutil.which("node"):
        commands["node"] = [node, "-e", NODE.replace("PORT", str(ports["node"]))]
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
            door = Door(name, f"http://127.0.0.1:{ports[name]}")
            eventually(lambda: answers(door), f"{name} is up")  # noqa: B023 - run at once
        missing = ports.keys() - commands.keys()
        print("readers: h11", *commands, f"(not installed: {', '.join(missing)})" if missing else "")
        yield [Server(name, ("127.0.0.1", ports[name]), b"x-seen") for name in commands]


def answers(door: Door) -> bool:
    try:
        return door.send("GET", "/").status == 204
    except OSError:
        return False


async def compare(streams: list[bytes], doors: list[Server], others: list[Server]) -> list[tuple[str, str, bytes]]:
    """Which of our doors saw more than which other reader, and in what."""
    room = asyncio.Semaphore(AT_ONCE)
    found: list[tuple[str, str, bytes]] = []
    seen = 0

    async def one(stream: bytes) -> None:
        nonlocal seen
        async with room:
            told = await asyncio.gather(
                *(read_over(server.place, stream, server.field, SILENCE_S) for server in [*doors, *others])
            )
            ours, theirs = told[: len(doors)], told[len(doors) :]
            seen += sum(len(reading.names) > 1 for reading in ours)
            by_h11 = read_by_h11(stream)
            for door, mine in zip(doors, ours, strict=True):
                if sees_more(mine, by_h11):
                    found.append((door.name, "h11", stream))
                for other, reading in zip(others, theirs, strict=True):
                    # Silence may also be a busy machine's.
                    if sees_more(mine, reading) and sees_more(mine, await again(other, stream)):
                        found.append((door.name, other.name, stream))

    await asyncio.gather(*map(one, streams))
    print(f"{len(streams)} streams, of which our doors saw more than one request in {seen / len(doors):.0f}")
    assert seen > len(streams) // 10, "the streams no longer reach behind their first request"
    return found


async def again(server: Server, stream: bytes) -> Reading:
    return await read_over(server.place, stream, server.field, LONG_SILENCE_S)


def our_doors(gateway: Gateway) -> list[Server]:
    return [Server(name, door.place, b"x-request-id") for name, door in gateway.doors.items()]


def garden(gateway: Gateway, others: list[Server], count: int, seed: int) -> None:
    dice = random.Random(seed)
    streams = [invent(dice) for _ in range(count)]
    found = asyncio.run(compare(streams, our_doors(gateway), others))
    print(f"seed {seed}: {len(found)} found")
    for door, other, stream in found[:20]:
        print(f"{door} sees more than {other}: {stream!r}")
    assert found == []


def test_no_door_sees_a_request_where_another_reader_sees_a_body(gateway: Gateway, others: list[Server]) -> None:
    garden(gateway, others, 500, 16)


def test_all_readers_agree_on_sound_requests(gateway: Gateway, others: list[Server]) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: first-%d\r\n"
    inside = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: smuggled-in-first-0\r\n\r\n"
    stream = head % 0 + b"content-length: %d\r\n\r\n" % len(inside) + inside
    stream += head % 1 + b"transfer-encoding: chunked\r\n\r\n%x;a=b\r\n%b\r\n0\r\nx: y\r\n\r\n" % (len(inside), inside)
    stream += head % 2 + b"\r\n" + END
    expected = Reading(["first-0", "first-1", "first-2", "end"], refused=False)
    assert read_by_h11(stream) == expected
    granian, edge = our_doors(gateway)
    for server in [edge, *others]:
        assert asyncio.run(again(server, stream)) == expected, server.name
    # It reads nothing behind chunks.
    assert asyncio.run(again(granian, stream)).names == ["first-0", "first-1"]


def test_what_a_parser_may_take_for_trailers_is_no_request(gateway: Gateway) -> None:
    inside = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: smuggled-in-first-1\r\n\r\n"
    stream = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: first-0\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    stream += b"0\r\n\nPOST /x HTTP/1.1\r\nhost: x\r\nx-request-id: first-1\r\ncontent-length: %d\r\n\r\n" % len(inside)
    stream += inside + END
    for door in our_doors(gateway):
        assert asyncio.run(again(door, stream)).names in (["first-0"], []), door.name


@pytest.mark.long
def test_nor_does_one_in_many_thousands(gateway: Gateway, others: list[Server]) -> None:
    garden(gateway, others, STREAMS, SEED)
