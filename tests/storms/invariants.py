"""What holds after every storm: nothing lost, nothing counted twice, nothing left behind.

One rule: three witnesses are compared request by request: what clients saw, what upstreams saw, what is on record.
"""

import collections
import contextlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flow.records import Journal
from flow.rig import Door, Gateway, Serve, eventually, free_port
from storms.load import Seen
from storms.mortal import Blind, Mortal

MOST_ATTEMPTS = 3
QUIET_S = 5.0
DIRECT = "direct"
"""The model of requests that a test sends to an upstream itself."""


class Storm:
    """A gateway, its upstreams, and how it was before."""

    def __init__(self, gateway: Gateway, admin_port: int, records: Path, upstreams: Sequence[Mortal]) -> None:
        self.gateway = gateway
        self.upstreams = upstreams
        self._admin = Door("admin", f"http://127.0.0.1:{admin_port}")
        self._records = records
        for door in (self._admin, *gateway.doors.values()):
            eventually(lambda door=door: door.send("GET", "/readyz").status == 200, f"{door.name} serves")
        self._sockets = self.sockets

    @property
    def sockets(self) -> int:
        """Open ones; the files of the journal come and go by themselves."""
        found = 0
        for path in Path(f"/proc/{self.gateway.process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(path.readlink()).startswith("socket:")
        return found

    def metric(self, name: str) -> int:
        page = self._admin.send("GET", "/metrics").body.decode()
        return next(int(line.split()[1]) for line in page.splitlines() if line.startswith(f"fastroute_{name} "))

    @property
    def journal(self) -> Journal:
        return Journal(self._records)

    def check(self, seen: Sequence[Seen]) -> None:
        """All of it, once the load is over. It is the end of the upstreams."""
        eventually(lambda: self.metric("in_flight") == 0, "nothing is in flight", QUIET_S)
        eventually(lambda: self.metric("journal_open_attempts") == 0, "every attempt has its end", QUIET_S)
        assert self.metric("panics_total") == 0
        eventually(lambda: not self._working(), "no upstream works for anybody", QUIET_S)
        rows = [row for upstream in self.upstreams for row in upstream.rows() if row["model"] != DIRECT]
        blind = [each for upstream in self.upstreams for each in upstream.blind]
        agree(seen, rows, self.journal, blind)
        # With them go the connections that are kept to them; what is left then has leaked.
        for upstream in self.upstreams:
            upstream.end()
        eventually(lambda: self.sockets <= self._sockets + 2, f"as few sockets as before ({self._sockets})", QUIET_S)

    def _working(self) -> list[dict[str, Any]]:
        return [row for upstream in self.upstreams for row in upstream.open_rows()]


def stormy(
    serve: Serve, folder: Path, upstreams: Sequence[Mortal], models: Sequence[str], *, policy: str, **patience: Any
) -> Storm:
    """A gateway with a target at each upstream for every model."""
    listen = {"port": free_port(), "edge_port": 0, "admin_port": free_port()}
    config = {
        "listen": listen,
        "providers": {each.name: {"dialect": "openai_chat", "address": f"{each.origin}/v1"} for each in upstreams},
        "models": {
            model: {"targets": [f"{each.name}/{model}" for each in upstreams], "policy": policy} for model in models
        },
        "routing": {"patience": patience},
    }
    records = folder / "state" / str(listen["port"]) / "journal"
    return Storm(serve(config), listen["admin_port"], records, upstreams)


def agree(seen: Sequence[Seen], rows: Iterable[dict[str, Any]], journal: Journal, blind: Sequence[Blind]) -> None:
    intents, settles = journal.intents, journal.settles
    assert intents.keys() == settles.keys(), "each attempt has one end"
    accepted: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in rows:
        accepted[row["headers"]["x-fastroute-attempt"]].append(row)
    assert accepted.keys() <= intents.keys(), "what an upstream saw is on record"
    for attempt in intents.keys() - accepted.keys():
        assert unseen(intents[attempt], settles[attempt], blind), (intents[attempt], settles[attempt])
    for attempt, sent in accepted.items():
        # An attempt is sent twice where the kept connection broke without a byte.
        assert len(sent) <= 2
        assert all(row["ended"] in {"reset", "cancelled", "open"} for row in sent[:-1]), sent
        end = settles[attempt]
        if end["state"] == "complete" and end["basis"] == "provider":
            told = sent[-1]
            assert end["completion_tokens"] == told["completion_tokens"] or _ended_unseen(told, intents[attempt], blind)
    _answers_agree(seen, intents)


def unseen(intent: dict[str, Any], settle: dict[str, Any], blind: Sequence[Blind]) -> bool:
    """Why no upstream knows of an attempt: it was not reached, or its log died with what came last."""
    if settle["failure"] in {"refused", "connect_timeout", "dns", "tls", "reset_unwritten", "shutdown"}:
        return True
    ended_ms = intent["started_ms"] + settle["took_us"] / 1000
    return any(intent["started_ms"] <= each.until_ms + 50 and ended_ms >= each.since_ms - 50 for each in blind)


def _ended_unseen(row: dict[str, Any], intent: dict[str, Any], blind: Sequence[Blind]) -> bool:
    """It was under way when the log was read for the last time."""
    return row["ended"] == "open" and any(intent["started_ms"] <= each.until_ms for each in blind)


def _answers_agree(seen: Sequence[Seen], intents: dict[str, dict[str, Any]]) -> None:
    tries = collections.Counter(intent["request_id"] for intent in intents.values())
    answered = [each for each in seen if "x-request-id" in each.headers]
    ids = {each.headers["x-request-id"] for each in answered}
    assert len(ids) == len(answered), "each answer has an id of its own"
    if seen and len(answered) == len(seen):
        assert tries.keys() <= ids, "what is on record was asked for, and answered"
    for each in answered:
        # A head that went out early cannot tell how many attempts there will have been.
        if each.attempts:
            assert tries[each.headers["x-request-id"]] == each.attempts <= MOST_ATTEMPTS, msgspec.to_builtins(each)


def attempts_per_request(intents: Collection[dict[str, Any]]) -> float:
    """Over all requests that were sent to anybody."""
    return len(intents) / max(1, len({intent["request_id"] for intent in intents}))
