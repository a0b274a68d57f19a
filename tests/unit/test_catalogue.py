"""The providers known by name, and what is found of them in an environment."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from fastroute.address import leads_to, parse_address
from fastroute.catalogue import SIGNED, Row, find_providers, read_catalogue
from fastroute.catalogue.rows import Variable, read_rows
from fastroute.config.flaws import find_flaws
from fastroute.config.quirks import Quirks
from fastroute.config.schema import Config, Provider, Speakable, Speaks
from fastroute.needs import REGION
from fastroute.secret import Secret

LISTENERS = [("127.0.0.1", 4000), ("127.0.0.1", 4001)]
ROWS = read_catalogue().providers


def filled(row: Row) -> list[str]:
    """Every address a row can lead to, with something in the place of each variable."""
    values = dict.fromkeys(row.variables(), "somewhere")
    return [row.address_in({**values, REGION: region}) for region in ("somewhere", *row.regions)]


def test_there_are_at_least_forty_five_providers() -> None:
    assert len([row for row in ROWS.values() if row.like is None]) >= 45


@pytest.mark.parametrize("name", ROWS)
def test_a_row_would_be_a_good_configuration(name: str) -> None:
    row = ROWS[name]
    speaks: Speaks = dict(row.speaks)  # type: ignore[assignment]
    assert set(speaks) <= set(get_args(Speakable))
    assert set(speaks) - {"models"}
    for address in filled(row) if row.address else ["https://proxy.example"]:
        headers = {header: Secret(value) for header, value in row.headers.items()}
        provider = Provider(address=address, speaks=speaks, key_header=row.key_header, headers=headers)
        assert find_flaws(Config(providers={name: provider}), {}) == []
        assert address.startswith("http://127.0.0.1:" if row.keyless and row.address else "https://")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_it_needs_and_nothing_else(name: str) -> None:
    row = ROWS[name]
    assert row.keyless or row.key_env or row.auth in SIGNED
    assert (row.auth in ("header", "azure_key")) <= bool(row.auth_header)
    asked = row.variables()
    assert row.vars.keys() <= asked
    assert asked <= row.vars.keys() | ({REGION} if row.regions else set())
    assert row.address or row.address_env
    if row.like is not None:
        assert row.named
        assert ROWS[row.like].like is None


@pytest.mark.parametrize("name", ROWS)
def test_the_quirks_of_a_row_could_stand_in_a_configuration(name: str) -> None:
    quirks = msgspec.convert(ROWS[name].quirks, Quirks)
    assert msgspec.to_builtins(quirks) == ROWS[name].quirks


def test_no_variable_gives_keys_to_two_accounts() -> None:
    accounts = [row for row in ROWS.values() if row.like is None]
    variables = [name for row in accounts for name in (*row.key_env, *row.bearer_env)]
    assert len(variables) == len(set(variables))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in variables)


def test_nothing_is_found_in_an_empty_environment() -> None:
    found = find_providers({})
    assert (found.providers, found.keys, found.ignored) == ({}, {}, ())
    assert found.known()["openai"].keys == ("OPENAI_API_KEY",)


def test_a_key_is_found_by_the_first_variable_that_is_set() -> None:
    environ = {"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "g-key\n", "GROQ_API_KEY": "q-key"}
    found = find_providers(environ)
    assert list(found.providers) == ["groq", "gemini"]
    assert found.providers["gemini"].variable == "GOOGLE_API_KEY"
    assert found.providers["gemini"].key == Secret("g-key")
    assert found.known()["gemini"].keys == ()


def test_a_key_goes_in_the_header_of_its_variable() -> None:
    for environ, header in (
        ({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}, "x-api-key"),
        ({"ANTHROPIC_AUTH_TOKEN": "t"}, "authorization"),
        ({"AWS_BEARER_TOKEN_BEDROCK": "t"}, "authorization"),
    ):
        (key,) = {key.header for key in find_providers(environ).keys.values()}
        assert key == header


def test_another_way_to_an_account_waits_to_be_named_and_has_its_key() -> None:
    found = find_providers({"AZURE_OPENAI_API_KEY": "k", "AZURE_RESOURCE_NAME": "mine"})
    assert list(found.providers) == ["azure"]
    assert found.providers["azure"].address == "https://mine.openai.azure.com"
    assert found.keys["azure_anthropic"].value == Secret("k")
    assert found.known()["azure_anthropic"].keys == ()


def test_a_key_whose_address_is_not_complete_is_told_with_what_completes_it() -> None:
    found = find_providers({"CLOUDFLARE_API_TOKEN": "k"})
    assert found.providers == {}
    assert found.ignored == (("CLOUDFLARE_API_TOKEN", "the address needs CLOUDFLARE_ACCOUNT_ID"),)
    assert found.known()["cloudflare"].open == {"account"}


@pytest.mark.parametrize("value", ["a/b", "evil.example#", "a@evil.example", "a:80", "ä", "?", "-", "a\nb", "a" * 129])
def test_no_variable_leads_a_key_to_another_host(value: str) -> None:
    found = find_providers({"CLOUDFLARE_API_TOKEN": "k", "CLOUDFLARE_ACCOUNT_ID": value})
    assert found.providers == {}


def test_a_region_chooses_an_address_or_stands_in_it() -> None:
    vertex = ROWS["vertex"]
    told = {"project": "p"}
    assert vertex.address_in({**told, "region": "europe-west4"}) == (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
    )
    assert parse_address(vertex.address_in({**told, "region": "global"})).host == "aiplatform.googleapis.com"
    assert ROWS["dashscope"].address_in({"region": "beijing"}) == "https://dashscope.aliyuncs.com"
    assert ROWS["dashscope"].address_in({}) == "https://dashscope-intl.aliyuncs.com"


def test_a_provider_of_one_row_is_known_as_it_is() -> None:
    """What `docs/add-a-provider.md` asks for is enough."""
    row = Row(address="https://api.example.com/v1", key_env=("EXAMPLE_API_KEY",), speaks={"openai_chat": "/chat"})
    assert (row.key_header, row.variables(), row.address_in({})) == ("authorization", frozenset(), row.address)
    assert (row.vars, row.named, row.keyless) == (dict[str, Variable](), False, False)


INVENTED = """
[providers.one]
address = "https://one.example"
key_env = ["ONE_KEY"]
speaks.openai_chat = "/chat"
[providers.two]
like = "one"
named = true
address = "https://two.example"
[providers.three]
like = "one"
named = true
speaks.gemini = "/models/{model}:generateContent"
"""


def test_a_row_like_another_has_its_fields_and_where_it_speaks_the_same_its_quirks(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text(INVENTED)
    (tmp_path / "quirks.toml").write_text("[one]\ndrop = ['seed']\n")
    rows = read_rows(tmp_path).providers
    assert rows["two"] == msgspec.structs.replace(rows["one"], address="https://two.example", named=True, like="one")
    assert (rows["two"].quirks, rows["three"].quirks) == ({"drop": ["seed"]}, {})
    assert (rows["three"].key_env, rows["three"].address) == (("ONE_KEY",), "https://one.example")
    assert "openai_chat" not in rows["three"].speaks


@pytest.mark.parametrize(
    "providers, quirks, told",
    [
        (INVENTED, "[four]\ndrop = []\n", "quirks of providers that have no row: four"),
        (INVENTED + "[providers.five]\nadress = 'https://x'\nspeaks.models = '/m'\n", "", "adress"),
        (INVENTED + "[providers.five]\naddress = 'https://x'\n", "", "speaks"),
    ],
)
def test_a_row_that_is_wrong_is_refused_as_it_is_read(providers: str, quirks: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text(providers)
    (tmp_path / "quirks.toml").write_text(quirks)
    with pytest.raises(ValueError, match=told):
        read_rows(tmp_path)


def test_another_address_in_the_environment_is_honoured() -> None:
    environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}
    assert find_providers(environ, LISTENERS).providers["openai"].address == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:4000/v1",
        "http://localhost:4000/v1",
        "http://LOCALHOST:4001/v1/",
        "http://[::1]:4000/v1",
        "http://127.0.0.53:4000",
        "https://localhost:4000/openai/v1",
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_address_that_leads_back_to_us_is_not_an_upstream(provider: str, address: str) -> None:
    variable = f"{provider.upper()}_BASE_URL"
    found = find_providers({f"{provider.upper()}_API_KEY": "k", variable: address}, LISTENERS)
    assert found.providers[provider].address == ROWS[provider].address
    assert found.ignored == ((variable, "it points at this gateway"),)


@pytest.mark.parametrize(
    "called, bound, same",
    [
        ("http://localhost:4000", ("0.0.0.0", 4000), True),
        ("http://0.0.0.0:4000", ("0.0.0.0", 4000), True),
        ("http://10.0.0.7:4000", ("10.0.0.7", 4000), True),
        ("http://10.0.0.8:4000", ("10.0.0.7", 4000), False),
        ("http://localhost:4002", ("127.0.0.1", 4000), False),
        ("http://api.openai.com:4000", ("127.0.0.1", 4000), False),
        ("http://gateway.internal", ("gateway.internal", 80), True),
    ],
)
def test_an_address_leads_to_a_listener_by_port_and_host(called: str, bound: tuple[str, int], same: bool) -> None:
    assert leads_to(parse_address(called), [bound]) is same


def test_what_cannot_be_used_is_named_and_not_repeated() -> None:
    environ = {"OPENAI_BASE_URL": "hunter2", "OPENAI_API_KEY": "hunt\ner2"}
    found = find_providers(environ)
    assert found.providers == {}
    assert found.ignored == (
        ("OPENAI_BASE_URL", 'an address starts with "http://" or "https://"'),
        ("OPENAI_API_KEY", "it has characters that a header cannot carry"),
    )
    assert "hunt" not in repr(find_providers({"GROQ_API_KEY": "hunter2hunter2hunter2"}))
