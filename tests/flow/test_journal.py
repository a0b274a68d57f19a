"""The journal against the upstream's own log: what it accepted is on record, whatever was killed meanwhile.

One rule: the two are compared request by request, by the id that goes upstream with every attempt.
"""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flow.records import Instance, accepted
from flow.rig import CHAT, Command, Door, Serve, Upstream, chat, configuration, eventually, free_port

READY_S = 2.0
"""From a kill of the data process until another one is ready."""


@pytest.fixture
def instance(tmp_path: Path, upstream: Upstream) -> Iterator[Instance]:
    made = Instance(tmp_path, upstream)
    yield made
    made.stop()


def test_every_attempt_the_upstream_saw_is_on_record_with_its_end(upstream: Upstream, instance: Instance) -> None:
    gateway = instance.start()
    upstream.script(
        {"match": {"model": "patient-1-first"}, "steps": [{"status": {"code": 503}}]},
        {"match": {"model": "patient-2-first"}, "steps": ["reset"]},
        {"match": {"model": "patient-3-first"}, "steps": [{"events": {"count": 4}}, "reset"]},
    )
    for door in gateway.doors.values():
        for number in range(4):
            for stream in (False, True):
                door.ask(f"patient-{number}", stream=stream)
        assert door.ask("half-dead").status == 200
    seen = eventually(lambda: upstream.rows() if not instance.journal.left else [], "every attempt ended")
    journal = instance.journal
    ids = accepted(upstream)
    # One attempt is sent twice where the connection was used before and broke without a byte.
    last = {row["headers"]["x-fastroute-attempt"]: row for row in seen}
    assert all(row["ended"] == "reset" for row in seen if row not in last.values()), "an id names one attempt"
    unseen = journal.intents.keys() - set(ids)
    assert set(ids) - journal.intents.keys() == set()
    assert {journal.intents[each]["target"] for each in unseen} == {"dead/first"}
    for row in seen:
        intent = journal.intents[row["headers"]["x-fastroute-attempt"]]
        assert intent["target"] == f"up/{row['model']}"
        assert intent["stream"] == row["stream"]
    ended = {(journal.intents[each]["target"], settle["state"]) for each, settle in journal.settles.items()}
    assert ("up/patient-0-first", "complete") in ended
    assert ("up/patient-1-first", "refused") in ended
    assert ("up/patient-2-first", "unknown") in ended
    assert ("up/patient-3-first", "partial") in ended
    assert ("dead/first", "refused") in ended
    for each, settle in journal.settles.items():
        if settle["state"] == "complete" and settle["basis"] == "provider":
            assert settle["completion_tokens"] == last[each]["completion_tokens"]


def test_no_key_prompt_or_reply_is_in_the_journal(upstream: Upstream, instance: Instance) -> None:
    gateway = instance.start()
    upstream.script({"steps": [{"reply": {"text": "canary-of-the-reply"}}]})
    body = chat("patient-0", messages=[{"role": "user", "content": "canary-of-the-prompt"}], user="canary-of-the-user")
    gateway.doors["edge"].post(body, {"authorization": "Bearer sk-canary-of-the-client"})
    eventually(lambda: instance.journal.settles, "it is on record")
    written = b"".join(path.read_bytes() for path in instance.folder.glob("state/*/journal/*"))
    assert b"patient-0" in written
    assert b"canary" not in written


def test_a_second_instance_says_whose_the_folder_is(instance: Instance, tmp_path: Path) -> None:
    gateway = instance.start()
    port = instance.config["listen"]["port"]
    # The same port on another address: the sockets do not collide, the folder does.
    second = Command(tmp_path / "second.log", "serve", "-c", str(instance.file), "--host", "::1", "--port", str(port))
    try:
        assert second.wait() == 2
        assert f"in use by process {gateway.command.process.pid}" in second.output
        assert "--state-dir" in second.output
    finally:
        second.stop()


def test_without_a_journal_nothing_is_kept(upstream: Upstream, tmp_path: Path, serve: Serve) -> None:
    config = configuration(upstream.origin, free_port())
    config["journal"] = {"enabled": False}
    gateway = serve(config)
    assert gateway.doors["edge"].ask("patient-0").status == 200
    assert not (tmp_path / "state").exists()
    assert "x-fastroute-attempt" not in upstream.rows()[0]["headers"]


