"""Runs a plan: rounds of one window per contender, or several, in shuffled order, and one raw row per window.

A row holds counters and the generator's report, no conclusions; `results` draws those, and can do so again later.
"""

import contextlib
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from benches.rig import machine, programs
from benches.rig.programs import GATEWAY_CORE, LOAD_CORE, Ports, Program
from benches.rig.workloads import DIRECT, ECHO, NGINX, Contender, Plan

Row = dict[str, Any]
COUNTED = ("fastroute_exchanges_total", "fastroute_retries_total", "fastroute_retries_denied_total")


def run(
    plan: Plan, rounds: int, descriptors: int, window_s: float | None = None, *, turns: int = 1
) -> Generator[Row, None, None]:
    """The rows of a plan, as they come. In each round every contender has so many turns."""
    dice = random.Random(plan.name)
    window_s = window_s or plan.window_s
    for number in range(rounds):
        order: list[Contender] = []
        for _ in range(turns):
            order += dice.sample(plan.contenders, len(plan.contenders))
        with contextlib.ExitStack() as stack:
            # Afresh for each round, so that a program that somebody ended costs one round and not the plan.
            stage = None if plan.memory else stack.enter_context(Stage.open(plan, descriptors))
            for place, contender in enumerate(order):
                with contextlib.ExitStack() as afresh:
                    at = stage or afresh.enter_context(Stage.open(plan, descriptors))
                    row = at.measure(contender, window_s)
                yield {"kind": "window", "plan": plan.name, "round": number, "place": place, **row}


class Stage:
    """The running programs of a plan."""

    def __init__(self, plan: Plan, folder: Path, ports: Ports, programs_: dict[str, Program]) -> None:
        self._plan = plan
        self._folder = folder
        self._ports = ports
        self._programs = programs_

    @classmethod
    @contextlib.contextmanager
    def open(cls, plan: Plan, descriptors: int) -> Iterator["Stage"]:
        """Starts mock, nginx and gateway; ends them afterwards."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-rig-")))
            ports = programs.free_ports()
            start = programs.busy_gateway if plan.busy else programs.gateway
            started = {
                "mock": stack.enter_context(programs.mock(folder, ports, plan.workload)),
                "nginx": stack.enter_context(programs.nginx(folder, ports, descriptors)),
                "gateway": stack.enter_context(start(folder, ports)),
            }
            if ECHO in plan.contenders:
                started["echo"] = stack.enter_context(programs.echo(folder, ports))
            if plan.peer is not None:
                started["peer"] = stack.enter_context(programs.peer(folder, ports, plan.peer))
            # Before that its data process may not be there to be measured.
            for port in (ports.granian, ports.edge):
                programs.first_answer(port)
            if plan.memory:
                # What a program takes to start is not what a stream takes.
                time.sleep(programs.SETTLE_S)
            yield cls(plan, folder, ports, started)

    def measure(self, contender: Contender, window_s: float) -> Row:
        """One window. A busy gateway must not disturb the others, so it is stopped while they are measured."""
        with contextlib.ExitStack() as stack:
            if self._plan.busy and contender.door in ("nginx", "mock"):
                stack.enter_context(_stopped(self._programs["gateway"]))
                if contender is not DIRECT:
                    stack.enter_context(programs.hog(self._folder))
            return self._window(contender, window_s)

    def _window(self, contender: Contender, window_s: float) -> Row:
        plan = self._plan
        program = self._programs.get(contender.door, self._programs["gateway"])
        measured, ours = program.pids(), {name: each.pids() for name, each in self._programs.items()}
        resident_before = machine.resident_kib(measured)
        load = subprocess.Popen(
            ["taskset", "-c", str(LOAD_CORE), *self._load_command(contender, window_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        everyone = [pid for pids in ours.values() for pid in pids] + [load.pid]
        time.sleep(plan.warm_up_s)
        machine.reset_peak(measured)
        counted = programs.counters(self._ports) if plan.failing else None
        before, all_before = machine.sample(measured), machine.sample(everyone)
        time.sleep(window_s)
        after, all_after = machine.sample(measured), machine.sample(everyone)
        resident, peak = machine.resident_kib(measured), machine.peak_kib(measured)
        printed, complained = load.communicate(timeout=window_s + 60)
        if load.returncode:
            raise programs.StartError(f"the load generator failed: {complained.decode(errors='replace')}")
        cores = {core: all_after.cores[core].busy_s - all_before.cores[core].busy_s for core in all_after.cores}
        own_s = sum(machine.spent(all_before, all_after).values())
        took_s = all_after.at_s - all_before.at_s
        return {
            "contender": contender.name,
            "took_s": after.at_s - before.at_s,
            "cpu_s": machine.spent(before, after),
            "mock_cpu_s": _of(all_before, all_after, ours["mock"]),
            "resident_before_kib": resident_before,
            "resident_kib": resident,
            "peak_kib": peak,
            # Everybody else on the two cores that count, in cores; the rig itself is among them. The kernel counts busy
            # cores in ticks, so with many short wake-ups and nobody else this comes out below 0.
            "foreign": (cores[GATEWAY_CORE] + cores[LOAD_CORE] - own_s) / took_s,
            "stolen": sum(all_after.cores[core].stolen_s - all_before.cores[core].stolen_s for core in cores) / took_s,
            # Of this window: what the gateway counted, beside a plan with failures.
            **({"counted": self._since(counted)} if counted and contender.door in ("granian", "edge") else {}),
            "load": json.loads(printed),
        }

    def _since(self, before: dict[str, int]) -> dict[str, int]:
        now = programs.counters(self._ports)
        return {name: now[name] - before[name] for name in COUNTED}

    def _load_command(self, contender: Contender, window_s: float) -> list[str]:
        plan, ports = self._plan, self._ports
        port = {
            "mock": ports.mock,
            "nginx": ports.nginx_stream if plan.stream else ports.nginx_unary,
            "echo": ports.echo,
            "peer": ports.peer,
            "granian": ports.granian,
            "edge": ports.edge,
        }[contender.door]
        command = [str(programs.examples() / "load"), "--address", f"127.0.0.1:{port}", "--workload"]
        command += [
            contender.workload or plan.workload,
            "--model",
            plan.failing or contender.model,
            "--warm-up",
            str(plan.warm_up_s),
            "--window",
            str(window_s),
        ]
        if plan.connections is not None:
            command += ["--connections", str(plan.connections)]
        if plan.rate is not None:
            command += ["--rate", str(plan.rate)]
        if plan.failing and contender is NGINX:
            command += ["--path", f"/{plan.failing}/v1/chat/completions"]
        if contender.door == "peer" and plan.peer is not None:
            for header in plan.peer.headers(ports.mock):
                command += ["--header", header]
        return command


def _of(before: machine.Sample, after: machine.Sample, pids: list[int]) -> float:
    """Run time of single-threaded processes between two samples."""
    return sum(after.threads[pid][1] - before.threads[pid][1] for pid in pids if pid in before.threads)


@contextlib.contextmanager
def _stopped(program: Program) -> Iterator[None]:
    program.process.send_signal(19)  # SIGSTOP
    try:
        yield
    finally:
        program.process.send_signal(18)  # SIGCONT
