"""Three times the work there is room for, in a control group of 512 MiB: refused where it must be, and never killed.

Needs root and a memory control group; where there is none it says so and passes by.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow.crowd import Crowd
from flow.memory_group import MemoryGroup, memory_group
from flow.rig import Door, Gateway, Upstream, configuration, eventually, free_port, launch

LIMIT = 512 << 20
PLACES = 100
"""With a reply a second from upstream, that many a second is what can be served."""
SECONDS = int(os.environ.get("FASTROUTE_OVERLOAD_SECONDS", "60"))
"""Ten minutes before a release."""


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    with memory_group(LIMIT) as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield found


@pytest.mark.long
def test_three_times_the_work_costs_neither_the_process_nor_what_it_can_do(
    group: MemoryGroup, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.script({"match": {}, "steps": [{"delay": {"ms": 1_000}}, {"reply": {"bytes": 20_000}}]})
    admin = free_port()
    command = launch(configuration(upstream.origin, admin, max_in_flight=PLACES), tmp_path)
    try:
        # The data process is not started yet.
        group.take(command.process.pid)
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
        assert group.killed == 0
    finally:
        command.stop()
