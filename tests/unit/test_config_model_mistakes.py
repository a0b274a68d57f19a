"""Mistakes about models and targets, in the words a user reads, and what is unusual and none."""

from pathlib import Path

import pytest

from unit.config_mistakes import HERE, NEAR, hold, mistakes_in

GOOD = """\
providers:
  here:  {dialect: openai_chat, address: "http://127.0.0.1:8080/v1"}
  there: {dialect: openai_chat, address: "http://127.0.0.1:8081/v1"}
models:
  smart: {targets: [here/tiny, there/tiny], policy: ordered}
"""

CASES: dict[str, tuple[str, list[str]]] = {
    # Models.
    "endpoints that nobody has": (
        NEAR + "}}\nrouting: {endpoints: {files: here, batches: her, moderations: mock/x}}\n",
        [
            '2:30: routing.endpoints.files: provider "here" has no such endpoint; '
            'write its path under "speaks" as "files"',
            '2:45: routing.endpoints.batches: no provider "her"; did you mean "here"?',
            '2:63: routing.endpoints.moderations: "mock" has one model; write mock/echo',
        ],
    ),
    "a provider that is not there": (
        GOOD.replace("there/tiny", "thre/tiny"),
        ['5:32: models.smart.targets[1]: no provider "thre"; did you mean "there"?'],
    ),
    "a target without a model": (
        HERE + "models: {smart: {targets: [here]}}\n",
        ['2:28: models.smart.targets[0]: "here" is not provider/model'],
    ),
    "no targets": (
        HERE + "models: {smart: {targets: []}}\n",
        ["2:27: models.smart.targets: lists no target; write provider/model"],
    ),
    "a target twice": (
        HERE + "models: {smart: {targets: [here/a, {to: here/a}]}}\n",
        ["2:41: models.smart.targets[1].to: the same as targets[0]"],
    ),
    "a model the mock does not have": (
        "models: {smart: {targets: [mock/gpt]}}\n",
        ['1:28: models.smart.targets[0]: "mock" has one model; write mock/echo'],
    ),
    "a policy that is not there": (
        GOOD.replace("ordered", "orderd"),
        ['5:53: models.smart.policy: no policy "orderd"; did you mean "ordered"?'],
    ),
    "a policy like no other": (
        "routing: {policy: zzz}\n",
        ['1:19: routing.policy: no policy "zzz"; known: ordered, weighted, fastest, or package.module:function'],
    ),
    "weights without effect": (
        HERE + "models: {smart: {targets: [{to: here/a, weight: 1}]}}\n",
        [
            '2:49: models.smart.targets[0].weight: weights have no effect with policy "ordered"; '
            "write policy: weighted, or leave them out"
        ],
    ),
    "a weight forgotten": (
        HERE + "models: {smart: {targets: [{to: here/a, weight: 1}, here/b], policy: weighted}}\n",
        ["2:53: models.smart.targets[1]: has no weight, and others have one; give every target a weight, or none"],
    ),
    "all weights zero": (
        HERE + "models: {smart: {targets: [{to: here/a, weight: 0}], policy: weighted}}\n",
        ["2:27: models.smart.targets: every weight is 0; at least one target must be left"],
    ),
    "a model's name that nobody can type": (
        'models: {"a\\tb": {targets: [mock/echo]}}\n',
        ['1:10: models["a�b"]: a model\'s name is 1 to 256 printable characters'],
    ),
}


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_mistake_about_models_is_told_with_place_and_cure(text: str, expected: list[str], tmp_path: Path) -> None:
    hold(text, expected, tmp_path)


def test_a_good_file_has_no_mistakes(tmp_path: Path) -> None:
    assert mistakes_in(GOOD, tmp_path) == []


FINE = {
    "weights for a policy of one's own": (
        HERE + "models: {a: {targets: [{to: here/a, weight: 1}, here/b], policy: 'pkg.mine:rank'}}"
    ),
    "a target taken out by its weight": (
        HERE + "models: {a: {targets: [{to: here/a, weight: 0}, {to: here/b, weight: 1}], policy: weighted}}"
    ),
    "weights under the policy of all": (
        HERE + "routing: {policy: weighted}\nmodels: {a: {targets: [{to: here/a, weight: 1}]}}"
    ),
    "models with slashes": HERE + "models: {org/name: {targets: [here/accounts/x/models/y]}}",
    "ports that the system chooses": "listen: {port: 0, edge_port: 0, admin_port: 0}",
    "a port of a door that stays shut": "listen: {port: 4001, edge: false}",
    "a header beside no key": NEAR + "headers: {authorization: '${KEY}'}}}",
    "an Azure resource": (
        "providers: {azure: {dialect: openai_chat, key_header: api-key, key: '${KEY}', "
        "address: 'https://res.openai.azure.com/openai/v1'}}"
    ),
    "IPv6": "providers: {here: {dialect: openai_chat, address: 'http://[::1]:8080'}}",
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE.keys())
def test_what_is_unusual_and_right_is_not_complained_about(text: str, tmp_path: Path) -> None:
    assert mistakes_in(text, tmp_path) == []
