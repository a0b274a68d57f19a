"""From a configuration to policies and bounds: what cannot be built is told with its place."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastroute.build import bounds_of, find_policies, prepare
from fastroute.catalogue import find_providers, read_catalogue
from fastroute.config.schema import Config, Limits, Model, Provider
from fastroute.errors import ConfigError
from fastroute.needs import REGION
from fastroute.policies import REGISTRY
from fastroute.secret import Secret
from fastroute.table import Table, compile_table

ENGINE_IO = Path(__file__).parents[2] / "rust" / "engine" / "src" / "io.rs"


def table_of(*policies: str) -> Table:
    models = {f"m{at}": Model(targets=("a/one", "a/two"), policy=policy) for at, policy in enumerate(policies)}
    providers = {"a": Provider(dialect="openai_chat", address="http://127.0.0.1:9/v1")}
    return compile_table(Config(providers=providers, models=models), find_providers({}), 1)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that can be imported as `own_policy`."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "own_policy.py"
    sys.modules.pop("own_policy", None)


def refusal(policy: str) -> str:
    with pytest.raises(ConfigError) as raised:
        find_policies(table_of(policy))
    assert len(raised.value.mistakes) == 1
    return str(raised.value)


def test_policies_are_found_by_name_and_each_once() -> None:
    assert find_policies(table_of("ordered", "fastest", "ordered")) == {
        "ordered": REGISTRY["ordered"],
        "fastest": REGISTRY["fastest"],
    }


def test_a_policy_of_ones_own_is_imported(module: Path) -> None:
    module.write_text("def rank(facts, candidates, dice):\n    return candidates[::-1]\n")
    found = find_policies(table_of("own_policy:rank"))
    assert found["own_policy:rank"].__module__ == "own_policy"


def test_a_policy_whose_module_is_missing_is_told_with_its_model() -> None:
    said = refusal("no_such_package.mine:rank")
    assert said.startswith('models.m0.policy: cannot import "no_such_package.mine:rank": ')
    assert "No module named 'no_such_package'" in said


def test_a_policy_that_its_module_does_not_have_is_told(module: Path) -> None:
    module.write_text("def rnak(facts, candidates, dice):\n    return candidates\n")
    assert "has no attribute 'rank'" in refusal("own_policy:rank")


@pytest.mark.parametrize(
    "source, kind",
    [
        ("raise RuntimeError('sk-secret')", "RuntimeError"),
        ("def rank(:", "SyntaxError"),
        ("1/0", "Zero"),
        ("import sys\nsys.exit('sk-secret')", "SystemExit"),
    ],
)
def test_a_module_that_fails_as_it_is_imported_is_told_without_its_text(module: Path, source: str, kind: str) -> None:
    module.write_text(source)
    said = refusal("own_policy:rank")
    assert f"it raised {kind}" in said
    assert "secret" not in said


def test_a_policy_that_is_no_function_is_told(module: Path) -> None:
    module.write_text("rank = 3\n")
    assert refusal("own_policy:rank") == 'models.m0.policy: "own_policy:rank" is not a function'


def test_the_bounds_of_the_configuration_are_bounds_the_engine_knows() -> None:
    source = ENGINE_IO.read_text(encoding="utf-8")
    bounds = bounds_of(Config(limits=Limits(max_body_bytes=2048, max_in_flight=7)))
    assert (bounds["body_bytes"], bounds["in_flight"]) == (2048, 7)
    for name in bounds:
        assert f"pub {name}: " in source, name


def test_the_engine_takes_every_row_of_the_catalogue() -> None:
    named = {
        name: Provider(
            key=Secret("k"),
            address=None if row.address else "https://proxy.example",
            region="somewhere" if REGION in row.vars else next(iter(row.regions), None),
            vars={each: "mine" for each in row.vars if each != REGION},
        )
        for name, row in read_catalogue().providers.items()
    }
    models = {name: Model(targets=(f"{name}/some-model",)) for name in named}
    taken = prepare(Config(providers=named, models=models), find_providers({}), 1)
    assert taken.table.routes.keys() == named.keys()
