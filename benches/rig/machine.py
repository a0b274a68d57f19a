"""What the kernel says about this machine and about processes on it: CPU time, memory, who else was busy.

The surprise: CPU time comes from `schedstat`, in nanoseconds of run time; `stat` counts ticks of 10 ms and would call
a process that wakes for 20 µs idle or busy by chance.
"""

import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HALT_POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")


class CoreTime(NamedTuple):
    """Seconds since boot, of one core."""

    busy_s: float
    stolen_s: float


class Sample(NamedTuple):
    """Everything that is counted over a window, at one moment."""

    at_s: float
    threads: dict[int, tuple[str, float]]
    """Thread id to its name and its run time in seconds."""
    cores: dict[int, CoreTime]


def tree_of(root: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The command in parentheses may itself hold spaces and parentheses.
            after_command = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(after_command[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def thread_times(pids: list[int]) -> dict[int, tuple[str, float]]:
    """Run time of every thread of these processes."""
    times: dict[int, tuple[str, float]] = {}
    for pid in pids:
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                run_ns = int((task / "schedstat").read_text().split()[0])
                times[int(task.name)] = ((task / "comm").read_text().strip(), run_ns / 1e9)
            except OSError:
                continue
    return times


def core_times() -> dict[int, CoreTime]:
    """Busy and stolen time of every core."""
    times: dict[int, CoreTime] = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, columns[:8])
            busy = user + nice + system + irq + softirq
            times[int(name[3:])] = CoreTime(busy * TICK_S, steal * TICK_S)
    return times


def sample(pids: list[int]) -> Sample:
    """Takes the counters of these processes and of all cores, now."""
    return Sample(time.monotonic(), thread_times(pids), core_times())


def spent(before: Sample, after: Sample) -> dict[str, float]:
    """Run time between two samples by thread name; a thread that began in between counts from its start."""
    seconds: dict[str, float] = {}
    for thread, (name, run_s) in after.threads.items():
        began_s = before.threads.get(thread, (name, 0.0))[1]
        seconds[name] = seconds.get(name, 0.0) + run_s - began_s
    return seconds


def resident_kib(pids: list[int]) -> int:
    """Resident memory of these processes; pages they share are counted in each."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def peak_kib(pids: list[int]) -> int:
    """Highest resident memory since `reset_peak`."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def reset_peak(pids: list[int]) -> None:
    """Starts the peak of these processes anew, where the kernel lets us."""
    for pid in pids:
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            return


def _status(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


def halt_poll_ns() -> int | None:
    """For how long an idle core of a guest looks for work before its host has it back; `None` without a host."""
    return int(HALT_POLL.read_text()) if HALT_POLL.exists() else None


def describe() -> dict[str, object]:
    """The machine without its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "memory_mib": total_kib // 1024,
        "hypervisor": any("hypervisor" in line for line in lines if line.startswith("flags")),
        "halt_poll_ns": halt_poll_ns(),
    }
