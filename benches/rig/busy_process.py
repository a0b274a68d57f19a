"""A data process whose loop thread is busy for 5 ms ten times a second; without a configuration, only the busy thread.

It is its own supervisor: it binds the listeners, writes the errand a supervisor would write, and runs `main`.
"""

import asyncio
import os
import socket
import sys
import time

import msgspec

BUSY_S = 0.005
EVERY_S = 0.1


def _work() -> None:
    end_s = time.perf_counter() + BUSY_S
    while time.perf_counter() < end_s:
        pass


def hog() -> None:
    """Works and sleeps until ended."""
    while True:
        _work()
        time.sleep(EVERY_S - BUSY_S)


def _work_on(loop: asyncio.AbstractEventLoop) -> None:
    _work()
    loop.call_later(EVERY_S - BUSY_S, _work_on, loop)


def serve(file: str) -> int:
    """Runs the data process of a configuration with the busy task on its loop."""
    # Only here: the hog must not pay for them.
    from fastroute import process
    from fastroute.config import load
    from fastroute.config.schema import pack
    from fastroute.listeners import open_listeners

    class Busy(process.DataProcess):
        async def run(self) -> int:
            loop = asyncio.get_running_loop()
            loop.call_later(EVERY_S, _work_on, loop)
            return await super().run()

    config = load(file)
    listeners = open_listeners(config.listen)
    sockets = {listener.name: listener.socket.fileno() for listener in listeners}
    lifeline, _kept_open = os.pipe()
    # Nobody offers another configuration.
    _supervisor, control = socket.socketpair()
    errand = process.Errand(
        config=pack(config),
        listeners=[listener.place for listener in listeners],
        door=sockets["granian"],
        edge=sockets.get("edge"),
        admin=sockets.get("admin"),
        lifeline=lifeline,
        report=os.dup(1),
        control=control.detach(),
    )
    errand_read, errand_write = os.pipe()
    # A pipe holds 64 KiB, far more than this configuration.
    os.write(errand_write, msgspec.msgpack.encode(errand))
    os.close(errand_write)
    process.DataProcess = Busy
    sys.argv = ["fastroute.process", str(errand_read)]
    return process.main()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(serve(sys.argv[1]))
    hog()
