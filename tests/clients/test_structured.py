"""Official SDKs beyond one call, before servers that speak chat: they parse into types, and run tools themselves."""

import json
from typing import Any

import openai
import pytest
from anthropic import Anthropic, beta_tool
from google import genai
from google.genai import types
from openai import OpenAI, pydantic_function_tool

from clients import trips
from clients.conftest import Gateway
from clients.scripted import Scripted, called, said

TINY = "local/tiny"
QUESTION: list[Any] = [{"role": "user", "content": "Where to?"}]
MESSAGES: dict[str, Any] = {"max_tokens": 400, "messages": QUESTION, "extra_body": {"temperature": 0}}


@pytest.fixture
def claude(gateway: Gateway, door: str) -> Anthropic:
    return Anthropic(base_url=gateway.doors[door], api_key="unused", max_retries=0, timeout=30)


@pytest.fixture
def gpt(gateway: Gateway, door: str) -> OpenAI:
    return OpenAI(base_url=f"{gateway.doors[door]}/v1", api_key="unused", max_retries=0, timeout=30)


@pytest.fixture
def gemini(gateway: Gateway, door: str) -> genai.Client:
    return genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=gateway.doors[door], timeout=30_000))


def test_chat_is_parsed_into_a_type(gpt: OpenAI) -> None:
    reply = gpt.chat.completions.parse(
        model=TINY, messages=QUESTION, response_format=trips.Trip, max_completion_tokens=400, temperature=0
    )
    assert isinstance(reply.choices[0].message.parsed, trips.Trip)


def test_a_response_is_parsed_into_a_type(gpt: OpenAI) -> None:
    asked: dict[str, Any] = {"model": TINY, "input": "Where to?", "temperature": 0, "max_output_tokens": 400}
    response = gpt.responses.parse(**asked, text_format=trips.Trip)
    assert isinstance(response.output_parsed, trips.Trip)
    with gpt.responses.stream(**asked, text_format=trips.Trip) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        streamed = stream.get_final_response().output_parsed
    assert streamed == response.output_parsed
    assert trips.Trip.model_validate_json("".join(pieces)) == streamed


def test_a_message_is_parsed_into_a_type(claude: Anthropic) -> None:
    message = claude.messages.parse(model=TINY, **MESSAGES, output_format=trips.Trip)
    assert isinstance(message.parsed_output, trips.Trip)
    beta = claude.beta.messages.parse(model=TINY, **MESSAGES, output_format=trips.Trip)
    assert isinstance(beta.parsed_output, trips.Trip)


def test_content_is_parsed_into_a_type(gemini: genai.Client) -> None:
    schema = {name: value for name, value in trips.Trip.model_json_schema().items() if name != "additionalProperties"}
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=schema, max_output_tokens=400, temperature=0
    )
    reply = gemini.models.generate_content(model=TINY, contents="Where to?", config=config)
    assert isinstance(trips.Trip.model_validate(reply.parsed), trips.Trip)


def test_tool_arguments_are_parsed_into_a_type(gpt: OpenAI, scripted: Scripted) -> None:
    model = scripted.model(called("Trip", **trips.OSLO))
    tools = [pydantic_function_tool(trips.Trip)]
    chat = gpt.chat.completions.parse(model=model, messages=QUESTION, tools=tools)
    (call,) = chat.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == trips.Trip(**trips.OSLO)
    response = gpt.responses.parse(model=model, input="Where to?", tools=[openai.pydantic_function_tool(trips.Trip)])
    assert [json.loads(item.arguments) for item in response.output if item.type == "function_call"] == [trips.OSLO]


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_tool_runner_runs_the_tool_and_ends(claude: Anthropic, scripted: Scripted, stream: bool) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    tool = beta_tool(trips.plan_trip)
    if stream:
        turns = claude.beta.messages.tool_runner(model=model, **MESSAGES, tools=[tool], stream=True)
        *_, last = (turn.get_final_message() for turn in turns)
    else:
        last = claude.beta.messages.tool_runner(model=model, **MESSAGES, tools=[tool]).until_done()
    assert [block.text for block in last.content if block.type == "text"] == [trips.DONE]
    trips.assert_the_loop_closed(scripted.heard(model))


def test_anthropics_beta_headers_are_no_reason_to_refuse(claude: Anthropic, scripted: Scripted) -> None:
    model = scripted.model(said("It is fine."))
    message = claude.beta.messages.create(model=model, **MESSAGES, betas=["nobody-knows-2099-01-01"])
    assert [block.text for block in message.content if block.type == "text"] == ["It is fine."]
    with claude.beta.messages.stream(model=model, **MESSAGES, betas=["context-management-2025-06-27"]) as stream:
        assert "".join(stream.text_stream) == "It is fine."


@pytest.mark.parametrize("stream", [False, True])
def test_googles_sdk_calls_a_function_by_itself(gemini: genai.Client, scripted: Scripted, stream: bool) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    chat = gemini.chats.create(model=model, config=types.GenerateContentConfig(tools=[trips.plan_trip]))
    if stream:
        text = "".join(piece.text or "" for piece in chat.send_message_stream("Where to?"))
    else:
        text = chat.send_message("Where to?").text or ""
    assert text == trips.DONE
    trips.assert_the_loop_closed(scripted.heard(model))


def test_a_responses_tool_loop_keeps_its_own_record(gpt: OpenAI, scripted: Scripted) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    tools: Any = [{"type": "function", "name": "plan_trip", "parameters": trips.Trip.model_json_schema()}]
    record: list[Any] = list(QUESTION)
    with gpt.responses.stream(model=model, input=record, tools=tools) as stream:
        response = stream.until_done().get_final_response()
    (call,) = (item for item in response.output if item.type == "function_call")
    # As OpenAI's guide has it: the output goes back as it came.
    record += [item.to_dict() for item in response.output]
    result = trips.plan_trip(**json.loads(call.arguments))
    record.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    with gpt.responses.stream(model=model, input=record, tools=tools) as stream:
        assert stream.until_done().get_final_response().output_text == trips.DONE
    trips.assert_the_loop_closed(scripted.heard(model))
