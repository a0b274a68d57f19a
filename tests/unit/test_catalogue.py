"""The providers known by name, and what is found of them in an environment."""

import re

import pytest

from fastroute.address import leads_to, parse_address
from fastroute.catalogue import find_providers, read_catalogue
from fastroute.config.flaws import find_flaws
from fastroute.config.schema import Config, Provider, Speaks
from fastroute.secret import Secret

LISTENERS = [("127.0.0.1", 4000), ("127.0.0.1", 4001)]
ROWS = read_catalogue().providers


@pytest.mark.parametrize("name", ROWS)
def test_a_row_would_be_a_good_configuration(name: str) -> None:
    row = ROWS[name]
    speaks: Speaks = dict(row.speaks)  # type: ignore[assignment]
    config = Config(providers={name: Provider(address=row.address, speaks=speaks)})
    assert find_flaws(config, {}) == []
    assert row.address.startswith("https://")
    assert "openai_chat" in row.speaks


def test_no_variable_gives_keys_to_two_providers() -> None:
    catalogue = read_catalogue()
    variables = [name for row in (*catalogue.providers.values(), *catalogue.not_yet.values()) for name in row.key_env]
    assert len(variables) == len(set(variables))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in variables)


def test_nothing_is_found_in_an_empty_environment() -> None:
    found = find_providers({})
    assert (found.providers, found.not_yet, found.ignored) == ({}, (), ())
    assert found.known()["openai"] == ("OPENAI_API_KEY",)


def test_a_key_is_found_by_the_first_variable_that_is_set() -> None:
    environ = {"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "g-key\n", "GROQ_API_KEY": "q-key"}
    found = find_providers(environ)
    assert list(found.providers) == ["groq", "gemini"]
    assert found.providers["gemini"].variable == "GOOGLE_API_KEY"
    assert found.providers["gemini"].key == Secret("g-key")
    assert found.known()["gemini"] == ()


def test_a_key_for_a_dialect_that_is_not_built_is_found_and_not_used() -> None:
    found = find_providers({"ANTHROPIC_AUTH_TOKEN": "x", "CO_API_KEY": "y"})
    assert found.providers == {}
    assert found.not_yet == (("anthropic", "ANTHROPIC_AUTH_TOKEN"), ("cohere", "CO_API_KEY"))


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
def test_an_address_that_leads_back_to_us_is_not_an_upstream(address: str) -> None:
    found = find_providers({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": address}, LISTENERS)
    assert found.providers["openai"].address == "https://api.openai.com/v1"
    assert found.ignored == (("OPENAI_BASE_URL", "it points at this gateway"),)


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
