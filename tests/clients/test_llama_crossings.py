"""Every client before llama.cpp where it speaks another dialect: each hears word for word what chat says.

One rule: llama.cpp is asked the same every time, without heat, so that what differs was lost between two dialects. One
surprise: it speaks several dialects itself, so that clients of chat cross as well.
"""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from google import genai
from google.genai import types
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from clients.conftest import BIN, HERE, Gateway, Program

QUESTION = "Tell me a story"
TOKENS = 24
KEY = "unused"
KEPT: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": 30}
TARGETS = {"chat": "local/tiny", "messages": "local/messages"}
"""What llama.cpp is asked in, and the model of the gateway's that does so."""

Hear = Callable[[str, str], tuple[str, list[str]]]
"""`hear(url, model)`: what a client hears, whole and in pieces."""


def chat(url: str, model: str) -> tuple[str, list[str]]:
    client = OpenAI(base_url=f"{url}/v1", **KEPT)
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    asked |= {"temperature": 0, "max_tokens": TOKENS}
    whole = client.chat.completions.create(**asked).choices[0].message.content or ""
    chunks = client.chat.completions.create(**asked, stream=True)
    return whole, [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]


def responses(url: str, model: str) -> tuple[str, list[str]]:
    client = OpenAI(base_url=f"{url}/v1", **KEPT)
    asked: dict[str, Any] = {"model": model, "input": QUESTION, "temperature": 0, "max_output_tokens": TOKENS}
    whole = client.responses.create(**asked).output_text
    with client.responses.stream(**asked) as stream:
        return whole, [event.delta for event in stream if event.type == "response.output_text.delta"]


def messages(url: str, model: str) -> tuple[str, list[str]]:
    client = Anthropic(base_url=url, **KEPT)
    asked: dict[str, Any] = {"model": model, "max_tokens": TOKENS, "messages": [{"role": "user", "content": QUESTION}]}
    asked["extra_body"] = {"temperature": 0}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
    return "".join(block.text for block in whole.content if block.type == "text"), pieces


def google(url: str, model: str) -> tuple[str, list[str]]:
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, timeout=30_000))
    asked: dict[str, Any] = {"model": model, "contents": QUESTION}
    asked["config"] = types.GenerateContentConfig(temperature=0, max_output_tokens=TOKENS)
    whole = client.models.generate_content(**asked).text or ""
    return whole, [piece.text or "" for piece in client.models.generate_content_stream(**asked)]


def langchain(of: Callable[[str, str], BaseChatModel]) -> Hear:
    def hear(url: str, model: str) -> tuple[str, list[str]]:
        client = of(url, model)
        return str(client.invoke(QUESTION).text), [str(chunk.text) for chunk in client.stream(QUESTION)]

    return hear


def langchain_anthropic(url: str, model: str) -> BaseChatModel:
    limits: dict[str, Any] = {"temperature": 0, "max_tokens_to_sample": TOKENS, "stop": None}
    return ChatAnthropic(model_name=model, base_url=url, api_key=SecretStr(KEY), max_retries=0, timeout=30, **limits)


def langchain_responses(url: str, model: str) -> BaseChatModel:
    limits: dict[str, Any] = {"temperature": 0, "max_tokens": TOKENS, "use_responses_api": True}
    return ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=SecretStr(KEY), max_retries=0, timeout=30, **limits)


def pydantic_ai(of: Callable[[str, str], Model]) -> Hear:
    def hear(url: str, model: str) -> tuple[str, list[str]]:
        async def listen() -> tuple[str, list[str]]:
            agent = Agent(of(url, model), model_settings={"temperature": 0.0, "max_tokens": TOKENS})
            whole = (await agent.run(QUESTION)).output
            async with agent.run_stream(QUESTION) as run:
                return whole, [piece async for piece in run.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(listen())

    return hear


def _openai(url: str) -> OpenAIProvider:
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{url}/v1", **KEPT))


HEARD: dict[str, Hear] = {
    "openai chat": chat,
    "openai responses": responses,
    "anthropic": messages,
    "google-genai": google,
    "langchain-anthropic": langchain(langchain_anthropic),
    "langchain responses": langchain(langchain_responses),
    "pydantic-ai chat": pydantic_ai(lambda url, model: OpenAIChatModel(model, provider=_openai(url))),
    "pydantic-ai responses": pydantic_ai(lambda url, model: OpenAIResponsesModel(model, provider=_openai(url))),
    "pydantic-ai anthropic": pydantic_ai(
        lambda url, model: AnthropicModel(
            model, provider=AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=url, **KEPT))
        )
    ),
    "pydantic-ai google": pydantic_ai(
        lambda url, model: GoogleModel(model, provider=GoogleProvider(api_key=KEY, base_url=url))
    ),
}
OWN = {
    "chat": {name for name in HEARD if "chat" in name},
    "messages": {name for name in HEARD if "anthropic" in name},
}
"""Clients that cross nothing there."""


@pytest.fixture(scope="module")
def reference(gateway: Gateway) -> str:
    """What llama.cpp says over chat."""
    text, pieces = chat(gateway.doors["edge"], TARGETS["chat"])
    assert len(pieces) > 10
    assert "".join(pieces) == text
    return text


@pytest.mark.parametrize(
    "target, client", [(target, client) for target in TARGETS for client in HEARD if client not in OWN[target]]
)
def test_a_client_hears_what_llama_says_in_another_dialect(
    target: str, client: str, gateway: Gateway, door: str, reference: str
) -> None:
    whole, pieces = HEARD[client](gateway.doors[door], TARGETS[target])
    assert whole == reference
    assert "".join(pieces) == reference
    assert len([piece for piece in pieces if piece]) > 10


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    argv = [str(BIN / "node"), str(HERE / "ai_sdk.mjs")]
    with contextlib.closing(Program(argv, tmp_path_factory.mktemp("ai_sdk"), stdin=subprocess.PIPE)) as running:
        yield running


@pytest.fixture(params=["chat", "responses", "anthropic", "google"])
def vercel(request: pytest.FixtureRequest, program: Program, gateway: Gateway, door: str) -> Callable[..., Any]:
    """`vercel("model", "text")`: what the AI SDK makes of one call."""

    def ask(model: str, task: str) -> dict[str, Any]:
        asked = {"dialect": request.param, "url": gateway.doors[door], "model": model, "task": task}
        settings = {"temperature": 0, "maxOutputTokens": TOKENS}
        program.write_line(json.dumps({**asked, "prompt": QUESTION, "settings": settings}))
        return json.loads(program.read_line())

    return ask


@pytest.mark.parametrize("target", TARGETS)
def test_the_ai_sdk_hears_what_llama_says_in_another_dialect(
    target: str, vercel: Callable[..., Any], reference: str
) -> None:
    for task in ("text", "stream"):
        answer = vercel(TARGETS[target], task)
        assert (answer.get("text"), answer.get("finishReason")) == (reference, "length"), answer
