"""A stream of 4 KiB, cut at every one of its bytes: nothing is made up, nothing comes twice, and the client is told.

One rule: what a client may see follows from the bytes before the cut alone, by a reading of them that is not ours.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from faults.cell import cells
from faults.client import ask_many
from faults.fault import Case, Ending, Fault, Phase, Record, Seen, State, Way
from faults.judge import breaches, differences
from faults.round import Mocks, Stage, play
from faults.script import chunk
from faults.stream import events, finishes, text_of
from flow.rig import Door, chat

WORDS = [f"word-{number} " for number in range(26)]
PIECES = [
    chunk(),
    *map(chunk, WORDS),
    chunk(finish="stop"),
    'data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":26,"total_tokens":29}}\n\n',
    "data: [DONE]\n\n",
]
STREAM = "".join(PIECES)


def steps(cut_at: int, framing: str) -> list[Any]:
    return [
        {"head": {"content_type": "text/event-stream", "framing": framing}},
        {"cut": {"after_bytes": cut_at, "of": "body"}},
        {"send": {"utf8": STREAM}},
    ]


def whole_pieces(cut_at: int, missing: int = 0) -> list[Any]:
    """The events before the cut that are complete, but for so many bytes of the blank line behind them."""
    whole, end = "", 0
    for piece in PIECES:
        end += len(piece)
        if end - missing <= cut_at:
            whole += piece
    return events(whole.encode())


def test_the_stream_is_as_long_as_it_should_be() -> None:
    assert 3_800 <= len(STREAM) <= 4_400


def test_a_stream_cut_before_its_first_word_is_begun_once_by_another_target(mocks: Mocks, tmp_path: Path) -> None:
    first_word = len("".join(PIECES[:2]))
    cuts = [
        Fault(
            name=f"cut-at-{at}",
            title="",
            rule="",
            cases=(
                Case(
                    phase=Phase.BEGUN,
                    way=Way.STREAM,
                    steps=steps(at, "chunked"),
                    alone=Seen(ending=Ending.ERROR, status=502, code="upstream_truncated"),
                    record=Record(State.PARTIAL, "truncated"),
                    elsewhere=True,
                ),
            ),
        )
        for at in range(1, first_word)
    ]
    seen = play(list(cells(cuts, 1)), mocks, tmp_path)
    assert len(seen.observations) == 4 * len(cuts)
    assert [f"{each.cell.label}: {text}" for each in seen.observations for text in differences(each)] == []
    assert list(breaches(seen)) == []


@pytest.mark.parametrize("framing", ["chunked", "until_close"])
def test_a_stream_cut_at_any_byte_ends_honestly(framing: str, stage: Stage, door: Door) -> None:
    cuts = range(1, len(STREAM) + 1)
    stage.upstream.script(
        *({"match": {"model": f"cut-{at}"}, "steps": steps(at, framing)} for at in cuts), keep_alive=False
    )
    usage = {"include_usage": True}
    replies = ask_many(door, [chat(f"up/cut-{at}", stream=True, stream_options=usage) for at in cuts])
    wrong = [
        f"cut at {at}: {what}"
        for at, (reply, *_) in zip(cuts, replies, strict=True)
        for what in invented(at, reply.status, reply.body, reply.whole)
    ]
    assert wrong == []
    assert len(stage.upstream.rows()) == len(cuts)
    assert stage.counts.panics == 0


def invented(cut_at: int, status: int, body: bytes, whole: bool) -> list[str]:
    """What the client was told that the upstream had not said by then, or not told that it had."""
    # A last event that lacks only its blank line is told; a truncation that comes with the first content is not begun.
    sent = whole_pieces(cut_at, missing=len("\n\n"))
    text, finish = text_of(sent), finishes(sent)
    if not text_of(whole_pieces(cut_at)):
        # Without one event the answer was no stream, unless the transport says that it broke off.
        told = json.loads(body)["error"]["code"]
        fitting = {"upstream_truncated"} if sent else {"upstream_truncated", "upstream_malformed"}
        return [] if status == 502 and told in fitting else [f"{status} {told}"]
    seen = events(body) or [None]
    error = seen.pop()["error"]["code"] if isinstance(seen[-1], dict) and "error" in seen[-1] else None
    expected = (200, True, text, finish, None if finish else "upstream_truncated", "[DONE]" in sent)
    came = (status, whole, text_of(seen), finishes(seen), error, "[DONE]" in seen)
    return [] if came == expected else [f"{came} instead of {expected}"]
