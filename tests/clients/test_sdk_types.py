"""What we render for clients of Anthropic and Google, held to the types of their SDKs: no required field is missing.

The SDKs build their values without looking; here the same types validate, in pydantic's strict mode.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from pydantic import TypeAdapter, ValidationError

from contract.recorded import Line
from contract.test_crossed_answers_match_schema import chosen, documents

ANTHROPIC = {False: TypeAdapter(Message), True: TypeAdapter(RawMessageStreamEvent)}
GEMINI = TypeAdapter(GenerateContentResponse)


def broken(line: Line, target: str) -> Iterator[str]:
    """Where the documents of one answer break the types of the target's SDK."""
    for document in documents(line, target):
        if "error" in document:
            assert isinstance(document["error"]["message"], str)
            continue
        types: TypeAdapter[Any] = GEMINI if target == "gemini" else ANTHROPIC[line.streaming]
        try:
            told = json.dumps(_without_pictures(document) if target == "anthropic_messages" else document)
            types.validate_json(told, strict=True)
        except ValidationError as wrong:
            for error in wrong.errors():
                place = "/".join("*" if isinstance(step, int) else str(step) for step in error["loc"])
                yield f"{place}: {error['msg']}"


def _without_pictures(document: dict[str, Any]) -> dict[str, Any]:
    """A picture in a reply is a block that Anthropic has in requests alone."""
    content = document.get("content")
    return document | {"content": [each for each in content if each["type"] != "image"]} if content else document


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "every"])
@pytest.mark.parametrize("target", ["anthropic_messages", "gemini"])
def test_what_we_render_is_of_the_types_of_the_official_sdk(target: str, every: bool) -> None:
    faults: Counter[str] = Counter()
    first: dict[str, str] = {}
    read = 0
    for line in chosen(target, every):
        read += 1
        for fault in broken(line, target):
            faults[fault] += 1
            first.setdefault(fault, line.id)
    print(f"{read} answers")
    assert read > 100
    assert not faults, "\n".join(
        f"{count} × {fault}, first in {first[fault]}" for fault, count in faults.most_common(40)
    )
