"""Official SDKs of other dialects, unchanged, before servers that speak chat alone: llama.cpp and the echo."""

import json
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import OpenAI

from clients.conftest import Gateway

TINY = "local/tiny"
ECHO = "mock/echo"
QUESTION = "Tell me a story"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture
def claude(gateway: Gateway, door: str) -> Anthropic:
    return Anthropic(base_url=gateway.doors[door], api_key="unused", max_retries=0, timeout=30)


@pytest.fixture
def gpt(gateway: Gateway, door: str) -> OpenAI:
    return OpenAI(base_url=f"{gateway.doors[door]}/v1", api_key="unused", max_retries=0, timeout=30)


@pytest.fixture
def gemini(gateway: Gateway, door: str) -> genai.Client:
    return genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=gateway.doors[door], timeout=30_000))


def reference(gpt: OpenAI) -> tuple[str, int, int]:
    """What llama.cpp says to the same question over chat."""
    reply = gpt.chat.completions.create(
        model=TINY, messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=24
    )
    assert reply.usage is not None
    return reply.choices[0].message.content or "", reply.usage.prompt_tokens, reply.usage.completion_tokens


def test_anthropics_sdk_hears_what_chat_says(claude: Anthropic, gpt: OpenAI) -> None:
    text, read, written = reference(gpt)
    asked: dict[str, Any] = {"model": TINY, "max_tokens": 24, "messages": [{"role": "user", "content": QUESTION}]}
    message = claude.messages.create(**asked, extra_body={"temperature": 0})
    assert [block.type for block in message.content] == ["text"]
    assert "".join(block.text for block in message.content if block.type == "text") == text
    assert message.stop_reason == "max_tokens"
    # What llama.cpp read from its cache is told apart, as Anthropic does.
    usage = message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == read
    assert usage.output_tokens == written
    with claude.messages.stream(**asked, extra_body={"temperature": 0}) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == text
    assert len(pieces) > 10
    assert final.stop_reason == "max_tokens"


def test_openais_responses_hear_what_chat_says(gpt: OpenAI) -> None:
    text, read, written = reference(gpt)
    asked: dict[str, Any] = {"model": TINY, "input": QUESTION, "temperature": 0, "max_output_tokens": 24}
    response = gpt.responses.create(**asked)
    assert response.output_text == text
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (read, written)
    with gpt.responses.stream(**asked) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response() if "completed" in str(response.status) else None
    assert "".join(pieces) == text
    assert final is None


def test_googles_sdk_hears_what_chat_says(gemini: genai.Client, gpt: OpenAI) -> None:
    text, read, written = reference(gpt)
    config = types.GenerateContentConfig(temperature=0, max_output_tokens=24)
    reply = gemini.models.generate_content(model=TINY, contents=QUESTION, config=config)
    assert reply.text == text
    assert reply.candidates is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.prompt_token_count == read
    assert reply.usage_metadata.candidates_token_count == written
    pieces = [
        piece.text or ""
        for piece in gemini.models.generate_content_stream(model=TINY, contents=QUESTION, config=config)
    ]
    assert "".join(pieces) == text
    assert len(pieces) > 10


def test_anthropics_sdk_calls_tools(claude: Anthropic) -> None:
    asked: dict[str, Any] = {
        "model": ECHO,
        "max_tokens": 100,
        "tools": [{"name": "plan_trip", "description": "Plans.", "input_schema": CITY}],
        "tool_choice": {"type": "tool", "name": "plan_trip"},
    }
    question = {"role": "user", "content": "Where to?"}
    message = claude.messages.create(**asked, messages=[question])
    assert message.stop_reason == "tool_use"
    (call,) = (block for block in message.content if block.type == "tool_use")
    assert (call.name, call.input) == ("plan_trip", {"city": "Oslo"})
    with claude.messages.stream(**asked, messages=[question]) as stream:
        final = stream.get_final_message()
    (streamed,) = (block for block in final.content if block.type == "tool_use")
    assert (streamed.name, streamed.input) == ("plan_trip", {"city": "Oslo"})
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "booked"}]}
    history = [question, {"role": "assistant", "content": [call.model_dump()]}, result]
    answer = claude.messages.create(**{**asked, "tool_choice": {"type": "none"}}, messages=history)
    assert answer.content[0].type == "text"


def test_openais_responses_call_tools(gpt: OpenAI) -> None:
    tools: list[Any] = [{"type": "function", "name": "plan_trip", "parameters": CITY, "strict": True}]
    choice: Any = {"type": "function", "name": "plan_trip"}
    response = gpt.responses.create(model=ECHO, input="Where to?", tools=tools, tool_choice=choice)
    (call,) = (item for item in response.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("plan_trip", {"city": "Oslo"})
    asked: Any = {"role": "user", "content": "Where to?"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "booked"}
    again = gpt.responses.create(model=ECHO, input=[asked, call.to_dict(), result], tools=tools)
    assert again.output_text


def test_googles_sdk_calls_tools(gemini: genai.Client) -> None:
    schema = {name: value for name, value in CITY.items() if name != "additionalProperties"}
    declared = types.FunctionDeclaration(name="plan_trip", description="Plans.", parameters_json_schema=schema)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    reply = gemini.models.generate_content(model=ECHO, contents="Where to?", config=config)
    assert reply.function_calls is not None
    (call,) = reply.function_calls
    assert (call.name, call.args) == ("plan_trip", {"city": "Oslo"})


def test_each_sdk_raises_its_own_error(claude: Anthropic, gpt: OpenAI, gemini: genai.Client) -> None:
    question: Any = [{"role": "user", "content": QUESTION}]
    with pytest.raises(anthropic.NotFoundError) as refused:
        claude.messages.create(model="nobody/knows", max_tokens=5, messages=question)
    assert refused.value.request_id
    with pytest.raises(openai.NotFoundError) as missing:
        gpt.responses.create(model="nobody/knows", input=QUESTION)
    assert missing.value.code == "model_not_found"
    with pytest.raises(genai.errors.ClientError) as unknown:
        gemini.models.generate_content(model="nobody/knows", contents=QUESTION)
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
