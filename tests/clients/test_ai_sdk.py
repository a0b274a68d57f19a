"""Vercel's AI SDK with the providers of five kinds, before servers that speak chat: one scripted, and llama.cpp."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clients import trips
from clients.conftest import BIN, HERE, Gateway, Program
from clients.scripted import Scripted, called, said

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    argv = [str(BIN / "node"), str(HERE / "ai_sdk.mjs")]
    with contextlib.closing(Program(argv, tmp_path_factory.mktemp("ai_sdk"), stdin=subprocess.PIPE)) as running:
        yield running


@pytest.fixture(params=["compatible", "chat", "responses", "anthropic", "google"])
def ask(request: pytest.FixtureRequest, program: Program, gateway: Gateway, door: str) -> Ask:
    """`ask("model", "text")`: what its user gets from one call."""

    def of(model: str, task: str) -> dict[str, Any]:
        question = {"dialect": request.param, "url": gateway.doors[door], "model": model, "task": task}
        program.write_line(json.dumps({**question, "prompt": "Where to?"}))
        return json.loads(program.read_line())

    return of


def test_the_ai_sdk_hears_an_answer_and_what_it_cost(ask: Ask, scripted: Scripted) -> None:
    answer = ask(scripted.model(said("It is fine.")), "text")
    assert (answer["text"], answer["finishReason"]) == ("It is fine.", "stop"), answer
    assert (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]) == (11, 7)


def test_the_ai_sdk_hears_a_stream_word_by_word(ask: Ask, scripted: Scripted) -> None:
    answer = ask(scripted.model(said("It is fine so far.")), "stream")
    assert answer["pieces"] == ["It", " is", " fine", " so", " far."], answer
    assert answer["finishReason"] == "stop"
    assert answer["usage"]["outputTokens"] == 5


@pytest.mark.parametrize("task", ["tools", "tools-stream"])
def test_the_ai_sdk_goes_through_a_tool(ask: Ask, scripted: Scripted, task: str) -> None:
    model = scripted.model(called("plan_trip", **trips.OSLO), said(trips.DONE))
    answer = ask(model, task)
    assert (answer.get("text"), answer.get("finishReason")) == (trips.DONE, "stop"), answer
    trips.assert_the_loop_closed(scripted.heard(model))


def test_the_ai_sdks_object_is_what_the_model_was_held_to(ask: Ask) -> None:
    # The tiny model says nothing that makes sense, unless the schema reached its server.
    answer = ask("local/tiny", "object")
    assert trips.Trip.model_validate(answer.get("object")), answer


def test_the_ai_sdk_is_told_that_a_model_does_not_exist(ask: Ask) -> None:
    error = ask("nobody/knows", "text")["error"]
    assert (error["name"], error["status"], error["retry"]) == ("AI_APICallError", 404, False)
    assert "no route serves this model" in error["message"]
