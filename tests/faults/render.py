"""Prints the fault table as the page that users read: `python -m faults.render > docs/faults.md` in `tests`.

One rule: every word of a row comes from the table that the tests hold the gateway to; only the frame is written here.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence

from faults.broken import BROKEN_OFF
from faults.fault import Case, Ending, Fault, Phase, Record, Seen, State
from faults.nonsense import NO_ANSWERS
from faults.refusals import REFUSALS
from faults.table import FAULTS
from faults.transport import TRANSPORT

INTRODUCTION = """# Faults

What happens when a provider fails: what a client sees, what is tried again, and what is on record. Printed from the
table in `tests/faults`, which every release is held to: each fault in each phase it can have, streamed and plain, with
and without a second target, through both doors. The words are those of a client of OpenAI's chat; what other clients
see before other providers stands under [dialects](#dialects), and is held to likewise.

How far an attempt had come decides what may be done about its failure:

| phase | meaning | then |
|---|---|---|
| A | nothing of the request was written | any target may be asked |
| B | the request was written, no answer began | elsewhere; only once where the work may have been done |
| C | an answer began, none of its content went to the client | the same: nobody has seen anything |
| D | content went to the client | nothing is repeated; the client is told, and no end is made up |

"Elsewhere" in the tables means that the next target of the route answers and the client sees nothing of the failure;
what is told is told when there is no other target, or none of them answers. At most three attempts are made, inside one
deadline. The next target may speak another dialect than the first: all of this holds then, too. One that has no words
for the request is passed over, and was not tried ([errors](errors.md#the-request)). Status and code are explained in
[errors](errors.md); `true` after them is `x-should-retry` with the `retry-after` beside it, and where nothing stands it
is `false`. After content an error is the last event of the stream, without a finish reason before it and without
`[DONE]` after it; the transport then ends as it should. A plain reply commits after its first 64 KiB, and one that
breaks off after that misses its promised length or breaks the connection.

What is on record of each attempt is its state and the kind of its failure:

| state | meaning |
|---|---|
| `complete` | the whole reply came |
| `partial` | some of the answer came |
| `refused` | nothing was done, and nothing is owed |
| `unknown` | the provider may have done the work |
| `cancelled` | it was let go because another was asked or answered first, or the client left |
"""

DIALECTS = """## Dialects

Clients of chat, Responses, Anthropic's and Gemini's dialect are asked every fault, each before a provider of its own
dialect and one of another. What is tried again and what is on record is the same, and so are the status and its headers
(Anthropic's clients are told `overloaded` with 529, as Anthropic does).

| client | an error event | what stands for the code | no finish | not made up |
|---|---|---|---|---|
| `openai_chat` | the last event, `{"error":…}` | `error.code` | `finish_reason` | `[DONE]` |
| `openai_responses` | `error`, `response.failed` | `code`, `type` by `server_error` | `response.completed` | the same |
| `anthropic_messages` | `error` | `error.type`, by the status | `stop_reason` | `message_stop` |
| `gemini` | the error alone, in no event | `error.status`, by the status | `finishReason` | nothing: the body ends |

- What the provider said of the request goes on word by word where it speaks the client's dialect; where it does not,
  its message does.
- Only a plain reply of chat's to a client of chat goes on before it is whole. Any other one that breaks off has not
  begun for the client (C): another target answers.
- Where dialects differ, the finish is the end, and the client is told its own dialect's last words behind it.
- An error event has no status in Anthropic's dialect: what only a status says (425) is not met there.

Some faults are others where dialects differ, or before Gemini, whose streams have no end but that of their body:

| fault | where | the client is told | on record |
|---|---|---|---|"""

GROUPS: tuple[tuple[str, str, Sequence[Fault]], ...] = (
    (
        "The provider says no",
        "By a status (B), by an error inside an answer with status 200 (C), or by an error event after content (D).",
        REFUSALS,
    ),
    ("The way there", "No connection, none in time, or one that breaks before an answer began.", TRANSPORT),
    ("The answer", "It falls silent, breaks off, or is not what it should be.", (*BROKEN_OFF, *NO_ANSWERS)),
)


def render() -> str:
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield INTRODUCTION
    for title, words, faults in GROUPS:
        yield f"## {title}\n\n{words}\n"
        yield "| fault | phase | the client is told | tried again | on record |"
        yield "|---|---|---|---|---|"
        for fault in faults:
            yield from _rows(fault)
        yield ""
    yield DIALECTS
    for fault in FAULTS:
        yield from _otherwise(fault)
    yield ""
    yield "## Why\n"
    rules: dict[str, list[str]] = {}
    for fault in FAULTS:
        rules.setdefault(fault.rule, []).append(fault.title)
    for rule, titles in rules.items():
        yield f"- **{'; '.join(titles)}**: {rule}"
    yield ""


def _rows(fault: Fault) -> Iterator[str]:
    title = fault.title
    told: dict[tuple[str, str, str], list[Phase]] = {}
    for case in fault.cases:
        said = (_seen(case.alone), _again(case), _record(case))
        phases = told.setdefault(said, [])
        if case.phase not in phases:
            phases.append(case.phase)
    for said, phases in told.items():
        yield f"| {title} | {' '.join(phases)} | {' | '.join(said)} |"
        title = ""


def _otherwise(fault: Fault) -> Iterator[str]:
    for case in fault.cases:
        for where, other in (("another dialect", case.crossed), ("before Gemini", case.unmarked)):
            if other:
                told = f"{_seen(other.alone)}" + (
                    ", for its own clients behind the finish" if other.alone.finish_told else ""
                )
                yield f"| {fault.title} | {where} | {told} | {_entry(other.record)} |"


def _seen(seen: Seen) -> str:
    match seen.ending:
        case Ending.WHOLE:
            return "nothing: the reply is whole"
        case Ending.BROKEN:
            return "a plain reply that can be told to be incomplete"
        case Ending.IN_BAND:
            return f"an error event, {_code(seen)}"
        case Ending.ERROR:
            return f"{seen.status} {_code(seen)}{_wait(seen)}"


def _code(seen: Seen) -> str:
    return "in the provider's words" if seen.said is not None else f"`{seen.code}`"


def _wait(seen: Seen) -> str:
    if not seen.retry:
        return ""
    least, most = seen.wait_s
    return f", `true` after {least} s" if least == most else f", `true` after {least} to {most} s"


def _again(case: Case) -> str:
    ways = (["elsewhere"] if case.elsewhere else []) + (["the same when alone"] if case.tries > 1 else [])
    if case.requests > 1:
        return "on a fresh connection"
    return ", ".join(ways) or "no"


def _record(case: Case) -> str:
    alone = f"; alone {_entry(case.record_alone)}" if case.record_alone else ""
    return _entry(case.record) + alone


def _entry(record: Record) -> str:
    return f"`{record.state}` `{record.kind}`" if record.kind else f"`{record.state}`"


def states(faults: Iterable[Fault]) -> set[State]:
    """The states that the page has to explain."""
    return {case.record.state for fault in faults for case in fault.cases}


if __name__ == "__main__":
    sys.stdout.write(render())
