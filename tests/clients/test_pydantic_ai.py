"""pydantic-ai's agents on the models of four dialects, before servers that speak chat: one scripted, and llama.cpp."""

import asyncio
from collections.abc import Callable

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput, UnexpectedModelBehavior
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from clients import trips
from clients.conftest import Gateway
from clients.scripted import Scripted, called, said

Chosen = Callable[[str], Model]
SETTINGS = {"temperature": 0.0, "max_tokens": 400}


@pytest.fixture(params=["chat", "responses", "anthropic", "google"])
def chosen(request: pytest.FixtureRequest, gateway: Gateway, door: str) -> Chosen:
    """`chosen("model")`: pydantic-ai's own object for it, with connections of its own."""
    url = gateway.doors[door]

    def of(model: str) -> Model:
        openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        anthropic = AsyncAnthropic(base_url=url, api_key="unused", max_retries=0)
        models: dict[str, Callable[[], Model]] = {
            "chat": lambda: OpenAIChatModel(model, provider=OpenAIProvider(openai_client=openai)),
            "responses": lambda: OpenAIResponsesModel(model, provider=OpenAIProvider(openai_client=openai)),
            "anthropic": lambda: AnthropicModel(
                model,
                provider=AnthropicProvider(anthropic_client=anthropic),
                # By itself it knows this of models by their names.
                profile={"supports_json_schema_output": True},
            ),
            "google": lambda: GoogleModel(model, provider=GoogleProvider(api_key="unused", base_url=url)),
        }
        return models[request.param]()

    return of


def test_an_agent_hears_an_answer_and_what_it_cost(chosen: Chosen, scripted: Scripted) -> None:
    model = scripted.model(said("It is fine."))
    agent = Agent(chosen(model), instructions="Be brief.", model_settings=SETTINGS)
    answer = asyncio.run(agent.run("How is it?"))
    assert answer.output == "It is fine."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7)
    (heard,) = scripted.heard(model)
    assert [turn["role"] for turn in heard["messages"]] in (["system", "user"], ["developer", "user"])


def test_an_agent_hears_a_stream_word_by_word(chosen: Chosen, scripted: Scripted) -> None:
    agent = Agent(chosen(scripted.model(said("It is fine so far."))), model_settings=SETTINGS)

    async def listen() -> tuple[list[str], int]:
        async with agent.run_stream("How is it?") as run:
            pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
        return pieces, run.usage.output_tokens

    assert asyncio.run(listen()) == (["It", " is", " fine", " so", " far."], 5)


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_goes_through_a_tool(chosen: Chosen, scripted: Scripted, stream: bool) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    agent = Agent(chosen(model), tools=[trips.plan_trip], model_settings=SETTINGS)

    async def run() -> str:
        if not stream:
            return (await agent.run("Where to?")).output
        async with agent.run_stream("Where to?") as answer:
            return await answer.get_output()

    assert asyncio.run(run()) == trips.DONE
    trips.assert_the_loop_closed(scripted.heard(model))


def test_an_agents_output_by_a_tool_is_corrected_once(chosen: Chosen, scripted: Scripted) -> None:
    model = scripted.model(called("final_result", city="Oslo", days=300), called("final_result", **trips.OSLO))
    agent = Agent(chosen(model), output_type=trips.Trip, model_settings=SETTINGS)
    assert asyncio.run(agent.run("Where to?")).output == trips.Trip(**trips.OSLO)
    first, second = scripted.heard(model)
    assert first["tool_choice"] == "required"
    assert "less than or equal to 9" in str(second["messages"][-1])


def test_an_agents_output_by_a_schema_is_what_the_model_was_held_to(chosen: Chosen) -> None:
    agent = Agent(chosen("local/tiny"), output_type=NativeOutput(trips.Trip), model_settings=SETTINGS)
    # The tiny model says nothing that makes sense, unless the schema reached its server.
    assert isinstance(asyncio.run(agent.run("Where to?")).output, trips.Trip)


def test_an_answer_that_never_fits_is_the_agents_error(chosen: Chosen, scripted: Scripted) -> None:
    model = scripted.model(called("final_result", city="Paris", days=1))
    agent = Agent(chosen(model), output_type=trips.Trip, model_settings=SETTINGS)
    with pytest.raises(UnexpectedModelBehavior):
        asyncio.run(agent.run("Where to?"))
    assert len(scripted.heard(model)) == 2
