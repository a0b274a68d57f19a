"""The values at the border: frozen, without content, and in the order in which the engine writes them."""

import re
from pathlib import Path

import msgspec
import pytest

from fastroute import facts
from fastroute._core import FIELDS

BRAIN = (Path(__file__).parents[2] / "rust" / "py" / "src" / "brain.rs").read_text(encoding="utf-8")
VALUES = [value for value in vars(facts).values() if isinstance(value, type) and value.__module__ == facts.__name__]

# Field here → its name in the engine, where the two differ.
ENGINES_NAME = {
    "failure": "name",
    "blamed": "blames_upstream",
    "decided_by": "by",
    "came": "door",
    "measures": "started_ms",
}


def written_for(value: str) -> list[str]:
    """The arguments with which the engine builds a value, in order."""
    call = re.search(rf"self\.{value}\.bind\(py\)\.call1\(\((.*?)\n\s*\)\)", BRAIN, re.DOTALL)
    assert call, f"brain.rs builds no {value}"
    arguments: list[str] = []
    depth, current = 0, ""
    for character in call[1]:
        if character == "," and depth == 0:
            arguments.append(current.strip())
            current = ""
            continue
        depth += (character in "([{") - (character in ")]}")
        current += character
    return [argument for argument in [*arguments, current.strip()] if argument]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_a_value_cannot_be_changed(value: type[msgspec.Struct]) -> None:
    assert value.__struct_config__.frozen


@pytest.mark.parametrize("name", ["Facts", "Attempt", "Usage", "Outcome"])
def test_the_engine_writes_every_field_at_its_place(name: str) -> None:
    fields: tuple[str, ...] = getattr(facts, name).__struct_fields__
    arguments = written_for(name.lower())
    assert len(arguments) == len(fields)
    for field, argument in zip(fields, arguments, strict=True):
        assert re.search(rf"\b{ENGINES_NAME.get(field, field)}\b|\b{field}\b", argument), f"{field}: {argument}"


def test_the_engine_tells_the_fields_it_writes_as_they_are() -> None:
    assert dict(FIELDS) == {
        value.__name__: " ".join(value.__struct_fields__) for value in VALUES if value.__name__ in dict(FIELDS)
    }
    assert dict(FIELDS).keys() == {"Facts", "Attempt", "Usage", "Outcome"}


def test_no_value_has_room_for_a_prompt_or_a_reply() -> None:
    texts = {
        f"{value.__name__}.{field.name}"
        for value in VALUES
        for field in msgspec.structs.fields(value)
        if field.type in (str, str | None, bytes)
    }
    assert texts == {
        "Facts.model",
        "Facts.dialect",
        "Facts.door",
        "Candidate.name",
        "Refusal.code",
        "Refusal.message",
        "Refusal.param",
        "Attempt.failure",
        "Outcome.request_id",
        "Outcome.decided_by",
        "Outcome.ending",
        "Outcome.code",
    }
