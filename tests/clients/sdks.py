"""What the official SDKs make of an answer, as a reply and as a stream: each tells what was said.

One rule: values come from the SDK's own objects, never from the bytes.
"""

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import errors, types

from contract.said import Choice, Said, Usage

REFUSED = (openai.APIError, anthropic.APIError, errors.APIError)
"""What the SDKs raise where a stream or a reply is an error."""

OTHER_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
GEMINI_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}


class ChatSdk:
    def __init__(self, address: str) -> None:
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)
        self._asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

    def reply(self) -> Said:
        reply = self._client.chat.completions.create(**self._asked)
        choices = {}
        for choice in reply.choices:
            message = choice.message
            reasoning = (message.model_extra or {}).get("reasoning_content") or ""
            calls = [_chat_call(call) for call in message.tool_calls or []]
            choices[choice.index] = Choice(
                message.content or "", reasoning, message.refusal or "", calls, choice.finish_reason
            )
        return Said(choices, _chat_usage(reply.usage))

    def stream(self) -> Said:
        choices: dict[int, Choice] = {}
        calls: dict[tuple[int, int], list[str]] = {}
        usage = None
        for chunk in self._client.chat.completions.create(**self._asked, stream=True):
            usage = _chat_usage(chunk.usage) or usage
            for told in chunk.choices:
                choice = choices.setdefault(told.index, Choice())
                choice.text += told.delta.content or ""
                choice.refusal += told.delta.refusal or ""
                choice.reasoning += (told.delta.model_extra or {}).get("reasoning_content") or ""
                choice.finish = told.finish_reason or choice.finish
                for call in told.delta.tool_calls or []:
                    pieces = calls.setdefault((told.index, call.index), ["", ""])
                    # Free calls have no published chunk: the SDK keeps what it does not know as it came.
                    free = (call.model_extra or {}).get("custom") or {}
                    pieces[0] += (call.function and call.function.name) or free.get("name") or ""
                    pieces[1] += (call.function and call.function.arguments) or free.get("input") or ""
        for (number, _), (name, arguments) in calls.items():
            choices[number].calls.append((name, _value(arguments)))
        return Said(choices, usage)


def _chat_call(call: Any) -> tuple[str, Any]:
    if call.type == "custom":
        return call.custom.name, _value(call.custom.input)
    return call.function.name, _value(call.function.arguments)


def _chat_usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    read, written = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        (read and read.cached_tokens) or 0,
        (read and getattr(read, "cache_write_tokens", 0)) or 0,
        (written and written.reasoning_tokens) or 0,
    )


class ResponsesSdk:
    def __init__(self, address: str) -> None:
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)

    def reply(self) -> Said:
        return _response(self._client.responses.create(model="m", input="hi"))

    def stream(self) -> Said:
        text = refusal = ""
        last: Any = None
        with self._client.responses.stream(model="m", input="hi") as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.refusal.delta":
                    refusal += event.delta
                elif event.type in {"response.completed", "response.incomplete", "response.failed"}:
                    last = event
                elif event.type == "error":
                    raise openai.APIError("an error event", request=None, body=None)  # pyright: ignore[reportArgumentType]
        if last is None or last.type == "response.failed":
            raise openai.APIError("a response that failed", request=None, body=None)  # pyright: ignore[reportArgumentType]
        said = _response(last.response)
        assert (said.choices[0].text, said.choices[0].refusal) == (text, refusal), "the deltas are not the response"
        return said


def _response(response: Any) -> Said:
    choice = Choice()
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                choice.text += part.text if part.type == "output_text" else ""
                choice.refusal += part.refusal if part.type == "refusal" else ""
        elif item.type == "reasoning":
            choice.reasoning += "".join(part.text for part in item.content or item.summary)
        elif item.type == "function_call":
            choice.calls.append((item.name, _value(item.arguments)))
        elif item.type == "custom_tool_call":
            choice.calls.append((item.name, _value(item.input)))
    reason = response.incomplete_details and response.incomplete_details.reason
    finishes = {"max_output_tokens": "length", "content_filter": "content_filter", None: "stop"}
    if response.status in {"completed", "incomplete"}:
        choice.finish = "tool_calls" if choice.calls and reason is None else finishes[reason]
    usage = response.usage
    counts = usage and Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        getattr(usage.input_tokens_details, "cache_write_tokens", None) or 0,
        usage.output_tokens_details.reasoning_tokens,
    )
    return Said({0: choice}, counts)


class AnthropicSdk:
    def __init__(self, address: str) -> None:
        self._client = anthropic.Anthropic(base_url=address, api_key="unused", max_retries=0)
        self._asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}

    def reply(self) -> Said:
        return _message(self._client.messages.create(**self._asked))

    def stream(self) -> Said:
        with self._client.messages.stream(**self._asked) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        said = _message(message)
        assert said.choices[0].text == text, "the deltas are not the message"
        return said


def _message(message: Any) -> Said:
    choice = Choice()
    for block in message.content:
        match block.type:
            case "text":
                choice.text += block.text
            case "thinking":
                choice.reasoning += block.thinking
            case "tool_use":
                choice.calls.append((block.name, block.input))
    choice.finish = OTHER_FINISHES.get(message.stop_reason, message.stop_reason)
    choice.refusal = (message.stop_details and message.stop_details.explanation) or ""
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    reasoned = (details and details.thinking_tokens) or 0
    return Said({0: choice}, Usage(usage.input_tokens + read + written, usage.output_tokens, read, written, reasoned))


class GeminiSdk:
    def __init__(self, address: str) -> None:
        # Its connections close with the client, so it is kept.
        self._client = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=address))

    def reply(self) -> Said:
        return _contents([self._client.models.generate_content(model="m", contents="hi")])

    def stream(self) -> Said:
        return _contents(self._client.models.generate_content_stream(model="m", contents="hi"))


def _contents(chunks: Iterable[types.GenerateContentResponse]) -> Said:
    choices: dict[int, Choice] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.usage_metadata or usage
        for candidate in chunk.candidates or []:
            choice = choices.setdefault(candidate.index or 0, Choice())
            for part in (candidate.content and candidate.content.parts) or []:
                if part.function_call is not None:
                    choice.calls.append((part.function_call.name or "", part.function_call.args or {}))
                elif part.thought:
                    choice.reasoning += part.text or ""
                else:
                    choice.text += part.text or ""
            if candidate.finish_reason is not None:
                choice.finish = GEMINI_FINISHES.get(candidate.finish_reason.value, candidate.finish_reason.value)
    for choice in choices.values():
        if choice.calls and choice.finish == "stop":
            choice.finish = "tool_calls"
    counts = usage and Usage(
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        usage.cached_content_token_count or 0,
        0,
        usage.thoughts_token_count or 0,
    )
    return Said(choices, counts)


def _value(arguments: str) -> Any:
    if arguments.strip() in {"", "null"}:
        return {}
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


SDKS = {
    "openai_chat": ChatSdk,
    "openai_responses": ResponsesSdk,
    "anthropic_messages": AnthropicSdk,
    "gemini": GeminiSdk,
}
