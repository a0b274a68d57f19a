"""Another project's mock of many providers behind the gateway: its reading of each dialect against ours."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic, beta_tool
from openai import OpenAI

from clients import trips
from clients.conftest import BIN, HERE, Gateway, Program, serving

# Where the mock has each dialect.
SPEAKS: dict[str, dict[str, str]] = {
    "chat": {"openai_chat": "/v1/chat/completions", "openai_embeddings": "/v1/embeddings"},
    "responses": {"openai_responses": "/v1/responses"},
    "anthropic": {"anthropic_messages": "/v1/messages"},
    "gemini": {"gemini": "/v1beta/models/{model}:generateContent"},
    "bedrock": {"bedrock_converse": "/model/{model}/converse"},
    "cohere": {"cohere_v2": "/v2/chat"},
    "ollama": {"ollama": "/api/chat"},
}
COUNTS = {"chat"}
"""Where the mock reports tokens; elsewhere it says none, or 0."""
QUESTION: list[Any] = [{"role": "user", "content": "How is it?"}]
PLANNING: list[Any] = [{"role": "user", "content": "Where to?"}]
FINE = "It is fine so far."


@pytest.fixture(scope="module")
def mocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has the mock for a provider once for each dialect."""
    argv = [str(BIN / "node"), str(HERE / "aimock.mjs")]
    program = Program(argv, tmp_path_factory.mktemp("aimock"), stdin=subprocess.PIPE)
    with contextlib.closing(program):
        address = program.read_line()
        # A limit that one test meets is not to keep the next one away.
        names = [(name, use) for name in SPEAKS for use in ("asked", "limited")]
        config = {
            "listen": {"port": 0, "edge_port": 0, "admin_port": 0},
            "providers": {name: {"speaks": speaks, "address": address} for name, speaks in SPEAKS.items()},
            "models": {f"{name}-{use}": {"targets": [f"{name}/{use}"]} for name, use in names},
        }
        with serving(json.dumps(config), tmp_path_factory.mktemp("gateway")) as gateway:
            yield gateway


@pytest.fixture(params=list(SPEAKS))
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def gpt(mocked: Gateway, door: str) -> OpenAI:
    return OpenAI(base_url=f"{mocked.doors[door]}/v1", api_key="unused", max_retries=0, timeout=30)


@pytest.fixture
def claude(mocked: Gateway, door: str) -> Anthropic:
    return Anthropic(base_url=mocked.doors[door], api_key="unused", max_retries=0, timeout=30)


def test_the_mock_answers_a_client_of_chat(gpt: OpenAI, provider: str) -> None:
    model = f"{provider}-asked"
    whole = gpt.chat.completions.create(model=model, messages=QUESTION)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (FINE, "stop")
    if provider in COUNTS:
        assert whole.usage is not None
        assert whole.usage.completion_tokens > 0
    chunks = list(gpt.chat.completions.create(model=model, messages=QUESTION, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == FINE
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]


def test_the_mock_answers_a_client_of_messages(claude: Anthropic, provider: str) -> None:
    asked: dict[str, Any] = {"model": f"{provider}-asked", "max_tokens": 100, "messages": QUESTION}
    whole = claude.messages.create(**asked)
    assert [block.text for block in whole.content if block.type == "text"] == [FINE]
    assert whole.stop_reason == "end_turn"
    assert whole.usage.output_tokens > 0 or provider not in COUNTS
    with claude.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == FINE
        assert stream.get_final_message().stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True])
def test_the_mock_has_its_tool_called_by_a_client_of_messages(claude: Anthropic, provider: str, stream: bool) -> None:
    if provider == "anthropic":
        pytest.skip("the mock keeps no threads, and a client that speaks as it does gets its own answer to them")
    asked: dict[str, Any] = {"model": f"{provider}-asked", "max_tokens": 100, "messages": PLANNING}
    tools = [beta_tool(trips.plan_trip)]
    if stream:
        turns = claude.beta.messages.tool_runner(**asked, tools=tools, stream=True)
        *before, last = [turn.get_final_message() for turn in turns]
    else:
        *before, last = list(claude.beta.messages.tool_runner(**asked, tools=tools))
    (call,) = (block for message in before for block in message.content if block.type == "tool_use")
    assert (call.name, call.input) == ("plan_trip", trips.OSLO)
    assert [block.text for block in last.content if block.type == "text"] == [trips.DONE]


@pytest.mark.parametrize("stream", [False, True])
def test_the_mock_has_its_tool_called_by_a_client_of_chat(gpt: OpenAI, provider: str, stream: bool) -> None:
    tools: Any = [openai.pydantic_function_tool(trips.Trip, name="plan_trip")]
    asked: dict[str, Any] = {"model": f"{provider}-asked", "tools": tools}

    def ask(messages: list[Any]) -> Any:
        if not stream:
            return gpt.chat.completions.create(**asked, messages=messages).choices[0]
        with gpt.chat.completions.stream(**asked, messages=messages) as events:
            return events.get_final_completion().choices[0]

    first = ask(PLANNING)
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("plan_trip", trips.OSLO)
    message = {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]}
    result = {"role": "tool", "tool_call_id": call.id, "content": trips.plan_trip(**trips.OSLO)}
    assert ask([*PLANNING, message, result]).message.content == trips.DONE


def test_a_limit_of_the_mock_is_each_clients_own_error(gpt: OpenAI, claude: Anthropic, provider: str) -> None:
    asked: dict[str, Any] = {"model": f"{provider}-limited", "messages": [{"role": "user", "content": "Now!"}]}
    with pytest.raises(openai.RateLimitError):
        gpt.chat.completions.create(**asked)
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(**asked, max_tokens=100)


def test_the_mocks_embeddings_arrive(gpt: OpenAI) -> None:
    first, second = gpt.embeddings.create(model="chat-asked", input=["sea", "mountain"]).data
    assert len(first.embedding) == len(second.embedding)
    assert first.embedding != second.embedding
