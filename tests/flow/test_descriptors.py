"""A data process that runs out of descriptors: calm while it lasts, and back as soon as it is over."""

import os
import resource
import time
from pathlib import Path

import pytest

from flow.rig import Gateway, Route, Serve, Upstream, configuration, eventually, free_port
from flow.sockets import join

SPARE = 40
CROWD = 200
WATCHED_S = 2.0
CALM = 0.2
"""Share of one core."""
RECOVERY_S = 1.0


@pytest.mark.parametrize("name", ["edge"])
def test_a_process_out_of_descriptors_is_calm_and_recovers(
    name: str, upstream: Upstream, serve: Serve, route: Route
) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    door = gateway.doors[name]
    # Until the closed ones are given back it is refused, and not kept waiting.
    eventually(lambda: door.ask(route).status == 200, "it serves again")
    limit = len(list(Path(f"/proc/{gateway.process}/fd").iterdir())) + SPARE
    resource.prlimit(gateway.process, resource.RLIMIT_NOFILE, (limit, limit))
    crowd = [join(door, "silent", b"") for _ in range(CROWD)]
    eventually(lambda: len(list(Path(f"/proc/{gateway.process}/fd").iterdir())) >= limit - 1, "none is left")
    began, used = time.monotonic(), cpu_s(gateway)
    eventually(lambda: time.monotonic() - began > WATCHED_S, "it was watched for a while")
    share = (cpu_s(gateway) - used) / (time.monotonic() - began)
    assert share < CALM
    for member in crowd:
        member.client.close()
    left = time.monotonic()
    assert door.ask(route).status == 200
    print(f"{name}: {share:.0%} of a core while exhausted, answers {time.monotonic() - left:.2f} s after")
    assert time.monotonic() - left < RECOVERY_S


def cpu_s(gateway: Gateway) -> float:
    """Time the data process spent on a core."""
    fields = Path(f"/proc/{gateway.process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
