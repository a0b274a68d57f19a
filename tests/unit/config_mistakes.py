"""Configurations with mistakes in them, as tests of the mistakes write them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fastroute.config import find_mistakes, load
from fastroute.errors import ConfigError

HERE = 'providers: {here: {dialect: openai_chat, address: "http://127.0.0.1:1"}}\n'
NEAR = 'providers: {here: {dialect: openai_chat, address: "http://127.0.0.1:1", '
ENVIRON = {"EMPTY": "", "TWO_LINES": "sk-one\nsk-two", "WORD": "hunter2", "KEY": "sk-from-environment"}


def mistakes_in(text: str, folder: Path, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """The mistakes as a user reads them, without the name of the file."""
    file = folder / "fastroute.yaml"
    file.write_text(text, encoding="utf-8")
    return [
        str(mistake._replace(file="")) if not mistake.line else short(mistake)
        for mistake in find_mistakes(file, environ=environ)
    ]


def short(mistake: object) -> str:
    return str(mistake).split("fastroute.yaml:", 1)[1]


def hold(text: str, expected: list[str], folder: Path) -> None:
    """These mistakes are found in it; it does not load, unless they are warnings."""
    assert mistakes_in(text, folder) == expected
    if all("warning: " in line for line in expected):
        load(folder / "fastroute.yaml", environ=ENVIRON)
        return
    with pytest.raises(ConfigError) as caught:
        load(folder / "fastroute.yaml", environ=ENVIRON)
    assert [short(mistake) for mistake in caught.value.mistakes] == expected
