"""What a request asks for, read from its form as chat, and the words by which a notice names each part of it.

A request that goes through a dialect and back to chat asks for what it asked for directly, or the notices of the way
(`dropped`, `changed`) name what is gone. Texts are never shown: they are people's.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from fastroute import core

PARTS: dict[str, tuple[str, ...]] = {
    "conversation": ("messages", "systemInstruction", "instructions", "input", "contents", "system"),
    "tools": ("tools", "toolConfig"),
    "tool_choice": ("tool_choice", "toolConfig", "tools"),
    "parallel_tool_calls": ("parallel_tool_calls", "tool_choice"),
    "response_format": ("response_format", r"output_config\.format", r"generationConfig\.response\w+", r"text\.format"),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", r"generationConfig\.maxOutputTokens"),
    "temperature": ("temperature", r"generationConfig\.temperature"),
    "top_p": ("top_p", "p", r"generationConfig\.topP"),
    "stop": ("stop", "stop_sequences", r"generationConfig\.stopSequences"),
    "seed": ("seed", r"options\.seed", r"generationConfig\.seed"),
    "n": ("n", r"generationConfig\.candidateCount"),
    "frequency_penalty": ("frequency_penalty", r"generationConfig\.frequencyPenalty"),
    "presence_penalty": ("presence_penalty", r"generationConfig\.presencePenalty"),
    "logprobs": ("logprobs", r"generationConfig\.responseLogprobs", "include"),
    "reasoning_effort": (r"reasoning\w*", "thinking", r"output_config\.effort", r"generationConfig\.thinkingConfig"),
}
"""Parts of a request, and what a notice about each of them begins with, in the words of whoever wrote it."""


def asked(chat: bytes) -> dict[str, Any]:
    """The parts of a request in the form of chat."""
    request = json.loads(chat)
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    stop = request.get("stop")
    plain = {name: request.get(name) for name in PARTS if name in request}
    return plain | {
        "conversation": list(_conversation(request)),
        "tools": list(_tools(request)),
        "tool_choice": _choice(request),
        # None is what there is without a word, too.
        **{name: request.get(name) or None for name in ("frequency_penalty", "presence_penalty")},
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "response_format": _format(request.get("response_format") or {}),
        "max_tokens": limit,
        "stop": [stop] if isinstance(stop, str) else stop or [],
        "n": request.get("n") or 1,
        "logprobs": bool(request.get("logprobs")),
        "reasoning_effort": None if (effort := request.get("reasoning_effort")) == "none" else effort,
    }


def _choice(request: dict[str, Any]) -> Any:
    """Some say it in chat as Anthropic's clients do."""
    choice = request.get("tool_choice") or ("auto" if request.get("tools") else None)
    if isinstance(choice, dict) and choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return "required" if choice == "any" else choice


MEDIA = {"image_url", "input_audio", "file"}
OTHER_WORDS = {"document_url": "file", "video_url": "file"}
"""Parts that some servers have a word of their own for."""
BEHIND = "(seethenextmessage)"
"""What a result says of which nothing else is left where it is."""


def is_unsaid_in_chat(chat: bytes, target: str) -> bool:
    """Whether a request in the form of chat has parts that chat as it is published has not when they come back."""
    contents = [message.get("content") for message in json.loads(chat).get("messages") or []]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    # An address alone does not tell Gemini a picture from a file, and chat takes no address of a file.
    pictures = [part for part in parts if part.get("type") == "image_url" and _medium(part).startswith("http")]
    return any(part.get("type") in OTHER_WORDS for part in parts) or (target == "gemini" and bool(pictures))


