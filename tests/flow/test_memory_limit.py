"""Three times the work there is room for, in a control group of 512 MiB: refused where it must be, and never killed.

Needs root and a memory control group; where there is none it says so and passes by.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow.crowd import Crowd
from flow.rig import Command, Door, Gateway, Upstream, configuration, eventually, free_port

LIMIT = 512 << 20
PLACES = 100
"""With a reply a second from upstream, that many a second is what can be served."""
SECONDS = int(os.environ.get("FASTROUTE_OVERLOAD_SECONDS", "60"))
"""Ten minutes before a release."""


def own_group() -> tuple[Path, str, str] | None:
    """The folder of our own memory group, and the names of the limit and of the count of kills."""
    root = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return root / "memory" / path.lstrip("/"), "memory.limit_in_bytes", "memory.oom_control"
        if not controllers and (root / "cgroup.controllers").exists():
            return root / path.lstrip("/"), "memory.max", "memory.events"
    return None


@pytest.fixture
def group() -> Iterator[tuple[Path, str]]:
    """A group of its own with the limit, and the name of its count of kills."""
    found = own_group() if os.geteuid() == 0 else None
    if found is None:
        pytest.skip("needs root and a memory control group")
    above, limit, kills = found
    folder = above / f"fastroute-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(LIMIT))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no memory control group can be made here: {error.strerror}")
    yield folder, kills
    eventually(lambda: not (folder / "cgroup.procs").read_text(), "everybody has left")
    folder.rmdir()


@pytest.mark.long
def test_three_times_the_work_costs_neither_the_process_nor_what_it_can_do(
    group: tuple[Path, str], upstream: Upstream, tmp_path: Path
) -> None:
    folder, kills = group
    upstream.script({"match": {}, "steps": [{"delay": {"ms": 1_000}}, {"reply": {"bytes": 20_000}}]})
    admin = free_port()
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(configuration(upstream.origin, admin, max_in_flight=PLACES)))
    command = Command(tmp_path / "gateway.log", "serve", "-c", str(file))
    try:
        # The data process is not started yet, and begins where its parent is.
        (folder / "cgroup.procs").write_text(str(command.process.pid))
        gateway = Gateway(command)
        metrics = Door("admin", f"http://127.0.0.1:{admin}")
        known = f"fastroute_memory_limit_bytes {LIMIT}\n".encode()
        eventually(lambda: known in metrics.send("GET", "/metrics").body, "it knows its limit")
        process = gateway.process
        with Crowd([*gateway.doors.values()], "patient-0", rate=3 * PLACES) as crowd:
            time.sleep(SECONDS)
        refused = [said for said in crowd.complaints if '"overloaded"' in said]
        served = crowd.answered - len(refused)
        print(f"{served / SECONDS:.0f}/s served of {PLACES} possible, {len(refused) / SECONDS:.0f}/s refused, ", end="")
        print(f"{gateway.memory_bytes >> 20} MiB at the end")
        assert len(refused) == len(crowd.complaints)
        assert served >= 0.8 * PLACES * SECONDS
        assert gateway.process == process
        counts = dict(line.split() for line in (folder / kills).read_text().splitlines())
        assert counts["oom_kill"] == "0"
    finally:
        command.stop()
