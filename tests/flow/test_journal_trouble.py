"""The journal on a disk that is full, broken or slow: requests go on, nothing is lost silently, and it is told."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from flow.records import Instance, accepted
from flow.rig import Door, Upstream, eventually

MIB = 1 << 20
ADDED_S = 0.005
"""What trouble of the disk may add to a request, at the 99th percentile."""
ALARM_S = 1.0


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system and tracing a process need root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    needs_root()
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def served(folder: Path, upstream: Upstream, **journal: object) -> Generator[Instance]:
    instance = Instance(folder, upstream, **journal)
    instance.start()
    try:
        yield instance
    finally:
        instance.stop()


def fill(place: Path) -> Path:
    """Takes every byte that is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))
    return ballast


def ask(door: Door, count: int) -> list[float]:
    """Times of requests, each of which is answered as if nothing was; seconds, in order."""
    took: list[float] = []
    for _ in range(count):
        began = time.monotonic()
        assert door.ask("patient-0").status == 200
        took.append(time.monotonic() - began)
    return sorted(took)


def p99_s(door: Door) -> float:
    return ask(door, 300)[297]


def stays_quick(door: Door, usual_s: float) -> None:
    """Looks for one calm round: a busy machine has hiccups of its own, a request that waits for a disk has them all."""
    eventually(lambda: p99_s(door) <= usual_s + ADDED_S, "requests are as quick as before", 30)


def edge(instance: Instance) -> Door:
    return Door("edge", f"http://127.0.0.1:{instance.config['listen']['edge_port']}")


def fill_and_free(cycles: int, upstream: Upstream, small_disk: Path, *, to_the_end: bool) -> None:
    with served(small_disk, upstream, max_bytes=MIB) as instance:
        door = edge(instance)
        for _ in range(cycles):
            ballast = fill(small_disk)
            # What was allocated in advance takes records for a while yet.
            eventually(lambda: ask(door, 50) and instance.metric("degraded") == 1, "the disk is full", 60)
            ask(door, 200)
            assert instance.journal.left or instance.metric("open_attempts") == 0
            ballast.unlink()
            eventually(
                lambda: set(accepted(upstream)) <= instance.journal.intents.keys(), "what waited is on record", 10
            )
            if to_the_end:
                eventually(lambda: instance.metric("degraded") == 0, "it is well again", 30)
                ask(door, 20)
        assert instance.metric("lost_total") == 0
        assert instance.commands[-1].output.count('"level":"error"') == cycles, "one alarm each time"
        ids = accepted(upstream)
        eventually(lambda: set(ids) <= instance.journal.settles.keys(), "every attempt has its end")
        assert set(ids) <= instance.journal.intents.keys()


def test_a_full_disk_holds_up_no_request_and_loses_no_record(upstream: Upstream, small_disk: Path) -> None:
    fill_and_free(1, upstream, small_disk, to_the_end=False)


@pytest.mark.long
def test_a_disk_may_be_full_again_and_again(upstream: Upstream, small_disk: Path) -> None:
    fill_and_free(3, upstream, small_disk, to_the_end=True)


def test_a_required_journal_answers_503_while_its_disk_is_full(upstream: Upstream, small_disk: Path) -> None:
    with served(small_disk, upstream, max_bytes=MIB, required=True) as instance:
        door = edge(instance)
        fill(small_disk)
        reply = eventually(
            lambda: next((reply for reply in (door.ask("patient-0") for _ in range(50)) if reply.status != 200), None),
            "it refuses",
            60,
        )
        assert reply is not None
        assert (reply.status, reply.error["code"]) == (503, "ledger_unavailable")
        assert reply.headers["x-fastroute-attempts"] == "0", "nobody was asked"
        assert instance.metric("refused_total") >= 1


def test_a_start_on_a_full_disk_serves_and_catches_up(upstream: Upstream, small_disk: Path) -> None:
    with served(small_disk, upstream, max_bytes=MIB) as instance:
        ask(edge(instance), 20)
        os.kill(instance.process, signal.SIGSTOP)
        killed = instance.process
        instance.commands[-1].process.kill()
        os.kill(killed, signal.SIGKILL)
        ballast = fill(small_disk)
        instance.start(log_folder=small_disk.parent)
        ask(edge(instance), 20)
        assert instance.metric("degraded") == 1
        ballast.unlink()
        ids = accepted(upstream)
        assert len(ids) == 40
        eventually(lambda: set(ids) <= instance.journal.intents.keys(), "what waited is on record")


def threads(process: int, name: str) -> list[int]:
    """Ids of a process's threads of this name."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(task.name) for task in tasks if re.fullmatch(name, (task / "comm").read_text().strip())]


@contextlib.contextmanager
def injected(tasks: list[int], fault: str) -> Generator[None]:
    """Lets a system call of these threads fail or take long."""
    needs_root()
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    call = fault.split(":", maxsplit=1)[0]
    command = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}"]
    command += [f"-p{task}" for task in tasks]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:

            def traced() -> bool:
                assert tracer.poll() is None, tracer.stderr and tracer.stderr.read()
                states = (Path(f"/proc/{task}/status").read_text() for task in tasks)
                return all("TracerPid:\t0" not in state for state in states)

            eventually(traced, "strace holds them")
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)


@pytest.mark.long
def test_a_disk_that_takes_nothing_slows_no_request(upstream: Upstream, tmp_path: Path) -> None:
    with served(tmp_path, upstream) as instance:
        process = instance.process
        usual = p99_s(edge(instance))
        with injected(threads(process, r"fr-io-\d+|fr-journal"), "pwrite64:error=EIO"):
            stays_quick(edge(instance), usual)
            eventually(lambda: "the journal is degraded" in instance.commands[-1].output, "it is told", ALARM_S)
            assert instance.metric("degraded") == 1
        eventually(lambda: instance.metric("degraded") == 0, "it is well again", 30)
        assert set(accepted(upstream)) <= instance.journal.intents.keys()
        assert instance.metric("lost_total") == 0


@pytest.mark.long
def test_a_sync_that_hangs_slows_no_request_and_is_told(upstream: Upstream, tmp_path: Path) -> None:
    with served(tmp_path, upstream, fsync=True) as instance:
        usual = p99_s(edge(instance))
        with injected(threads(instance.process, "fr-sync"), "fdatasync:delay_enter=2000000"):
            began = time.monotonic()
            ask(edge(instance), 1)
            eventually(lambda: "a sync hangs" in instance.commands[-1].output, "it is told")
            told_s = time.monotonic() - began
            assert told_s <= ALARM_S
            stays_quick(edge(instance), usual)
        eventually(lambda: instance.metric("degraded") == 0, "it is well again", 30)
