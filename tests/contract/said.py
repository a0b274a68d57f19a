"""What an answer says, in one form for replies and streams of every dialect, and which differences are known losses."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fastroute import core


@dataclass
class Choice:
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Name and arguments of each, as a value where they are JSON."""
    finish: str | None = None


class Usage(NamedTuple):
    prompt: int
    completion: int
    cached: int
    written: int
    reasoned: int


class Said(NamedTuple):
    choices: dict[int, Choice]
    usage: Usage | None
    failed: bool = False
    """It ended in an error, or broke off before every choice had finished."""


LOSSES: dict[tuple[str, str], str] = {
    ("anthropic_messages", "refusal"): "has no block for a refusal: it is told as text",
    ("anthropic_messages", "choices"): "has one choice",
    ("anthropic_messages", "usage of nothing"): "requires two counts: where nothing was told they are zero",
    ("anthropic_messages", "arguments"): "has objects alone for the input of a tool: free text is a member of one",
    ("openai_responses", "choices"): "a response is one choice, never none and never two",
    ("openai_responses", "no finish"): "a response has a status; one that came whole is completed",
    ("gemini", "refusal"): "a refusal is text, because there is nothing else to say it as",
    ("gemini", "cache writes"): "cache writes have no count",
    ("cohere_v2", "choices"): "a reply is one message, no more and no less",
    ("cohere_v2", "refusal"): "a refusal is text like any other",
    ("cohere_v2", "cache writes"): "usage counts what was read from a cache alone",
    ("ollama", "choices"): "a reply is one message, no more and no less",
    ("ollama", "refusal"): "a refusal is text like any other",
    ("ollama", "usage of zero"): "counts of nothing are not told",
    ("ollama", "cache writes"): "usage is two counts without details",
    ("ollama", "usage details"): "usage is two counts without details",
    ("ollama", "arguments"): "arguments are an object, so free text is a string in one",
    ("ollama", "finish"): "there is a word for an end and one for a length",
}
"""Dialect of the client, what is lost, and why. A difference that is not here is a failure."""


def value_of(arguments: str) -> Any:
    # Servers say in three ways that a call has no arguments.
    if arguments.strip() in {"", "null"}:
        return {}
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _usage(usage: core.ReplyUsage | None) -> Usage | None:
    if usage is None:
        return None
    counted = Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens or 0,
        usage.cache_write_tokens or 0,
        usage.reasoning_tokens or 0,
    )
    assert usage.total_tokens == counted.prompt + counted.completion, usage
    assert counted.cached + counted.written <= counted.prompt, usage
    assert counted.reasoned <= counted.completion, usage
    return counted


def said_in_reply(reply: core.ParsedReply) -> Said:
    choices = {
        choice.index: Choice(
            choice.text,
            choice.reasoning,
            choice.refusal,
            [(call.name, value_of(call.arguments)) for call in choice.tool_calls],
            choice.finish,
        )
        for choice in reply.choices
    }
    return Said(choices, _usage(reply.usage))


def said_in_stream(events: Iterable[core.StreamEvent]) -> Said:
    choices: dict[int, Choice] = {}
    calls: dict[tuple[int, int | None], list[str]] = {}
    usage: Usage | None = None
    failed = False
    for event in events:
        if event.kind in {"start", "usage", "error", "done"}:
            usage = _usage(event.usage) or usage
            failed |= event.kind == "error"
            continue
        choice = choices.setdefault(event.choice, Choice())
        match event.kind:
            case "text":
                choice.text += event.text
            case "reasoning":
                choice.reasoning += event.text
            case "refusal":
                choice.refusal += event.text
            case "tool_call":
                calls[event.choice, event.call] = [event.name]
            case "arguments":
                calls[event.choice, event.call].append(event.text)
            case "finish":
                choice.finish = event.finish
    for (number, _), (name, *pieces) in calls.items():
        choices[number].calls.append((name, value_of("".join(pieces))))
    broken = not choices or any(choice.finish is None for choice in choices.values())
    return Said(choices, usage, failed or broken)


def read_stream(dialect: str, pieces: Iterable[bytes]) -> Said:
    reader = core.StreamReader(dialect)
    return said_in_stream([event for piece in pieces for event in reader.push(piece)] + reader.finish())


def differences(there: Said, here: Said) -> Iterator[tuple[str, str]]:
    """What of `here`, said in its own dialect, is otherwise `there`: its word in LOSSES, and how it differs.

    Texts are never shown: they are people's.
    """
    if there.failed or here.failed:
        if there.failed != here.failed:
            yield "error", f"failed: {there.failed}, was {here.failed}"
        return
    if len(there.choices) != len(here.choices):
        yield "choices", f"{len(there.choices)} choices, were {len(here.choices)}"
    for number, choice in here.choices.items():
        if number in there.choices:
            yield from _of_choice(there.choices[number], choice)
    yield from _of_usage(there.usage, here.usage)


SHOWN_IN_WORDS = re.compile(r"\n(\(here was .*? cannot show\)|!\[image\]\(.*?\))\n")
"""What is said of a picture where there is no place for one."""


def _of_choice(there: Choice, here: Choice) -> Iterator[tuple[str, str]]:
    there, here = (replace(each, text=SHOWN_IN_WORDS.sub("", each.text)) for each in (there, here))
    # An empty line between two blocks is how some dialects join them.
    if there.reasoning.replace("\n\n", "") != here.reasoning.replace("\n\n", ""):
        yield "reasoning", f"{len(there.reasoning)} characters, were {len(here.reasoning)}"
    if here.refusal and (there.text, there.refusal) != (here.text, here.refusal):
        kept = there.text.replace("\n", "") == (here.text + here.refusal).replace("\n", "")
        yield ("refusal", "is text") if kept else ("text", "a refusal is not told")
    elif (there.text, there.refusal) != (here.text, here.refusal):
        yield "text", f"{len(there.text)} characters, were {len(here.text)}"
    if there.calls != here.calls:
        yield ("arguments", "in an object") if _wrapped(there.calls, here.calls) else ("calls", "differ")
    if (there.finish, here.finish) == ("stop", None):
        yield "no finish", "is completed"
    elif there.finish != here.finish:
        yield "finish", f"{there.finish}, was {here.finish}"


def _wrapped(there: list[tuple[str, Any]], here: list[tuple[str, Any]]) -> bool:
    """The calls are the same but for arguments that are no object, or read like text, which are in one."""

    def same(told: tuple[str, Any], was: tuple[str, Any]) -> bool:
        if told == was:
            return True
        if told[0] != was[0] or not isinstance(told[1], dict):
            return False
        if isinstance(was[1], str) and was[1].startswith("{"):
            # A call that was cut off: an SDK makes of it what it can.
            return True
        if len(told[1]) != 1:
            return False
        (inner,) = told[1].values()
        text = was[1].strip() if isinstance(was[1], str) else was[1]
        return inner == text or (isinstance(inner, str) and (inner.strip() == text or value_of(inner) == text))

    return len(there) == len(here) and all(map(same, there, here))


def _of_usage(there: Usage | None, here: Usage | None) -> Iterator[tuple[str, str]]:
    if there == here:
        return
    told = f"{there and tuple(there)}, was {here and tuple(here)}"
    if here is None:
        yield ("usage of nothing" if there is not None and not any(there) else "usage"), told
    elif there is None:
        yield ("usage" if any(here) else "usage of zero"), told
    elif there == here._replace(written=there.written):
        yield "cache writes", told
    elif there == here._replace(written=there.written, cached=there.cached, reasoned=there.reasoned):
        yield "usage details", told
    else:
        yield "usage", told
