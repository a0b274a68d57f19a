"""Streams that no server should send: by hand, and by chance. Nothing falls over, and no end is made up.

One rule: what goes to the client is what came, byte for byte, as far as it goes; only an error event may follow.
One surprise: clients are lenient, so much of this is a good stream to them, and has to be one to us.
"""

import base64
import random
from enum import Enum
from typing import Any

import pytest

from faults.client import ask_many
from faults.round import Stage
from faults.script import chunk, completion
from faults.stream import events, text_of
from flow.rig import Door, Reply, chat

W = chunk("word ")
ROLE, END, DONE = chunk(), chunk(finish="stop"), "data: [DONE]\n\n"
GOOD = ROLE + W * 3 + END + DONE
USAGE = 'data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}\n\n'


class Class(Enum):
    WHOLE = "a whole reply"
    BROKEN = "content, then an error event"
    NONE = "an error instead of a reply"


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def cr(text: str) -> str:
    return text.replace("\n", "\r")


def inside(field: str) -> str:
    """A good stream with this between its events."""
    return ROLE + field + W + field + W * 2 + field + END + field + DONE


def error(body: str) -> str:
    return f"data: {body}\n\n"


WHOLE: dict[str, str] = {
    "plain": GOOD,
    "crlf": crlf(GOOD),
    "cr": cr(GOOD),
    "mixed line ends": ROLE + crlf(W) + W + crlf(W) + END + crlf(DONE),
    "byte order mark": "\ufeff" + GOOD,
    "no space after the colon": GOOD.replace("data: ", "data:"),
    "no done": ROLE + W * 3 + END,
    "no blank line at the end": (ROLE + W * 3 + END).rstrip("\n"),
    "done twice": GOOD + DONE,
    "words after done": GOOD + W * 2,
    "an error after done": GOOD + error('{"error":{"message":"late"}}'),
    "garbage after done": GOOD + "\x00\x01garbage",
    "usage before done": ROLE + W * 3 + END + USAGE + DONE,
    "usage and no done": ROLE + W * 3 + END + USAGE,
    "usage in the finish": ROLE + W * 3 + END.replace('"}]}', '"}],"usage":{"prompt_tokens":1}}') + DONE,
    "comments": inside(": ping\n\n"),
    "empty comments": inside(":\n\n"),
    "comments within events": inside(": ping\n"),
    "blank lines": inside("\n\n\n\n"),
    "ids": inside("id: 7\n"),
    "an id with nul": inside("id: \x00\n"),
    "retry": inside("retry: 100\n\n"),
    "retry of no number": inside("retry: soon\n\n"),
    "unknown fields": inside("weather: fine\n"),
    "fields without a colon": inside("weather\n"),
    "events without data": inside("event: ping\n\n"),
    "named events": inside("event: message\n"),
    "empty data": inside("data:\n\n"),
    "empty objects": inside("data: {}\n\n"),
    "null": inside("data: null\n\n"),
    "a number": inside("data: 7\n\n"),
    "an array": inside("data: []\n\n"),
    "a text": inside('data: "hello"\n\n'),
    "broken json between": ROLE + W + "data: {\n\n" + W * 2 + END + DONE,
    "no role": W * 3 + END + DONE,
    "role with every event": W.replace('{"content"', '{"role":"assistant","content"') * 3 + END + DONE,
    "unknown members": ROLE + W.replace('"id"', '"weather":{"a":[1,{"b":null}]},"id"') * 3 + END + DONE,
    "white space in json": ROLE + W.replace(":", " : ").replace("data : ", "data: ") * 3 + END + DONE,
    "escapes": ROLE + W.replace("word", "w\\u006frd") * 3 + END + DONE,
    "an emoji": ROLE + W.replace("word ", "\U0001f600") * 3 + END + DONE,
    "a lone surrogate": ROLE + W.replace("word ", "word \\ud800") * 3 + END + DONE,
    "an error of null": inside('data: {"error":null,"choices":[]}\n\n'),
    "events of 200 KB": ROLE + W.replace("word ", "w" * 200_000) * 3 + END + DONE,
    "10,000 events": ROLE + W * 10_000 + END + DONE,
    "other finish reasons": ROLE + W * 3 + chunk(finish="length") + DONE,
    "a finish with content": ROLE + W * 2 + W.replace('"finish_reason": null', '"finish_reason":"stop"') + DONE,
    "only a finish": END + DONE,
    "only done after words": ROLE + W * 3 + DONE,
    "two choices": ROLE + W + W.replace('"index": 0', '"index": 1') + END + END.replace('"index": 0', '"index": 1'),
    "an empty choice": inside('data: {"choices":[{}]}\n\n'),
    "choices of null": inside('data: {"choices":null}\n\n'),
    "a tool call": ROLE
    + W.replace('"content": "word "', '"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]')
    + chunk(finish="tool_calls")
    + DONE,
    "reasoning": ROLE + W.replace('"content"', '"reasoning_content"') + W * 3 + END + DONE,
    "a refusal": ROLE + W.replace('"content"', '"refusal"') * 3 + END + DONE,
}  # fmt: skip
BROKEN: dict[str, str] = {
    "no finish": ROLE + W * 3,
    "no finish and usage null": ROLE + W * 3 + error('{"choices":[],"usage":null}'),
    "a torn event": ROLE + W * 3 + END[:40],
    "half a done": ROLE + W * 3 + "data: [DO",
    "one choice of two unfinished": ROLE + W + W.replace('"index": 0', '"index": 1') + END,
    "an error": ROLE + W * 3 + error('{"error":{"message":"oops","type":"server_error"}}'),
    "a named error": ROLE + W * 3 + "event: error\n" + error('{"message":"oops"}'),
    "an error of text": ROLE + W * 3 + error('{"error":"oops"}'),
    "an error beside choices": ROLE + W * 3 + error('{"choices":[],"error":{"message":"oops","code":502}}'),
    "an error in a choice": ROLE + W * 3 + error('{"choices":[{"index":0,"error":{"message":"oops"}}]}'),
    "an error then done": ROLE + W * 3 + error('{"error":{"message":"oops"}}') + DONE,
    "an error then words": ROLE + W * 3 + error('{"error":{"message":"oops"}}') + W + END + DONE,
    "html in the middle": ROLE + W * 3 + "<html><body>502</body></html>\n\n",
    "nul bytes": ROLE + W * 3 + "\x00" * 300,
    "a page of text": ROLE + W * 3 + "lorem ipsum\n" * 100,
    "an event beyond its limit": ROLE + W * 3 + "data: " + "x" * (2 << 20),
    "lines beyond their limit": ROLE + W * 3 + "data: x\n" * (1 << 18),
    "a comment beyond its limit": ROLE + W * 3 + ":" + "x" * (2 << 20),
}
NONE: dict[str, str] = {
    "nothing": "",
    "a line feed": "\n",
    "a byte order mark alone": "\ufeff",
    "only comments": ": ping\n\n" * 20,
    "only a role": ROLE,
    "only empty words": chunk("") * 3,
    "only empty data": "data:\n\n" * 10,
    "only nonsense": "data: nonsense\n\n" * 10,
    "html": "<!doctype html><html><body>Bad gateway</body></html>",
    "a plain reply": completion(),
    "a plain error": '{"error":{"message":"oops","type":"server_error"}}',
    "a plain error in lines": '{\n"error":{\n"message":"oops"}}\n',
    "an error first": error('{"error":{"message":"oops","type":"server_error"}}'),
    "a named error first": "event: error\n" + error('{"message":"oops"}'),
    "an error after the role": ROLE + error('{"error":{"message":"oops"}}'),
    "an error in the first choice": error('{"choices":[{"index":0,"error":{"message":"oops"}}]}'),
    "an error in an array": error('[{"error":{"message":"oops","code":503}}]'),
    "a torn first event": W[:40],
    "a first event beyond its limit": "data: " + "x" * (2 << 20),
    "a first comment beyond its limit": ":" + "x" * (2 << 20),
    "a failed finish": ROLE + chunk(finish="error"),
    "usage alone": USAGE,
    # It came in one piece with the words, so none of them had gone on: another target may still be asked.
    "an error that is not shown": ROLE + W * 3 + error('{"error":{"message":"oops","code":"invalid_api_key"}}'),
    "a bare error": ROLE + W * 3 + '{"error":{"message":"oops"}}\n\n',
    "binary": "".join(map(chr, range(256))) * 8,
    "json lines": ('{"choices":[{"delta":{"content":"word"}}]}\n') * 5,
    "the wrong field": GOOD.replace("data:", "date:"),
    "upper case": GOOD.replace("data:", "DATA:"),
}
CRAFTED = [
    (name, text.encode(), kind)
    for kind, several in ((Class.WHOLE, WHOLE), (Class.BROKEN, BROKEN), (Class.NONE, NONE))
    for name, text in several.items()
]


