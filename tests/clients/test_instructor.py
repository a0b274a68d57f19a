"""instructor on the official SDKs of three makers, before servers that speak chat: one scripted, and llama.cpp."""

from typing import Any

import instructor
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from instructor import Mode
from openai import OpenAI

from clients import trips
from clients.conftest import Gateway
from clients.scripted import Scripted, called, said

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Where to?"}], "response_model": trips.Trip}
# Each by the words of its SDK for the longest answer.
SHORT: dict[str, dict[str, Any]] = {
    "openai": {"max_tokens": 400, "temperature": 0},
    "anthropic": {"max_tokens": 400},
    "genai": {"config": types.GenerateContentConfig(max_output_tokens=400, temperature=0)},
}
SDKS = list(SHORT)


def asking(sdk: str, mode: Mode, url: str) -> Any:
    """instructor's client on an SDK."""
    if sdk == "openai":
        return instructor.from_openai(OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0), mode=mode)
    if sdk == "anthropic":
        return instructor.from_anthropic(Anthropic(base_url=url, api_key="unused", max_retries=0), mode=mode)
    options = types.HttpOptions(base_url=url, timeout=30_000)
    return instructor.from_genai(genai.Client(api_key="unused", http_options=options), mode=mode)


@pytest.mark.parametrize("sdk", SDKS)
def test_instructor_makes_the_model_call_its_tool_and_corrects_it(
    gateway: Gateway, door: str, scripted: Scripted, sdk: str
) -> None:
    model = scripted.model(called("Trip", city="Oslo", days=300), called("Trip", **trips.OSLO))
    create = asking(sdk, Mode.TOOLS, gateway.doors[door]).create
    trip = create(model=model, **ASKED, **SHORT[sdk], max_retries=2)
    assert trip.model_dump() == trips.OSLO
    first, second = scripted.heard(model)
    assert first["tool_choice"] in ("required", {"type": "function", "function": {"name": "Trip"}})
    assert "less than or equal to 9" in str(second["messages"])


@pytest.mark.parametrize(("sdk", "mode"), [("openai", Mode.JSON_SCHEMA), ("genai", Mode.JSON)])
def test_instructor_holds_the_model_to_its_schema(gateway: Gateway, door: str, sdk: str, mode: Mode) -> None:
    create = asking(sdk, mode, gateway.doors[door]).create
    # The tiny model says nothing that makes sense, unless the schema reached its server.
    assert isinstance(create(model="local/tiny", **ASKED, **SHORT[sdk], max_retries=1), trips.Trip)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_instructor_shows_an_object_while_it_grows(gateway: Gateway, door: str, scripted: Scripted, sdk: str) -> None:
    model = scripted.model(called("Trip", **trips.OSLO))
    create_partial = asking(sdk, Mode.TOOLS, gateway.doors[door]).create_partial
    seen = [one.model_dump() for one in create_partial(model=model, **ASKED, **SHORT[sdk])]
    assert seen[-1] == trips.OSLO
    assert {"city": None, "days": None} in seen or {"city": "Oslo", "days": None} in seen


def test_instructor_reads_json_out_of_words(gateway: Gateway, door: str, scripted: Scripted) -> None:
    model = scripted.model(said('Here you are: ```json\n{"city": "Oslo", "days": 3}\n```'))
    create = asking("openai", Mode.MD_JSON, gateway.doors[door]).create
    assert create(model=model, **ASKED).model_dump() == trips.OSLO
