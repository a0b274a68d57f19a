"""Mistakes about providers, their keys and what refers to a variable, in the words a user reads."""

from pathlib import Path

import pytest

from fastroute.config import find_mistakes
from fastroute.needs import Needs
from unit.config_mistakes import NEAR, hold, short

CASES: dict[str, tuple[str, list[str]]] = {
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
}


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES.keys())
def test_a_mistake_about_providers_is_told_with_place_and_cure(text: str, expected: list[str], tmp_path: Path) -> None:
    hold(text, expected, tmp_path)


def test_a_catalogue_provider_without_its_key_names_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("providers: {openai: {}}\nmodels: {a: {targets: [groq/x, opnai/y]}}\n")
    known = {"openai": Needs(keys=("OPENAI_API_KEY",)), "groq": Needs(keys=("GROQ_API_KEY", "GROQ_KEY"))}
    assert [short(mistake) for mistake in find_mistakes(file, known, {})] == [
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
    assert [short(mistake) for mistake in find_mistakes(file, {"aws": OPEN}, {})] == mistakes


def test_a_region_is_one_of_those_the_provider_has(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("providers: {qwen: {region: bejing}}\n")
    assert [short(mistake) for mistake in find_mistakes(file, {"qwen": LISTED}, {})] == [
        '1:28: providers.qwen.region: no region "bejing"; did you mean "beijing"?'
    ]


def test_a_target_whose_provider_is_not_named_needs_nothing_more_than_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "fastroute.yaml"
    file.write_text("models: {a: {targets: [aws/x, proxy/y]}}\n")
    assert [short(mistake) for mistake in find_mistakes(file, {"aws": OPEN, "proxy": Needs(address=True)}, {})] == [
        '1:24: models.a.targets[0]: its address has no account; name it under "providers", with its account',
        '1:31: models.a.targets[1]: provider "proxy" has no address; name it under "providers", with its address',
    ]
