"""The features that the page of parity has a row for, each with what is said and what must be found again."""

import json
from typing import Any

from fastroute import core
from parity.feature import ABSENT, Feature, answered, asked, returned, streamed

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": SCHEMA}}
    for name in ("weather", "clock")
]
NAMED = {"type": "function", "function": {"name": "clock"}}


def call(number: int, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": '{"city":"Oslo"}'}
    return {"id": f"call_{number:024}", "type": "function", "function": function}


def part(kind: str, **inner: Any) -> list[dict[str, Any]]:
    content = [{"type": "text", "text": "look"}, {"type": kind, kind: inner}]
    return [{"role": "user", "content": content}]


def has(text: str) -> Any:
    return lambda request: text in json.dumps(request["messages"])


def joined(events: list[core.StreamEvent], kind: str) -> str:
    return "".join(event.text for event in events if event.kind == kind)


LOOP = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [call(1, "weather"), call(2, "clock")]},
    {"role": "tool", "tool_call_id": call(1, "")["id"], "content": "rain"},
    {"role": "tool", "tool_call_id": call(2, "")["id"], "content": "noon"},
    {"role": "user", "content": "and now?"},
]
THOUGHT = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"},
            {"type": "text", "text": "Hello"},
        ],
    },
    {"role": "user", "content": "go on"},
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
AS_TEXT = "as text"
ALONE = "offered alone, and one required"


def _calls(request: dict[str, Any]) -> bool:
    told = json.dumps(request["messages"])
    return all(word in told for word in ("weather", "clock", "Oslo", "rain", "noon"))


def _named(choice: core.ReplyChoice, *names: str) -> bool:
    return [call.name for call in choice.tool_calls] == list(names) and "Oslo" in choice.tool_calls[-1].arguments


def _streamed_calls(events: list[core.StreamEvent]) -> bool:
    return [event.name for event in events if event.kind == "tool_call"] == ["weather", "clock"]


