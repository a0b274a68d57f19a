"""Law: a file loads if and only if nothing but warnings is found in it, and what a variable holds is never repeated."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastroute.config import find_mistakes, load
from fastroute.config.json_schema import strict_schema
from fastroute.errors import ConfigError
from fastroute.needs import Needs

# Long enough that it cannot stand in a message by chance.
SECRET = "zq7-hunter2-zq7"
ENVIRON = {"SECRET": SECRET, "NUMBER": "12", "EMPTY": ""}

KNOWN = {
    "openai": Needs(keys=("OPENAI_API_KEY",)),
    "cloud": Needs(
        vars={"account": ("ACCOUNT",), "region": ()}, open=frozenset(("account",)), regions=("east", "west")
    ),
}

SEED: dict[str, Any] = {
    "listen": {"address": "127.0.0.1", "port": 4000, "edge": True, "open": False},
    "providers": {
        "here": {"dialect": "openai_chat", "address": "http://127.0.0.1:8080/v1", "key": "${SECRET}", "min_idle": 2},
        "there": {
            "speaks": {"openai_chat": "/chat", "models": "/models", "files": "/files"},
            "address": "https://there.example/v1",
            "headers": {"x-key": "${SECRET}"},
            "timeouts": {"connect_timeout_s": 1.5},
        },
        "cloud": {"region": "east", "vars": {"account": "a1"}, "quirks": {"drop": ["seed"]}, "key": "${SECRET}"},
        "signed": {
            "dialect": "openai_chat",
            "address": "https://signed.example/v1",
            "auth": {
                "kind": "aws_sigv4",
                "region": "eu-west-1",
                "access_key_id": "${SECRET}",
                "secret_access_key": "${SECRET}",
            },
        },
    },
    "models": {
        "smart": {"targets": ["here/tiny", "there/tiny"], "policy": "ordered", "patience": {"attempts": 2}},
        "split": {"targets": [{"to": "here/a", "weight": 95}, {"to": "there/b", "weight": 5}], "policy": "weighted"},
    },
    "routing": {
        "policy": "fastest",
        "patience": {"idle_timeout_s": 20, "ttft_timeout_s": 60},
        "endpoints": {"files": "there", "batches": "cloud/any", "moderations": "smart"},
    },
    "limits": {"max_in_flight": 100, "drain_timeout_s": 5},
    "observability": {"log_level": "debug"},
}


def _names(node: object) -> set[str]:
    if isinstance(node, dict):
        return set(node.get("properties", {})).union(*map(_names, node.values()))
    return set().union(*map(_names, node)) if isinstance(node, list) else set()


def _paths(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children: list[tuple[str | int, object]] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    return [path, *(found for key, child in children for found in _paths(child, (*path, key)))]


KEYS = st.sampled_from(sorted(_names(strict_schema()))) | st.sampled_from(
    ["here", "mock", "prot", "", "a b", "ß", "<<", "0", "01", "+1", "a/b~1"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.sampled_from([10**18, 10**30, 1.5, 4000.0, 1e300, -0.0])
    | st.sampled_from(["", "here/tiny", "mock/echo", "ordered", "a.b:c", "http://h", "[::1]", "0.0.0.0", "/x", "yes"])
    | st.sampled_from(
        ["${SECRET}", "${SECRET}/x", "here/${SECRET}", "http://${SECRET}", "${NUMBER}", "${EMPTY}", "${NOPE}"]
    )
    | st.sampled_from(
        ["${SECRET:-x}", "${NOPE:-here/tiny}", "${file:no-such-${SECRET}}", "${", "$$", "x\ny", "\x00", "{}"]
    )
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)
PATHS = st.sampled_from(_paths(SEED))


def mutated(edits: list[tuple[tuple[str | int, ...], str, str, object]]) -> object:
    """The seed after each edit: a value replaced, removed, or put beside under another key."""
    root: list[Any] = [copy.deepcopy(SEED)]
    for path, verb, key, value in edits:
        node: Any = root
        way = (0, *path)
        try:
            for step in way[:-1]:
                node = node[step]
            if verb == "replace":
                node[way[-1]] = value
            elif verb == "remove" and len(way) > 1:
                del node[way[-1]]
            elif verb == "add" and isinstance(node[way[-1]], dict):
                node[way[-1]][key] = value
        except (KeyError, IndexError, TypeError):
            continue  # An earlier edit took the place away.
    return root[0]


EDITS = st.lists(st.tuples(PATHS, st.sampled_from(["replace", "remove", "add"]), KEYS, VALUES), min_size=1, max_size=4)


def judged(file: Path) -> tuple[bool, list[str]]:
    """Whether the file loads, and everything that was said about it on the way."""
    mistakes = find_mistakes(file, KNOWN, ENVIRON)
    said = [text for mistake in mistakes for text in (str(mistake), repr(mistake))]
    try:
        load(file, KNOWN, ENVIRON)
    except ConfigError as error:
        assert error.mistakes, "a file was refused without a word"
        assert list(error.mistakes) == [mistake for mistake in mistakes if not mistake.warning]
        return False, [*said, str(error), repr(error)]
    assert all(mistake.warning for mistake in mistakes), f"loads although {mistakes}"
    return True, said


@given(EDITS)
@example([(("listen", "port"), "replace", "", 4000.0)])
@example([((), "replace", "", None)])
@example([(("providers", "there", "speaks"), "add", "", None)])
@example([(("providers",), "add", "01", 3), (("providers",), "add", "+1", 3)])
@example([(("models", "smart", "targets", 0), "replace", "", "${SECRET}/x")])
@example([(("models", "smart", "policy"), "replace", "", "${SECRET}")])
@example([(("listen", "address"), "replace", "", "${SECRET} x")])
@example([(("models", "smart", "patience"), "add", "to", None)])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_load_and_find_mistakes_agree_on_yaml_and_no_secret_is_repeated(
    tmp_path: Path, edits: list[tuple[tuple[str | int, ...], str, str, object]]
) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text(json.dumps(mutated(edits)), encoding="utf-8")
    _, said = judged(file)
    assert not [text for text in said if SECRET in text]
    # Said when the file without its misfits still does not decode: then the rest of it was not judged. The validator
    # makes one key of those that are one number.
    if not {"01", "+1"}.issubset(key for _, _, key, _ in edits):
        assert not [text for text in said if "1:1: does not fit the schema" in text]


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cutting_a_file_anywhere_gives_mistakes_or_a_configuration_and_never_a_crash(
    tmp_path: Path, data: st.DataObject
) -> None:
    text = json.dumps(SEED, indent=1)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    junk = data.draw(st.text("[]{}:,-&*!|>'\"%@`#?\n\t \x85\u2028aé0", max_size=6))
    for name in ("c.yaml", "c.toml"):
        file = tmp_path / name
        file.write_text(text[:start] + junk + text[end:], encoding="utf-8")
        _, said = judged(file)
        assert not [line for line in said if SECRET in line]


def test_the_seed_itself_loads(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text(json.dumps(SEED), encoding="utf-8")
    assert judged(file) == (True, [])


@pytest.mark.parametrize("edit", [(("listen", "port"), "replace", "", "x"), (("models",), "add", "x", {})])
def test_the_edits_do_break_it(edit: tuple[tuple[str | int, ...], str, str, object], tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text(json.dumps(mutated([edit])), encoding="utf-8")
    loads, said = judged(file)
    assert not loads
    assert said