def odd(word: bytes) -> bytes:
    """A good stream in which one word is these bytes."""
    return (ROLE + W).encode() + W.encode().replace(b"word ", word) + (END + DONE).encode()


CRAFTED += [
    ("invalid utf-8 in a word", odd(b"w\xff\xferd"), Class.WHOLE),
    ("latin-1", odd(b"gr\xfcn"), Class.WHOLE),
    ("a cut emoji", odd(b"\xf0\x9f\x98"), Class.WHOLE),
    ("utf-16", GOOD.encode("utf-16"), Class.NONE),
]
BREAKS = [b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"\x00", b"data:", b":", b"\xef\xbb\xbf"]
SIGNS = [b"{", b"}", b'"', b"[", b"\\", b"data: [DONE]\n\n", b"event: error\n"]


def script(bodies: dict[str, bytes]) -> list[dict[str, Any]]:
    """An upstream that answers each model with these bytes as a stream."""
    head = {"head": {"content_type": "text/event-stream"}}
    return [
        {"match": {"model": model}, "steps": [head, {"send": {"base64": base64.b64encode(body).decode()}}]}
        for model, body in bodies.items()
    ]


def ask(stage: Stage, door: Door, bodies: dict[str, bytes]) -> list[Reply]:
    stage.upstream.script(*script(bodies), keep_alive=False)
    # Usage is asked for, so that no event is left out.
    options = {"include_usage": True}
    return [
        each.reply
        for each in ask_many(door, [chat(f"up/{model}", stream=True, stream_options=options) for model in bodies])
    ]