def test_the_command_shows_what_is_on_record(upstream: Upstream, instance: Instance) -> None:
    gateway = instance.start()
    assert gateway.doors["granian"].ask("patient-0").status == 200
    eventually(lambda: instance.journal.settles, "it is on record")
    state = str(instance.folder / "state")

    def said(*options: str) -> str:
        command = Command(instance.folder / "said.log", "journal", "--state-dir", state, *options)
        assert command.wait() == 0
        return command.output

    assert "1 attempts, 0 without an end" in said()
    records = [json.loads(line)["record"] for line in said("--json").splitlines()]
    assert records.count("intent") == records.count("settle") == 1
    assert not said("--open")


def test_after_a_stop_nothing_is_left_and_the_next_start_has_nothing_to_tell(
    upstream: Upstream, instance: Instance
) -> None:
    gateway = instance.start()
    for door in gateway.doors.values():
        assert door.ask("patient-0", stream=True).status == 200
    gateway.command.process.send_signal(signal.SIGINT)
    assert gateway.command.wait() == 0
    journal = instance.journal
    assert (len(journal.intents), journal.left) == (2, set())
    assert set(journal.ends.values()) == {"whole"}
    assert all(path.stat().st_size < 10_000 for path in instance.folder.glob("state/*/journal/*"))
    again = instance.start()
    again.command.process.send_signal(signal.SIGINT)
    assert again.command.wait() == 0
    assert '"level"' not in again.command.output


class Load:
    """Clients that ask as fast as they are answered, through both doors, until told to stop; most fail at a kill."""

    def __init__(self, doors: Sequence[Door], clients: int = 8) -> None:
        self.complete: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(doors[number % len(doors)], number)) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, door: Door, number: int) -> None:
        stream = number % 4 >= 2
        body = chat(f"patient-{number}", stream=stream)
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(door.connect(5)) as link:
                while not self._stop.is_set():
                    link.request("POST", CHAT, body, {"content-type": "application/json"})
                    response = link.getresponse()
                    read = response.read()
                    ended = read.endswith(b"data: [DONE]\n\n") if stream else response.status == 200
                    if ended:
                        self.complete.append(response.headers["x-request-id"])
            self._stop.wait(0.01)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def survive(kills: int, upstream: Upstream, instance: Instance) -> None:
    """Kills a gateway under load again and again, and holds the journal against the upstream's log."""
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": 15, "every_ms": 10}}, {"finish": {}}, "done"]},
        {"steps": [{"delay": {"ms": 5}}, {"reply": {}}]},
    )
    complete: list[str] = []
    ready_s: list[float] = []
    for number in range(kills):
        gateway = instance.start()
        load = Load(list(gateway.doors.values()))
        before = len(accepted(upstream))
        # A different moment each time, and always under load.
        enough = before + 40 + 7 * (number % 5)
        eventually(lambda enough=enough: len(accepted(upstream)) >= enough, "it is under load", 30)
        process = gateway.process
        if number % 2:
            gateway.command.process.kill()
            os.kill(process, signal.SIGKILL)
            gateway.command.wait()
        else:
            os.kill(process, signal.SIGKILL)
            killed = time.monotonic()
            eventually(lambda process=process, gateway=gateway: gateway.process not in (0, process), "another process")
            eventually(lambda: instance.admin.send("GET", "/readyz").status == 200, "ready again", 30)
            ready_s.append(round(time.monotonic() - killed, 2))
            process = gateway.process
            gateway.command.process.kill()
            os.kill(process, signal.SIGKILL)
            gateway.command.wait()
        load.stop()
        complete += load.complete
    instance.start()
    journal = instance.journal
    ids = accepted(upstream)
    assert len(ids) >= 40 * kills
    assert set(ids) - journal.intents.keys() == set(), "accepted by the upstream and not on record"
    assert journal.left == set(), "what was left open was settled by the next start"
    died = [settle for settle in journal.settles.values() if settle["failure"] == "process_died"]
    assert died
    assert {settle["state"] for settle in died} == {"unknown"}
    by_request = {intent["request_id"] for intent in journal.intents.values()}
    assert complete
    assert set(complete) - by_request == set(), "complete for a client and not on record"
    assert set(journal.ends.values()) <= {"whole", "torn"}
    told = "settled as unknown"
    eventually(lambda: any(told in command.output for command in instance.commands), "the log says so")
    print(f"{kills} kills, {len(ids)} attempts, {len(died)} left open; ready after {sorted(ready_s)}")
    assert max(ready_s) <= READY_S


def test_nothing_the_upstream_accepted_is_lost_when_the_gateway_is_killed(
    upstream: Upstream, instance: Instance
) -> None:
    survive(5, upstream, instance)


@pytest.mark.long
def test_three_hundred_kills_lose_nothing(upstream: Upstream, instance: Instance) -> None:
    survive(300, upstream, instance)
