"""granian's own floor: an RSGI application that reads the body and answers 700 bytes, and does nothing else.

It runs as the gateway's data process runs it: embedded, on uvloop, one worker.
"""

import asyncio
import sys
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

REPLY = b'{"choices":[]}'.ljust(700)
HEADERS = [("content-type", "application/json")]


async def answer(_scope: Any, protocol: Any) -> None:
    """The whole application."""
    await protocol()
    protocol.response_bytes(200, HEADERS, REPLY)


async def serve(port: int) -> None:
    """Serves until ended."""
    server = Server(
        answer,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        log_access=False,
    )
    await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
