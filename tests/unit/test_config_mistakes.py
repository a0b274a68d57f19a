"""Mistakes in the text and shape of a configuration, and several of any kind at once, in the words a user reads."""

from pathlib import Path

import pytest

from fastroute.config import find_mistakes
from fastroute.needs import Needs
from unit.config_mistakes import ENVIRON, HERE, NEAR, hold, mistakes_in

CASES: dict[str, tuple[str, list[str]]] = {
    # The text itself.
    "broken YAML": ("listen: [", ["2:1: not YAML: did not find expected node content"]),
    "a tab for indentation": (
        "listen:\n\tport: 4000\n",
        ["2:1: not YAML: a tab stands where spaces are needed"],
    ),
    "a tab further in": (
        "listen:\n  port: 1\n\tedge: true\n",
        ["3:1: not YAML: a tab stands where spaces are needed"],
    ),
    "two documents": ("a: 1\n---\nb: 2\n", ["2:1: not YAML: a second document starts here"]),
    "a control character": ("listen:\n  address: \x07\n", ["2:1: not YAML: a control character is not allowed"]),
    "a YAML tag": ("listen: !secret x\n", ["1:9: listen: a YAML tag has no meaning here"]),
    "a tag that lies": ("listen: {port: !!int x}\n", ["1:16: listen.port: a YAML tag has no meaning here"]),
    "a list as a key": ("? [a]\n: 1\n", ["1:3: a key must be text"]),
    "an empty key in a mapping": ("listen: {'': 1}\n", ["1:10: a key must be text"]),
    "a key that looks like a number": (
        "providers: {01: 3}\n",
        ['1:17: providers["01"]: expected a mapping, got a number'],
    ),
    "a bad merge": ("listen: {<<: 3}\n", ['1:14: "<<" takes a mapping']),
    "a recursive alias": ("listen: &a\n  b: *a\n", ["1:9: nested too deeply"]),
    "a list at the top": ("- 1\n", ["1:1: expected a mapping, got a list"]),
    "a key twice": (
        "listen:\n  port: 1\n  port: 2\n",
        ["3:3: listen.port: appears twice; the first is on line 2"],
    ),
    # Shape.
    "an unknown section": ("listne: {}\n", ['1:1: listne: unknown key; did you mean "listen"?']),
    "an unknown key": ("listen: {prot: 1}\n", ['1:10: listen.prot: unknown key; did you mean "port"?']),
    "an unknown key like no other": (
        "observability: {zzz: 1}\n",
        ["1:17: observability.zzz: unknown key; known keys: log_level"],
    ),
    "a key as others call it": (
        NEAR + "base_url: x}}",
        ['1:73: providers.here.base_url: unknown key; did you mean "address"?'],
    ),
    "a wrong type": ('listen: {port: "x"}\n', ["1:16: listen.port: expected a whole number, got text"]),
    "a fraction": ("listen: {port: 1.5}\n", ["1:16: listen.port: expected a whole number, got a number"]),
    "a truth value as YAML 1.1 had it": (
        "listen: {open: yes}\n",
        ["1:16: listen.open: expected true or false, got text; write true"],
    ),
    "a number for a name": (
        "listen: {address: 1}\n",
        ["1:19: listen.address: expected text, got a number; put it in quotes"],
    ),
    "an empty section": (
        "listen:\n",
        ["1:8: listen: expected a mapping, got nothing; write {}, or leave the key out"],
    ),
    "too small": ("listen: {port: -1}\n", ["1:16: listen.port: must be at least 0"]),
    "too large": ("listen: {port: 65536}\n", ["1:16: listen.port: must be at most 65535"]),
    "not above zero": (
        "routing: {timeouts: {dns_timeout_s: 0}}\n",
        ["1:37: routing.timeouts.dns_timeout_s: must be more than 0"],
    ),
    "milliseconds for seconds": (
        "limits: {drain_timeout_s: 120000}\n",
        ["1:27: limits.drain_timeout_s: must be at most 86400"],
    ),
    "not one of the words": (
        "observability: {log_level: inof}\n",
        ['1:28: observability.log_level: expected one of "debug", "error", "info", "warning"; did you mean "info"?'],
    ),
    "a dialect that is not there": (
        "providers: {here: {dialect: gemni, address: 'http://h'}}",
        [
            '1:29: providers.here.dialect: expected one of "anthropic_messages", "cohere_v2", "gemini", "ollama", '
            '"openai_chat", "openai_responses"; did you mean "gemini"?'
        ],
    ),
    "a dialect that is not there, in full": (
        "providers: {here: {speaks: {openai_chta: /x}, address: 'http://h'}}",
        ['1:29: providers.here.speaks.openai_chta: unknown key; did you mean "openai_chat"?'],
    ),
    "a model without targets": ("models: {smart: {}}\n", ["1:10: models.smart.targets: is missing"]),
    "a target that is a number": (
        HERE + "models: {smart: {targets: [7]}}\n",
        ["2:28: models.smart.targets[0]: expected text or a mapping, got a number"],
    ),
    "a weight below zero": (
        HERE + "models: {smart: {targets: [{to: here/a, weight: -1}], policy: weighted}}\n",
        ["2:49: models.smart.targets[0].weight: must be at least 0"],
    ),
    "a target that goes nowhere": (
        "models: {smart: {targets: [{weight: 1}], policy: weighted}}\n",
        ["1:28: models.smart.targets[0].to: is missing"],
    ),
}


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_mistake_of_text_or_shape_is_told_with_place_and_cure(text: str, expected: list[str], tmp_path: Path) -> None:
    hold(text, expected, tmp_path)


