"""More work than there is room for: refused early and politely, while health answers and what runs goes on."""

import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flow.rig import Door, Gateway, Serve, Upstream, configuration, eventually, free_port, launch

DOORS = pytest.mark.parametrize("name", ["granian", "edge"])


def metric(admin: Door, name: str) -> int:
    found = re.search(rb"\nfastroute_%s (\d+)\n" % name.encode(), admin.send("GET", "/metrics").body)
    assert found
    return int(found[1])


@DOORS
def test_without_memory_everything_new_is_refused_and_health_answers(
    name: str, upstream: Upstream, serve: Serve
) -> None:
    admin = free_port()
    # Less than it takes to start.
    gateway = serve(configuration(upstream.origin, admin, max_memory_bytes=32 << 20))
    metrics = Door("admin", f"http://127.0.0.1:{admin}")
    eventually(lambda: metric(metrics, "overload_step") == 3, "it has looked")
    assert metric(metrics, "memory_bytes") > metric(metrics, "memory_limit_bytes") * 0.95
    door = gateway.doors[name]
    waits: Counter[str] = Counter()
    for _ in range(20):
        reply = door.ask("patient-0")
        assert (reply.status, reply.error["code"], reply.headers["x-should-retry"]) == (503, "overloaded", "true")
        waits[reply.headers["retry-after"]] += 1
    assert set(waits) == {"1", "2", "3", "4", "5"}, "they do not all come back together"
    assert door.send("GET", "/livez").status == 200
    assert door.send("GET", "/v1/models").status == 200
    assert upstream.rows() == []


@DOORS
def test_who_finds_no_place_waits_a_quarter_of_a_second_for_one(name: str, upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port(), max_in_flight=2))
    door = gateway.doors[name]
    upstream.script({"match": {}, "steps": [{"delay": {"ms": 60}}, {"reply": {}}]})
    with ThreadPoolExecutor(6) as clients:
        replies = list(clients.map(lambda _: door.ask("patient-0").status, range(6)))
    assert replies == [200] * 6
    upstream.script({"match": {}, "steps": [{"delay": {"ms": 3_000}}, {"reply": {}}]})
    with ThreadPoolExecutor(2) as busy:
        running = [busy.submit(lambda: door.ask("patient-0").status) for _ in range(2)]
        eventually(lambda: len(upstream.rows()) == 2, "all places are taken")
        began = time.monotonic()
        reply = door.ask("patient-0")
        took_s = time.monotonic() - began
        assert (reply.status, reply.error["code"]) == (503, "overloaded")
        assert took_s > 0.2
        assert door.send("GET", "/livez").status == 200
        assert [each.result() for each in running] == [200, 200]
    assert door.ask("patient-0").status in (200, 503)
    assert len(upstream.rows()) == 3, "who was refused was not sent on"


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def short(tmp_path: Path, upstream: Upstream) -> Iterator[tuple[Gateway, Door]]:
    """A gateway that may open 256 descriptors, and its admin listener."""
    admin = free_port()
    command = launch(configuration(upstream.origin, admin), tmp_path)
    try:
        # Before the supervisor has started the data process, which raises its own limit as far as it may.
        resource.prlimit(command.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        yield Gateway(command), Door("admin", f"http://127.0.0.1:{admin}")
    finally:
        command.stop()


# granian's door takes so few connections that the edge door has descriptors left; the other way round there are none.
@pytest.mark.parametrize("name, other, status", [("edge", "granian", 503), ("granian", "edge", 200)])
def test_without_descriptors_health_answers_nothing_spins_and_it_recovers(
    name: str, other: str, status: int, short: tuple[Gateway, Door]
) -> None:
    gateway, admin = short
    door = gateway.doors[name]
    held = [door.socket() for _ in range(300)]
    try:
        assert admin.send("GET", "/readyz").status == 200
        pid = gateway.process
        began, before = time.monotonic(), cpu_s(pid)
        while time.monotonic() - began < 3:
            assert admin.send("GET", "/livez").status == 200
            time.sleep(0.2)
        share = (cpu_s(pid) - before) / (time.monotonic() - began)
        assert share < 0.2, "of a core"
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) <= 256 - 8
        assert gateway.doors[other].ask("patient-0").status == status
    finally:
        for client in held:
            client.close()
    freed = time.monotonic()
    eventually(lambda: door.ask("patient-0").status == 200, "it serves again", 1)
    print(f"{share:.0%} of a core while there were none, served {time.monotonic() - freed:.2f} s after there were some")
