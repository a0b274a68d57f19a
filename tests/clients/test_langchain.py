"""LangChain's models of two makers and three dialects, before servers that speak chat: one scripted, and llama.cpp."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from clients import trips
from clients.conftest import Gateway
from clients.scripted import Scripted, called, said

KEY = SecretStr("unused")
TEMPERATE = {"temperature": 0, "max_retries": 0, "timeout": 30}

Chat = Callable[..., BaseChatModel]


@pytest.fixture(params=["chat", "responses", "anthropic"])
def chat(request: pytest.FixtureRequest, gateway: Gateway, door: str) -> Chat:
    """`chat("model")`: LangChain's own object for it."""
    url = gateway.doors[door]

    def of(model: str) -> BaseChatModel:
        if request.param == "anthropic":
            return ChatAnthropic(
                model_name=model, base_url=url, api_key=KEY, max_tokens_to_sample=400, stop=None, **TEMPERATE
            )
        responses = request.param == "responses"
        more: dict[str, Any] = {"max_tokens": 400, "use_responses_api": responses, **TEMPERATE}
        return ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, stream_usage=True, **more)

    return of


def test_langchain_hears_an_answer_and_what_it_cost(chat: Chat, scripted: Scripted) -> None:
    model = scripted.model(said("It is fine."))
    answer = chat(model).invoke([("system", "Be brief."), ("user", "How is it?")])
    assert text_of(answer) == "It is fine."
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (11, 7)
    (heard,) = scripted.heard(model)
    assert [turn["role"] for turn in heard["messages"]] in (["system", "user"], ["developer", "user"])


def test_langchain_hears_a_stream_word_by_word(chat: Chat, scripted: Scripted) -> None:
    model = scripted.model(said("It is fine so far."))
    chunks = list(chat(model).stream("How is it?"))
    assert [text for chunk in chunks if (text := text_of(chunk))] == ["It", " is", " fine", " so", " far."]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    usage = whole.usage_metadata
    assert usage is not None
    assert usage["output_tokens"] == 5
    assert usage["total_tokens"] == usage["input_tokens"] + 5


@pytest.mark.parametrize("stream", [False, True])
def test_langchain_goes_through_a_tool(chat: Chat, scripted: Scripted, stream: bool) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    planner = chat(model).bind_tools([tool(trips.plan_trip)])
    messages: list[BaseMessage] = [HumanMessage("Where to?")]
    call = ask(planner, messages, stream=stream)
    assert isinstance(call, AIMessage)
    assert [(one["name"], one["args"]) for one in call.tool_calls] == [("plan_trip", trips.OSLO)]
    result = trips.plan_trip(**call.tool_calls[0]["args"])
    messages += [call, ToolMessage(content=result, tool_call_id=call.tool_calls[0]["id"])]
    assert text_of(ask(planner, messages, stream=stream)) == trips.DONE
    trips.assert_the_loop_closed(scripted.heard(model))


def test_langchains_structured_output_is_what_the_model_was_held_to(chat: Chat) -> None:
    trip = chat("local/tiny").with_structured_output(trips.Trip, method="json_schema").invoke("Where to?")
    # The tiny model says nothing that makes sense, unless the schema reached its server.
    assert isinstance(trip, trips.Trip)


def test_langchains_structured_output_by_a_tool_names_that_tool(chat: Chat, scripted: Scripted) -> None:
    model = scripted.model(called("Trip", **trips.OSLO))
    asking = chat(model).with_structured_output(trips.Trip, method="function_calling")
    assert asking.invoke("Where to?") == trips.Trip(**trips.OSLO)
    (heard,) = scripted.heard(model)
    assert heard["tool_choice"] == {"type": "function", "function": {"name": "Trip"}}


def test_langchains_embeddings_are_those_of_the_server(gateway: Gateway, door: str) -> None:
    embeddings = OpenAIEmbeddings(
        model="local/tiny", base_url=f"{gateway.doors[door]}/v1", api_key=KEY, check_embedding_ctx_length=False
    )
    sea, mountain, again = embeddings.embed_documents(["sea", "mountain", "sea"])
    assert len(sea) == 64
    assert max(abs(a - b) for a, b in zip(sea, again, strict=True)) < 1e-3
    assert max(abs(a - b) for a, b in zip(sea, mountain, strict=True)) > 1e-2


def ask(model: Any, messages: list[BaseMessage], *, stream: bool) -> BaseMessage:
    """What it says, and where it was streamed the sum of it, as a message that can be sent again."""
    if not stream:
        return model.invoke(messages)
    first, *rest = model.stream(messages)
    for chunk in rest:
        first += chunk
    return first


def text_of(message: BaseMessage) -> str:
    return str(message.text)