def test_all_mistakes_of_a_file_are_told_at_once_in_file_order(tmp_path: Path) -> None:
    text = """\
listen: {prot: 4000, open: yes}
providers:
  here: {dialect: openai_chat, address: "ftp://x", key: "${NOT_SET}"}
models:
  smart: {targets: [here/a, thre/b, {to: here/c, weight: -1}], policy: orderd}
  smart: {targets: []}
  none: {}
"""
    assert [line.split(": ")[1] for line in mistakes_in(text, tmp_path)] == [
        "listen.prot",
        "listen.open",
        "providers.here.address",
        "providers.here.key",
        "models.smart.targets[1]",
        "models.smart.targets[2].weight",
        "models.smart.policy",
        "models.smart",
        "models.none.targets",
    ]


def test_what_is_beside_a_mistake_of_shape_is_judged_in_the_same_run(tmp_path: Path) -> None:
    text = """\
providers:
  here: {dialect: openai_chat, address: "ftp://h", min_idle: many}
  bare: {dialect: openai_chat, timeouts: {connect_timeout_s: -1}}
  other: {dialect: gemni, address: "http://h"}
models:
  none: {policy: wieghted}
  text: {targets: here/a, policy: fastst}
  some: {targets: [7, {weight: 3}, {to: 3}, "", thre/x, other/x, bare/x], polcy: ordered}
routing: {policy: fastest, patience: {attempts: 99}}
"""
    assert [line.split(": ", 1)[1].split(";")[0] for line in mistakes_in(text, tmp_path)] == [
        'providers.here.address: an address starts with "http://" or "https://"',
        "providers.here.min_idle: expected a whole number, got text",
        'providers.bare: needs "address"',
        "providers.bare.timeouts.connect_timeout_s: must be more than 0",
        'providers.other.dialect: expected one of "anthropic_messages", "cohere_v2", "gemini", "ollama", '
        '"openai_chat", "openai_responses"',
        "models.none.targets: is missing",
        'models.none.policy: no policy "wieghted"',
        "models.text.targets: expected a list, got text",
        'models.text.policy: no policy "fastst"',
        "models.some.targets[0]: expected text or a mapping, got a number",
        "models.some.targets[1].to: is missing",
        "models.some.targets[2].to: expected text, got a number",
        'models.some.targets[3]: "" is not provider/model',
        'models.some.targets[4]: no provider "thre"',
        "models.some.polcy: unknown key",
        "routing.patience.attempts: must be at most 10",
    ]


ALONE = {
    "the section that is named": "provders: {here: {dialect: openai_chat}}\nmodels: {a: {targets: [here/x]}}",
    "the section that has the name": "providers: [here]\nmodels: {a: {targets: [here/x]}}",
    "the port that would differ": "listen: {port: x, edge_port: 4000}",
    "the door that would be shut": "listen: {edge: no, edge_port: 4000}",
    "the word that would open it": "listen: {address: 0.0.0.0, open: yes}",
    "the key that would be enough": "providers: {openai: {key: 7}}",
    "the address it would have": "providers: {here: {dialect: openai_chat, adress: 'http://h'}}",
    "the dialect it would speak": "providers: {here: {dialcet: openai_chat, address: 'http://h'}}",
    "the paths it would have": "providers: {here: {speaks: {openai_chta: /x}, address: 'http://h'}}",
    "the header the key would be in": NEAR + "key: '${KEY}', key_header: 7, headers: {authorization: '${KEY}'}}}",
    "the policy that would use weights": HERE + "models: {a: {targets: [{to: here/a, weight: 1}], policy: 7}}",
    "the policy of all that would": HERE
    + "models: {a: {targets: [{to: here/a, weight: 1}]}}\nrouting: {policy: [weighted]}",
    "the weight that would be one": HERE
    + "models: {a: {targets: [{to: here/a, wieght: 1}, {to: here/b, weight: 0}], policy: weighted}}",
}


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE.keys())
def test_one_mistake_makes_no_second_one_of_what_depends_on_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text(text, encoding="utf-8")
    mistakes = find_mistakes(file, {"openai": Needs(keys=("OPENAI_API_KEY",))}, ENVIRON)
    assert len(mistakes) == 1, "\n".join(map(str, mistakes))


def test_a_provider_that_cannot_be_read_is_not_reported_missing_as_well(tmp_path: Path) -> None:
    text = "providers: {here: 3}\nmodels: {smart: {targets: [here/a]}}\n"
    assert mistakes_in(text, tmp_path) == ["1:19: providers.here: expected a mapping, got a number"]


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    (mistake,) = find_mistakes(tmp_path / "none.yaml")
    assert str(mistake) == f"{tmp_path}/none.yaml:1:1: cannot be read: No such file or directory"


def test_a_file_that_is_not_utf8_is_a_mistake_on_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"listen: {}\n# caf\xe9\n")
    (mistake,) = find_mistakes(file)
    assert (mistake.line, mistake.message) == (2, "not UTF-8")


def test_aliases_that_expand_without_end_are_refused(tmp_path: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
    (mistake,) = mistakes_in(f"l0: &l0 [x, x]\n{levels}\n", tmp_path)
    assert mistake.endswith("expands to more than 200000 values")


def test_deep_nesting_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "a: " + "[" * 900 + "]" * 900):
        (mistake,) = mistakes_in(text, tmp_path)
        assert "nested" in mistake or "not YAML" in mistake
