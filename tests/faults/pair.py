"""Who asks and who answers: the dialects of a client and its upstream, and a case of the table as it is between them.

One rule: what differs from one pair to another is said here or in the case, and everything else is the same. One
surprise: only chat's plain replies go on before they are whole, so that elsewhere one that breaks off was not begun.
"""

from typing import NamedTuple

import msgspec

from faults.audience import AUDIENCES, Audience
from faults.fault import Case, Ending, Phase, Record, Seen, Way
from faults.script import spoken
from faults.tongue import TONGUES, Tongue


class Pair(NamedTuple):
    client: str
    upstream: str

    @property
    def audience(self) -> Audience:
        return AUDIENCES[self.client]

    @property
    def tongue(self) -> Tongue:
        return TONGUES[self.upstream]

    @property
    def crosses(self) -> bool:
        return self.client != self.upstream

    @property
    def label(self) -> str:
        return f"{self.client} at {self.upstream}"


CHAT = Pair("openai_chat", "openai_chat")
OTHERS = (
    Pair("openai_chat", "anthropic_messages"),
    Pair("openai_responses", "openai_responses"),
    Pair("openai_responses", "gemini"),
    Pair("anthropic_messages", "anthropic_messages"),
    Pair("anthropic_messages", "openai_chat"),
    Pair("gemini", "gemini"),
    Pair("gemini", "openai_responses"),
)
"""Each client before an upstream of its own dialect and one of another; each upstream is met in both roles."""


def between(case: Case, pair: Pair) -> Case | None:
    """The case as these two see it; None where one of them has nothing of the kind."""
    if pair == CHAT:
        return case
    steps = spoken(case.steps, pair.tongue, case.way)
    if steps is None or case.chat_only:
        return None
    other = case.unmarked if pair.upstream == "gemini" else None
    if pair.crosses and other is None:
        other = case.crossed
    if case.phase is Phase.DELIVERED and case.way is Way.PLAIN:
        return msgspec.structs.replace(case, steps=steps, phase=Phase.BEGUN, alone=_held(case.record), elsewhere=True)
    alone, record = (case.alone, case.record) if other is None else (other.alone, other.record)
    # Google's SDKs take a comment for an event: their streams have none, and their status waits for the first content.
    early = case.early and pair.client != "gemini"
    if case.early and not early:
        alone = Seen(ending=Ending.ERROR, status=504, code="upstream_timeout")
    return msgspec.structs.replace(case, steps=steps, alone=_told(alone, pair), record=record, early=early)


def _held(record: Record) -> Seen:
    status = 504 if record.kind == "stalled" else 502
    return Seen(ending=Ending.ERROR, status=status, code=f"upstream_{record.kind}")


def _told(seen: Seen, pair: Pair) -> Seen:
    """Where dialects differ the end is said anew, and the finish with it."""
    finished = seen.finished or pair.crosses or not pair.tongue.last
    return msgspec.structs.replace(seen, finished=finished, finish_told=seen.finish_told and not pair.crosses)