def _conversation(request: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Who says what, in order; texts of one speaker in a row are one, and no text is nothing."""
    for who, *what in _turns(request):
        if what == [""] or (who == "tool" and what == [BEHIND]):
            continue
        # Pictures that a tool gave are shown by the user where results are text.
        yield ("user" if who == "tool" and what[0] in MEDIA else who, *what)


def _turns(request: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    last: list[str] | None = None
    role = ""
    for message in request["messages"]:
        spoken = {"developer": "system"}.get(message["role"], message["role"])
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        for part in parts:
            text = part.get("text")
            if part.get("type") == "text" and isinstance(text, str):
                if last is not None and role == spoken:
                    last.append(text)
                    continue
                if last:
                    yield role, _squeezed(last)
                last, role = [text], spoken
                continue
            if last:
                yield role, _squeezed(last)
            last = None
            kind = str(part.get("type"))
            yield spoken, OTHER_WORDS.get(kind, kind), _medium(part)
        for call in message.get("tool_calls") or []:
            if last:
                yield role, _squeezed(last)
            last = None
            function = call.get("function") or {}
            yield spoken, "call", function.get("name"), _value(function.get("arguments"))
    if last:
        yield role, _squeezed(last)


def _medium(part: dict[str, Any]) -> str:
    """Bytes or address of a picture, a sound or a file, whatever stands around them."""
    inner = part.get(str(part.get("type"))) or {}
    if isinstance(inner, str):
        return inner.rpartition(",")[2]
    found = [inner.get(name) for name in ("url", "data", "file_data", "file_id") if isinstance(inner, dict)]
    return next((each for each in found if each), json.dumps(part, sort_keys=True)).rpartition(",")[2]


def _squeezed(texts: list[str]) -> str:
    """How blocks are joined, and what stands around them, says nothing."""
    return re.sub(r"\s+", "", "".join(texts))


def _value(arguments: Any) -> Any:
    try:
        return json.loads(arguments or "{}") or {}
    except (TypeError, ValueError):
        return arguments


def _tools(request: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for tool in request.get("tools") or []:
        function = tool.get("function") or {}
        parameters = function.get("parameters") or {}
        properties = parameters.get("properties") or {} if isinstance(parameters, dict) else {}
        yield tool.get("type"), function.get("name"), function.get("description") or "", sorted(properties)


def _format(wanted: dict[str, Any]) -> tuple[Any, ...]:
    schema = (wanted.get("json_schema") or {}).get("schema") or {}
    kind = wanted.get("type") or "text"
    return kind, sorted(schema.get("properties") or {})


ASKED_FOR = "AnswerwithoneJSONobjectandnothingelse."
"""What is said among the instructions where a target has no word for it, and named."""


def _without_asking(conversation: list[Any], notices: list[str]) -> list[Any]:
    if not any(re.match(word, notice) for notice in notices for word in PARTS["response_format"]):
        return conversation
    said = [
        (piece[0], piece[1].replace(ASKED_FOR, "")) if len(piece) == 2 and isinstance(piece[1], str) else piece
        for piece in conversation
    ]
    return [piece for piece in said if piece[1:] != ("",)]


def missing(body: bytes, source: str, target: str) -> Iterator[str]:
    """Parts that are other on the way back from `target`, and that no notice names."""
    here = asked(core.translate_request(body, source, "openai_chat").body)
    there = core.translate_request(body, source, target)
    back = asked(core.translate_request(there.body, target, "openai_chat").body)
    notices = [*there.dropped, *there.changed]
    # Tools that the history calls are declared where the target wants them so; nobody is to call them.
    # Without tools, how many are called at once says nothing.
    added = {"tools", "tool_choice", "parallel_tool_calls"} if not here["tools"] else set[str]()
    back["tools"] = [tool for tool in back["tools"] if tool in here["tools"]]
    for part, words in PARTS.items():
        before, after = here.get(part), back.get(part)
        if part == "conversation":
            before, after = (
                _as_told_in(target, before or []),
                _as_told_in(target, _without_asking(after or [], notices)),
            )
        # Anthropic wants a limit, so it is told one; and a wish that stood elsewhere is said in the usual place.
        limited = part == "max_tokens" and before is None and target == "anthropic_messages"
        wished = part == "reasoning_effort" and before is None
        if before == after or limited or wished or part in added or (target, part) in LOSSES:
            continue
        if not any(re.match(rf"{word}\b", notice) for notice in notices for word in words):
            yield part


def _as_told_in(target: str, conversation: list[Any]) -> list[Any]:
    """A conversation as it can be told in a dialect that orders it otherwise."""
    if target == "cohere_v2":
        # What is said beside calls is the plan for them, which is reasoning.
        behind = [*conversation[1:], ("", "")]
        pairs = zip(conversation, behind, strict=True)
        return [each for each, after in pairs if not (each[0] == "assistant" and after[:2] == ("assistant", "call"))]
    if target == "ollama":
        # Pictures stand beside the text of their message.
        pictures = [each for each in conversation if each[1] == "image_url"]
        texts = "".join(each[1] for each in conversation if len(each) == 2)
        return [texts, *pictures, *(each for each in conversation if len(each) > 2 and each not in pictures)]
    if target == "gemini":
        # An address alone does not tell a picture from a file.
        return [
            (who, "", *rest) if rest and kind in {"image_url", "file"} else (who, kind, *rest)
            for who, kind, *rest in conversation
        ]
    return conversation


LOSSES = {
    ("cohere_v2", "tool_choice"): "one tool by name is the only one that is offered, and one is required",
    ("cohere_v2", "tools"): "one tool by name is the only one that is offered, and one is required",
    ("ollama", "tool_choice"): "one tool by name is the only one that is offered; where none may be called, none is",
    ("ollama", "tools"): "one tool by name is the only one that is offered; where none may be called, none is",
    ("gemini", "reasoning_effort"): "levels of reasoning, the highest of which is high",
    ("ollama", "reasoning_effort"): "levels of reasoning, the highest of which is high",
}
"""Dialect of the target, what is said otherwise there, and how."""