def made_up(reply: Reply, sent: bytes) -> list[str]:
    """What the client got that the upstream did not send; an end that is none."""
    if reply.status != 200:
        kind = reply.headers.get("content-type")
        fine = 400 <= reply.status < 600 and kind == "application/json" and reply.error["code"] is not None
        return [] if fine else [f"{reply.status} {kind} {reply.body[:100]!r}"]
    wrong = [] if reply.whole else ["the transport broke"]
    body = reply.body
    if body and not sent.startswith(body):
        # An error event of ours, and the blank line that a last event lacked.
        body, _, last = body.rstrip(b"\n").rpartition(b"\n\n")
        last_event = events(last + b"\n\n")
        if not last_event or "error" not in last_event[-1]:
            body = reply.body
        elif "[DONE]" in events(body):
            wrong.append("an error event after [DONE]")
    if not sent.startswith(body.rstrip(b"\r\n")):
        wrong.append(f"not what was sent: …{body[-200:]!r}")
    return wrong


def class_of(reply: Reply) -> Class:
    if reply.status != 200:
        return Class.NONE
    seen = events(reply.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    error_came = any(isinstance(event, dict) and event.get("error") for event in seen)
    return Class.BROKEN if error_came or b'"oops"' in reply.body else Class.WHOLE


def test_there_are_enough_of_them() -> None:
    assert len(CRAFTED) >= 100
    assert len({name for name, _, _ in CRAFTED}) == len(CRAFTED)


def test_every_bad_stream_ends_as_what_it_is(stage: Stage, door: Door) -> None:
    replies = ask(stage, door, {f"crafted-{at}": body for at, (_, body, _) in enumerate(CRAFTED)})
    wrong = []
    for (name, body, kind), reply in zip(CRAFTED, replies, strict=True):
        seen = class_of(reply)
        if seen is not kind:
            wrong.append(f"{name}: {seen} instead of {kind}: {reply.status} {reply.body[-200:]!r}")
        if kind is not Class.NONE and text_of(events(body)) and not text_of(events(reply.body)):
            wrong.append(f"{name}: no word came")
        wrong += [f"{name}: {what}" for what in made_up(reply, body)]
    assert not wrong, "\n".join(wrong)
    assert stage.counts.panics == 0


def mutated(dice: random.Random) -> bytes:
    """A good stream after one to five accidents."""
    body = bytearray((ROLE + "".join(chunk(f"word-{n} ") for n in range(8)) + END + USAGE + DONE).encode())
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(len(body))
        to = min(len(body), at + dice.choice([1, 2, 8, 64, 400]))
        match dice.randrange(7):
            case 0:
                body[at] = dice.randrange(256)
            case 1:
                del body[at:to]
            case 2:
                body[at:at] = body[at:to]
            case 3:
                body[at:at] = dice.choice(
                    [b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"\x00", b"data:", b":", b"\xef\xbb\xbf"]
                )
            case 4:
                body[at:at] = dice.choice(SIGNS)
            case 5:
                del body[at:]
            case _:
                body[at:to] = bytes(dice.randbytes(to - at))
        if not body:
            break
    return bytes(body)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_accident_makes_up_words_or_an_end(count: int, stage: Stage, door: Door) -> None:
    dice = random.Random(count)
    for start in range(0, count, 1_000):
        bodies = {f"chance-{start + n}": mutated(dice) for n in range(min(1_000, count - start))}
        replies = ask(stage, door, bodies)
        wrong = [
            f"{model} of seed {count}: {what}"
            for (model, body), reply in zip(bodies.items(), replies, strict=True)
            for what in made_up(reply, body)
        ]
        assert wrong == []
    after = stage.counts
    assert after.panics == 0
    assert after.in_flight == 0