FEATURES = (
    Feature("text", answered(kept=lambda choice, _: choice.text == "Hello")),
    Feature(
        "streaming",
        streamed({"content": "Hel"}, {"content": "lo"}, kept=lambda events: joined(events, "text") == "Hello"),
    ),
    Feature(
        "system text",
        asked("messages", messages=[{"role": "system", "content": "be kind"}, *LOOP[:1]], kept=has("be kind")),
    ),
    Feature("tools", asked("tools", tools=TOOLS, kept=lambda request: len(request.get("tools") or []) == 2)),
    Feature("calls and their results in the history", asked("messages", tools=TOOLS, messages=LOOP, kept=_calls)),
    Feature(
        "a call", answered(content=None, tool_calls=[call(1, "clock")], kept=lambda choice, _: _named(choice, "clock"))
    ),
    Feature(
        "parallel calls",
        answered(
            content=None,
            tool_calls=[call(1, "weather"), call(2, "clock")],
            kept=lambda choice, _: _named(choice, "weather", "clock"),
        ),
    ),
    Feature(
        "parallel calls, streamed",
        streamed(
            {"tool_calls": [{"index": at, **call(at, name)} for at, name in enumerate(("weather", "clock"))]},
            kept=_streamed_calls,
        ),
    ),
    Feature(
        "no parallel calls, please",
        asked(
            "parallel_tool_calls",
            tools=TOOLS,
            parallel_tool_calls=False,
            kept=lambda request: request.get("parallel_tool_calls") is False,
        ),
    ),
    Feature(
        "tool choice: required",
        asked(
            "tool_choice",
            tools=TOOLS,
            tool_choice="required",
            kept=lambda request: request.get("tool_choice") == "required",
        ),
    ),
    Feature(
        "tool choice: one by name",
        asked("tool_choice", tools=TOOLS, tool_choice=NAMED, kept=lambda request: request.get("tool_choice") == NAMED),
        {"cohere_v2": ALONE, "ollama": "offered alone"},
    ),
    Feature(
        "tool choice: none",
        asked(
            "tool_choice", tools=TOOLS, tool_choice="none", kept=lambda request: request.get("tool_choice") == "none"
        ),
        {"ollama": "none offered", "bedrock_converse": "none offered"},
    ),
    Feature(
        "how much to reason",
        asked("reasoning", reasoning_effort="high", kept=lambda request: request.get("reasoning_effort") == "high"),
    ),
    Feature("reasoning", answered(reasoning_content="hm", kept=lambda choice, _: choice.reasoning == "hm")),
    Feature(
        "reasoning, streamed",
        streamed(
            {"reasoning_content": "hm"}, {"content": "Hello"}, kept=lambda events: joined(events, "reasoning") == "hm"
        ),
    ),
    Feature(
        "signatures of reasoning",
        asked("messages", source="anthropic_messages", messages=THOUGHT, kept=has("c2lnbmVk")),
    ),
    Feature(
        "pictures", asked("messages", messages=part("image_url", url=f"data:image/png;base64,{PIXEL}"), kept=has(PIXEL))
    ),
    Feature(
        "pictures in an answer",
        returned(
            images=[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}],
            kept=lambda message: PIXEL in json.dumps(message.get("images")),
        ),
        {"anthropic_messages": "told in words", "cohere_v2": "told in words"},
    ),
    Feature(
        "links in an answer",
        returned(
            annotations=[
                {
                    "type": "url_citation",
                    "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5},
                }
            ],
            kept=lambda message: "https://a.example" in json.dumps(message.get("annotations")),
        ),
        {"ollama": ABSENT},
    ),
    Feature(
        "sound", asked("messages", messages=part("input_audio", data="UklGRg==", format="wav"), kept=has("UklGRg=="))
    ),
    Feature(
        "files",
        asked(
            "messages",
            messages=part("file", filename="a.pdf", file_data="data:application/pdf;base64,JVBERi0="),
            kept=has("JVBERi0="),
        ),
    ),
    Feature(
        "structured output",
        asked(
            "response_format",
            response_format=FORMAT,
            kept=lambda request: "city" in json.dumps(request.get("response_format")),
        ),
    ),
    Feature("usage", answered(kept=lambda _, usage: (usage.prompt_tokens, usage.completion_tokens) == (10, 8))),
    Feature(
        "cached tokens",
        answered(usage={"prompt_tokens_details": {"cached_tokens": 4}}, kept=lambda _, usage: usage.cached_tokens == 4),
        {"ollama": ABSENT},
    ),
    Feature(
        "reasoning tokens",
        answered(
            usage={"completion_tokens_details": {"reasoning_tokens": 4}},
            kept=lambda _, usage: usage.reasoning_tokens == 4,
        ),
        {"ollama": ABSENT, "cohere_v2": ABSENT, "bedrock_converse": ABSENT},
    ),
    Feature(
        "log probabilities", asked("logprobs", logprobs=True, kept=lambda request: request.get("logprobs") is True)
    ),
    Feature("several choices (`n`)", asked("n", n=2, kept=lambda request: request.get("n") == 2)),
    Feature("stop sequences", asked("stop", stop=["END"], kept=lambda request: "END" in (request.get("stop") or []))),
    Feature("seed", asked("seed", seed=7, kept=lambda request: request.get("seed") == 7)),
    Feature(
        "refusal",
        answered(content=None, refusal="I will not", kept=lambda choice, _: choice.refusal == "I will not"),
        {
            "anthropic_messages": AS_TEXT,
            "gemini": AS_TEXT,
            "cohere_v2": AS_TEXT,
            "ollama": AS_TEXT,
            "bedrock_converse": AS_TEXT,
        },
    ),
    Feature(
        "an error in a stream",
        streamed(
            {"content": "Hel"},
            {"error": {"message": "no more", "type": "server_error", "code": "x"}},
            kept=lambda events: events[-1].error is not None and "no more" in events[-1].error.message,
        ),
    ),
)
