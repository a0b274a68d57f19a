"""Every kind of mistake a configuration can have, with the exact words a user reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fastroute.config import find_mistakes, load
from fastroute.config.listeners import unguarded_listeners
from fastroute.config.schema import Listen
from fastroute.errors import ConfigError
from fastroute.needs import Needs

GOOD = """\
providers:
  here:  {dialect: openai_chat, address: "http://127.0.0.1:8080/v1"}
  there: {dialect: openai_chat, address: "http://127.0.0.1:8081/v1"}
models:
  smart: {targets: [here/tiny, there/tiny], policy: ordered}
"""

HERE = 'providers: {here: {dialect: openai_chat, address: "http://127.0.0.1:1"}}\n'
NEAR = 'providers: {here: {dialect: openai_chat, address: "http://127.0.0.1:1", '

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
    # Listeners.
    "an address that is none": (
        "listen: {address: 'not a host'}\n",
        ['1:19: listen.address: "not a host" is neither an IP address nor a host name'],
    ),
    "an IPv4 address with a slip": (
        "listen: {address: 127.0.0.256}\n",
        ['1:19: listen.address: "127.0.0.256" is neither an IP address nor a host name'],
    ),
    "one port twice": (
        "listen: {port: 4001}\n",
        ["1:1: listen.edge_port: the same port as listen.port"],
    ),
    # Providers.
    "no address": (
        "providers: {here: {dialect: openai_chat}}\n",
        ['1:13: providers.here: needs "address"; only a provider of the catalogue has one of its own'],
    ),
    "no dialect": (
        "providers: {here: {address: 'http://h'}}\n",
        ['1:13: providers.here: needs "dialect" or "speaks"; most compatible servers take dialect: openai_chat'],
    ),
    "dialect and speaks": (
        NEAR + "speaks: {models: /m}}}\n",
        ['1:73: providers.here.speaks: says the same as "dialect"; keep one of the two'],
    ),
    "speaks nothing": (
        "providers: {here: {speaks: {}, address: 'http://h'}}\n",
        ["1:28: providers.here.speaks: lists no dialect"],
    ),
    "a path without a slash": (
        "providers: {here: {speaks: {models: models}, address: 'http://h'}}\n",
        ['1:37: providers.here.speaks.models: a path starts with "/" and holds what a URL may'],
    ),
    "a path with the model twice": (
        "providers: {here: {speaks: {gemini: '/m/{model}/{model}'}, address: 'http://h'}}\n",
        [
            '1:37: providers.here.speaks.gemini: a path starts with "/" and holds what a URL may; '
            "{model} may stand in it once"
        ],
    ),
    "endpoints that nobody has": (
        NEAR + "}}\nrouting: {endpoints: {files: here, batches: her, moderations: mock/x}}\n",
        [
            '2:30: routing.endpoints.files: provider "here" has no such endpoint; '
            'write its path under "speaks" as "files"',
            '2:45: routing.endpoints.batches: no provider "her"; did you mean "here"?',
            '2:63: routing.endpoints.moderations: "mock" has one model; write mock/echo',
        ],
    ),
    "a quirk that is none": (
        NEAR + "quirks: {dorp: [seed], clamp: {top_p: [0]}}}}\n",
        [
            '1:82: providers.here.quirks.dorp: unknown key; did you mean "drop"?',
            "1:111: providers.here.quirks.clamp.top_p: does not fit the schema",
        ],
    ),
    "a region of an address of one's own": (
        NEAR + "region: eu, vars: {account: a}}}\n",
        [
            "1:73: providers.here.region: the address does not ask for it",
            "1:92: providers.here.vars.account: the address does not ask for it",
        ],
    ),
    "a scheme that is not HTTP": (
        "providers: {here: {dialect: openai_chat, address: 'ftp://h'}}\n",
        ['1:51: providers.here.address: an address starts with "http://" or "https://"'],
    ),
    "a password in an address": (
        "providers: {here: {dialect: openai_chat, address: 'http://me:hunter2@h'}}\n",
        ['1:51: providers.here.address: no user or password in an address; use "key" or "headers"'],
    ),
    "a query in an address": (
        "providers: {here: {dialect: openai_chat, address: 'http://h?key=hunter2'}}\n",
        ["1:51: providers.here.address: no query or fragment in an address"],
    ),
    "an address without a host": (
        "providers: {here: {dialect: openai_chat, address: 'http:///v1'}}\n",
        ["1:51: providers.here.address: the address has no valid host name"],
    ),
    "a port out of range": (
        "providers: {here: {dialect: openai_chat, address: 'http://h:99999'}}\n",
        ["1:51: providers.here.address: the port of an address is a number from 1 to 65535"],
    ),
    "a port that is none": (
        "providers: {here: {dialect: openai_chat, address: 'http://h:http/v1'}}\n",
        ["1:51: providers.here.address: the port of an address is a number from 1 to 65535"],
    ),
    "a bracket that stays open": (
        "providers: {here: {dialect: openai_chat, address: 'http://[::1'}}\n",
        ["1:51: providers.here.address: not a URL"],
    ),
    "a space in an address": (
        "providers: {here: {dialect: openai_chat, address: 'http://h/a b'}}\n",
        ["1:51: providers.here.address: an address has no spaces and only ASCII characters"],
    ),
    "a provider's name with a slash": (
        "providers: {a/b: {dialect: openai_chat, address: 'http://h'}}\n",
        ['1:13: providers["a/b"]: a provider\'s name is made of a-z, 0-9, "-", "_" and "."'],
    ),
    "the mock redefined": (
        "providers: {mock: {dialect: openai_chat, address: 'http://h'}}\n",
        ['1:13: providers.mock: "mock" is built in; choose another name'],
    ),
    "an empty key": (NEAR + "key: '${EMPTY}'}}\n", ["1:78: providers.here.key: is empty"]),
    "a key with a line end": (
        NEAR + 'key: "${TWO_LINES}"}}\n',
        [
            "1:78: providers.here.key: has characters that a header cannot carry; "
            "a line end, a space around it, or not ASCII"
        ],
    ),
    "one key and several": (
        NEAR + "key: '${KEY}', keys: ['${KEY}', '${KEY}']}}\n",
        [
            '1:88: providers.here.keys: stands beside "key"; keep one of the two',
            "1:105: providers.here.keys[1]: the same as keys[0]",
        ],
    ),
    "an empty key among several": (NEAR + "keys: ['${EMPTY}']}}\n", ["1:80: providers.here.keys[0]: is empty"]),
    "a key written out among several": (
        NEAR + "keys: ['${KEY}', sk-1]}}\n",
        ["1:90: warning: providers.here.keys[1]: a key is written out in the file; write ${VARIABLE} or ${file:PATH}"],
    ),
    "a header that is none": (
        NEAR + "headers: {'a b': x}}}\n",
        ['1:83: providers.here.headers["a b"]: not a header name'],
    ),
    "a header of the engine": (
        NEAR + "headers: {Host: x}}}\n",
        ["1:83: providers.here.headers.Host: this header is written for each request; leave it out"],
    ),
    "a header twice": (
        NEAR + "headers: {x-a: x, X-A: y}}}\n",
        ["1:91: providers.here.headers.X-A: this header is set twice"],
    ),
    "a key header that is none": (
        NEAR + "key_header: 'x:y'}}\n",
        ["1:85: providers.here.key_header: not a header name"],
    ),
    "a key in the host header": (
        NEAR + "key_header: Host}}\n",
        ["1:85: providers.here.key_header: this header cannot carry a key"],
    ),
    "certificates that are not there": (
        NEAR + "ca_file: nowhere.pem}}\n",
        ["1:82: providers.here.ca_file: this file cannot be read"],
    ),
    # Models.
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
    # References.
    "a variable that is not set": (
        NEAR + "key: '${NOT_SET}'}}\n",
        ["1:78: providers.here.key: the variable NOT_SET is not set; set it, or write ${NOT_SET:-default}"],
    ),
    "a brace that stays open": (
        NEAR + "key: '${KEY'}}\n",
        ['1:78: providers.here.key: a "${" has no closing "}"; write $$ for a dollar sign'],
    ),
    "a reference that is none": (
        NEAR + "key: '${A B}'}}\n",
        [
            "1:78: providers.here.key: not a reference; "
            "write ${VAR}, ${VAR:-default} or ${file:PATH}; $$ for a dollar sign"
        ],
    ),
    "a file that is not there": (
        NEAR + "key: '${file:no-such-file}'}}\n",
        ['1:78: providers.here.key: cannot read the file "no-such-file"; No such file or directory'],
    ),
    "a number that the variable is not": (
        "listen: {port: '${WORD}'}\n",
        ["1:16: listen.port: expected a whole number, got text"],
    ),
    "a provider out of a variable": (
        "models: {smart: {targets: ['${WORD}/a']}}\n",
        ['1:28: models.smart.targets[0]: no provider "${WORD}/a"'],
    ),
    # Warnings.
    "a key in clear": (
        NEAR + "key: sk-1234567890}}\n",
        ["1:78: warning: providers.here.key: a key is written out in the file; write ${VARIABLE} or ${file:PATH}"],
    ),
    "a key in clear among the headers": (
        NEAR + "headers: {X-Api-Key: sk-1234567890}}}\n",
        [
            "1:94: warning: providers.here.headers.X-Api-Key: a key is written out in the file; "
            "write ${VARIABLE} or ${file:PATH}"
        ],
    ),
    "no key at all": (NEAR + "key: }}", []),
    "an open door": (
        "listen: {address: 0.0.0.0}\n",
        [
            '1:19: warning: listen.address: "0.0.0.0" can be reached by other machines, and no keys are asked for; '
            "serve refuses it without open: true"
        ],
    ),
}

CASES["an open door for metrics"] = (
    "listen: {admin_address: 10.0.0.7}\n",
    [
        '1:25: warning: listen.admin_address: "10.0.0.7" can be reached by other machines, and no keys are asked for; '
        "serve refuses it without open: true"
    ],
)

ENVIRON = {"EMPTY": "", "TWO_LINES": "sk-one\nsk-two", "WORD": "hunter2", "KEY": "sk-from-environment"}


def mistakes_in(text: str, folder: Path, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    file = folder / "fastroute.yaml"
    file.write_text(text, encoding="utf-8")
    return [
        str(mistake._replace(file="")) if not mistake.line else _short(mistake)
        for mistake in find_mistakes(file, environ=environ)
    ]


def _short(mistake: object) -> str:
    return str(mistake).split("fastroute.yaml:", 1)[1]


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_mistake_is_told_with_its_place_and_what_to_do(text: str, expected: list[str], tmp_path: Path) -> None:
    assert mistakes_in(text, tmp_path) == expected


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_file_with_a_mistake_does_not_load_and_one_with_a_warning_does(
    text: str, expected: list[str], tmp_path: Path
) -> None:
    mistakes_in(text, tmp_path)
    if all("warning: " in line for line in expected):
        load(tmp_path / "fastroute.yaml", environ=ENVIRON)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "fastroute.yaml", environ=ENVIRON)
    assert [_short(mistake) for mistake in caught.value.mistakes] == expected


def test_listeners_that_other_machines_reach_need_to_be_opened_on_purpose() -> None:
    def unguarded(**settings: Any) -> list[tuple[str, str]]:
        return [(wanted.name, wanted.address_key) for wanted in unguarded_listeners(Listen(**settings))]

    assert unguarded() == []
    assert unguarded(address="localhost", edge_address="::1") == []
    assert unguarded(address="::", edge_address="192.0.2.1", admin_address="metrics.internal") == [
        ("granian", "address"),
        ("edge", "edge_address"),
        ("admin", "admin_address"),
    ]
    assert unguarded(address="0.0.0.0") == [("granian", "address"), ("edge", "address")]
    assert unguarded(address="0.0.0.0", open=True) == []
    assert unguarded(edge=False, edge_address="192.0.2.1", admin=False, admin_address="192.0.2.1") == []


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


def test_a_catalogue_provider_without_its_key_names_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("providers: {openai: {}}\nmodels: {a: {targets: [groq/x, opnai/y]}}\n")
    known = {"openai": Needs(keys=("OPENAI_API_KEY",)), "groq": Needs(keys=("GROQ_API_KEY", "GROQ_KEY"))}
    assert [_short(mistake) for mistake in find_mistakes(file, known, {})] == [
        '1:13: providers.openai: has no key; set OPENAI_API_KEY, or write "key"',
        '2:24: models.a.targets[0]: provider "groq" has no key; set GROQ_API_KEY or GROQ_KEY',
        '2:32: models.a.targets[1]: no provider "opnai"; did you mean "openai"?',
    ]


OPEN = Needs(
    vars={"region": ("AWS_REGION",), "account": ()}, open=frozenset(("region", "account")), free=frozenset(("region",))
)
LISTED = Needs(vars={"region": ()}, regions=("beijing", "singapore"))


@pytest.mark.parametrize(
    "provider, mistakes",
    [
        (
            "{}",
            [
                '1:13: providers.aws: its address has no account; write "account" under "vars"',
                '1:13: providers.aws: its address has no region; set AWS_REGION, or write "region"',
            ],
        ),
        ("{region: eu-west-1, vars: {account: a1}}", []),
        (
            "{region: 'evil.example/', vars: {account: a1}}",
            ['1:27: providers.aws.region: an address cannot hold it; letters, digits, "-", "_" and "."'],
        ),
        (
            "{vars: {account: a1, region: eu}}",
            ['1:39: providers.aws.vars.region: stands beside "vars"; write "region" itself'],
        ),
        (
            "{region: eu, vars: {acount: a1}}",
            [
                '1:13: providers.aws: its address has no account; write "account" under "vars"',
                "1:38: providers.aws.vars.acount: the address does not ask for it; known: region, account",
            ],
        ),
    ],
)
def test_what_an_address_leaves_open_is_asked_for(provider: str, mistakes: list[str], tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text(f"providers: {{aws: {provider}}}\n")
    assert [_short(mistake) for mistake in find_mistakes(file, {"aws": OPEN}, {})] == mistakes


def test_a_region_is_one_of_those_the_provider_has(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("providers: {qwen: {region: bejing}}\n")
    assert [_short(mistake) for mistake in find_mistakes(file, {"qwen": LISTED}, {})] == [
        '1:28: providers.qwen.region: no region "bejing"; did you mean "beijing"?'
    ]


def test_a_target_whose_provider_is_not_named_needs_nothing_more_than_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("models: {a: {targets: [aws/x, proxy/y]}}\n")
    assert [_short(mistake) for mistake in find_mistakes(file, {"aws": OPEN, "proxy": Needs(address=True)}, {})] == [
        '1:24: models.a.targets[0]: its address has no account; name it under "providers", with its account',
        '1:31: models.a.targets[1]: provider "proxy" has no address; name it under "providers", with its address',
    ]
