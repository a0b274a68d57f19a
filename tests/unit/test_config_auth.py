"""The `auth` block of a provider: what each kind makes of it, and what is said where it does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastroute.catalogue import find_providers
from fastroute.config import find_mistakes, load
from fastroute.config.schema import Auth, Config, Model, Provider
from fastroute.errors import ConfigError
from fastroute.secret import Secret
from fastroute.table import Table, as_wire, compile_table

NOTHING = find_providers({})
ENVIRON = {"ID": "AKIDEXAMPLE", "SECRET": "zq7-hunter2", "SPACED": "a\nb"}
PEM = "-----BEGIN PRIVATE KEY-----\nzq7-hunter2\n-----END PRIVATE KEY-----\n"
ACCOUNT = json.dumps({"type": "service_account", "client_email": "me@p.example", "private_key": PEM})
SIGNING = {"kind": "aws_sigv4", "access_key_id": "${ID}", "secret_access_key": "${SECRET}", "region": "eu-west-1"}
APPLICATION = {"kind": "azure_entra", "tenant_id": "t.example", "client_id": "app", "client_secret": "${SECRET}"}


def mistakes_of(folder: Path, auth: Any, **provider: Any) -> list[str]:
    """Paths and texts of what is wrong with a provider that has this block."""
    file = folder / "fastroute.yaml"
    entry = {"dialect": "openai_chat", "address": "http://127.0.0.1:1", "auth": auth, **provider}
    file.write_text(json.dumps({"providers": {"here": entry}}), encoding="utf-8")
    found = find_mistakes(file, {}, ENVIRON)
    assert not any("hunter2" in str(mistake) for mistake in found)
    if not [mistake for mistake in found if not mistake.warning]:
        load(file, {}, ENVIRON)
    texts = [f"{mistake.message}; {mistake.hint}" if mistake.hint else mistake.message for mistake in found]
    return [f"{each.path.removeprefix('providers.here.')}: {text}" for each, text in zip(found, texts, strict=True)]


@pytest.mark.parametrize(
    ("auth", "provider"),
    [
        (SIGNING, {}),
        ({**SIGNING, "session_token": "${SECRET}", "service": "sagemaker"}, {}),
        ({**SIGNING, "region": None}, {"address": "https://bedrock-runtime.eu-west-1.amazonaws.com"}),
        (APPLICATION, {}),
        ({**APPLICATION, "token_address": "http://127.0.0.1:1/token", "scope": "s"}, {}),
        ({"kind": "google_metadata"}, {}),
        ({"kind": "google_metadata", "token_address": "http://10.0.0.1/token"}, {}),
        ({"kind": "google_service_account", "file": "key.json", "scope": "s"}, {}),
        ({"kind": "google_service_account", "json": "${file:key.json}"}, {}),
        ({"kind": "bearer"}, {"key": "${SECRET}"}),
        ({}, {"keys": ["${ID}", "${SECRET}"]}),
        ({"kind": "header", "name": "x-goog-api-key"}, {"key": "${SECRET}", "headers": {"authorization": "${ID}"}}),
        ({"kind": "query", "name": "key"}, {"key": "${SECRET}", "headers": {"authorization": "${ID}"}}),
    ],
)
def test_a_whole_block_is_taken(tmp_path: Path, auth: Any, provider: dict[str, Any]) -> None:
    (tmp_path / "key.json").write_text(ACCOUNT)
    assert mistakes_of(tmp_path, auth, **provider) == []


@pytest.mark.parametrize(
    ("auth", "provider", "expected"),
    [
        (
            {"kind": "aws_sigv4"},
            {},
            [
                'auth: kind "aws_sigv4" needs "access_key_id"; write access_key_id: ${AWS_ACCESS_KEY_ID}',
                'auth: kind "aws_sigv4" needs "secret_access_key"; write secret_access_key: ${AWS_SECRET_ACCESS_KEY}',
                'auth: kind "aws_sigv4" needs "region"; write region: ${AWS_REGION}',
            ],
        ),
        (
            {**SIGNING, "name": "x"},
            {"key": "${SECRET}"},
            [
                'auth.name: has no effect with kind "aws_sigv4"; leave it out',
                'key: is not used with auth.kind "aws_sigv4"; leave it out',
            ],
        ),
        (
            {**SIGNING, "session_token": "${SPACED}"},
            {},
            [
                "auth.session_token: has characters that a header cannot carry; a line end, a space around it, or not "
                "ASCII"
            ],
        ),
        ({**SIGNING, "region": ""}, {}, ["auth.region: is empty"]),
        (
            {**SIGNING, "secret_access_key": "zq7-hunter2"},
            {},
            ["auth.secret_access_key: a key is written out in the file; write ${VARIABLE} or ${file:PATH}"],
        ),
        (SIGNING, {"headers": {"Authorization": "${ID}"}}, ["headers.Authorization: this header is set twice"]),
        (
            {**SIGNING, "regoin": "x"},
            {},
            ['auth.regoin: unknown key; did you mean "region"?'],
        ),
        ({**APPLICATION, "tenant_id": "a/b"}, {}, ["auth.tenant_id: a tenant is a GUID or a domain"]),
        (
            {**APPLICATION, "token_address": "http://login.example/token"},
            {},
            ['auth.token_address: a token is fetched over "https://", or from this machine'],
        ),
        (
            {"kind": "google_service_account"},
            {},
            [
                'auth: kind "google_service_account" needs "file" or "json"; '
                "write file: ${GOOGLE_APPLICATION_CREDENTIALS}"
            ],
        ),
        (
            {"kind": "google_service_account", "file": "key.json", "json": "${file:key.json}"},
            {},
            ['auth.json: stands beside "file"; keep one of the two'],
        ),
        (
            {"kind": "google_service_account", "file": "none.json"},
            {},
            ["auth.file: this file cannot be read: No such file or directory"],
        ),
        (
            {"kind": "google_service_account", "json": "${SECRET}"},
            {},
            ["auth.json: not the key file of a service account: it is not JSON"],
        ),
        ({"kind": "bearer"}, {}, ['auth: kind "bearer" needs "key" or "keys"']),
        ({"kind": "query"}, {"key": "${SECRET}"}, ['auth: kind "query" needs "name"']),
        ({"kind": "header", "name": "Host"}, {"key": "${ID}"}, ["auth.name: this header cannot carry a key"]),
        ({"kind": "header", "name": "a b"}, {"key": "${ID}"}, ["auth.name: not a header name"]),
        (
            {"kind": "header", "name": "x-key"},
            {"key": "${ID}", "key_header": "api-key"},
            ['key_header: stands beside "auth"; write auth: {kind: header, name: …}'],
        ),
        (
            {"kind": "header", "name": "x-key"},
            {"key": "${ID}", "headers": {"X-Key": "${ID}"}},
            ["headers.X-Key: this header is set twice"],
        ),
        ({"kind": "kerberos"}, {"key": "${ID}"}, None),
        ("aws_sigv4", {}, ["auth: expected a mapping or null, got text"]),
    ],
)
def test_what_does_not_fit_is_told_with_what_to_do(
    tmp_path: Path, auth: Any, provider: dict[str, Any], expected: list[str] | None
) -> None:
    (tmp_path / "key.json").write_text(ACCOUNT)
    found = mistakes_of(tmp_path, auth, **provider)
    if expected is None:
        (only,) = found
        assert only.startswith('auth.kind: expected one of "aws_sigv4", "azure_entra", "bearer", ')
    else:
        assert found == expected


def table_of(auth: Auth, **provider: Any) -> Table:
    entry = Provider(dialect="openai_chat", address="http://127.0.0.1:1", auth=auth, **provider)
    return compile_table(Config(providers={"here": entry}, models={"m": Model(targets=("here/x",))}), NOTHING, 1)


def test_a_credential_is_told_to_the_engine_and_stands_for_a_key_on_record() -> None:
    def signing(secret: str) -> Table:
        keys = Secret("AKID"), Secret(secret)
        auth = Auth(kind="aws_sigv4", region="eu-west-1", access_key_id=keys[0], secret_access_key=keys[1])
        return table_of(auth)

    table = signing("hunter2")
    wire = as_wire(table)
    (provider,), (target, _) = wire["providers"], wire["targets"]
    assert provider["auth"] == {
        "kind": "aws_sigv4",
        "region": "eu-west-1",
        "service": "bedrock",
        "access_key_id": "AKID",
        "secret_access_key": "hunter2",
        "session_token": None,
    }
    assert (provider["keys"], target["key"]) == ([], None)
    other = as_wire(signing("hunter3"))["targets"][0]
    assert target["key_id"]
    assert target["key_id"] != other["key_id"], "another key is another one on record"
    assert table.targets[0].key is not None
    assert table.targets[0].key.name == "auth", "what a log calls it"
    assert "hunter2" not in repr(table)


def test_keys_for_the_query_go_there_under_the_name_as_it_is_written() -> None:
    table = table_of(Auth(kind="query", name="apiKey"), keys=(Secret("sk-1"), Secret("sk-2")))
    (provider,) = as_wire(table)["providers"]
    assert provider["auth"] == {"kind": "query"}
    assert provider["keys"] == [["apiKey", "sk-1"], ["apiKey", "sk-2"]]
    assert [target["key"] for target in as_wire(table)["targets"]] == [0, 1, 0, 1]


def test_a_key_in_a_header_of_its_own_is_sent_as_it_is() -> None:
    table = table_of(Auth(kind="header", name="Authorization"), key=Secret("Token x"))
    (provider,) = as_wire(table)["providers"]
    assert (provider["auth"], provider["keys"]) == (None, [["authorization", "Token x"]])
    (provider,) = as_wire(table_of(Auth(), key=Secret("sk-1")))["providers"]
    assert provider["keys"] == [["authorization", "Bearer sk-1"]]


def test_a_token_is_fetched_where_the_operator_says() -> None:
    auth = Auth(kind="azure_entra", tenant_id="t", client_id="app", client_secret=Secret("hunter2"))
    (provider,) = as_wire(table_of(auth))["providers"]
    assert provider["auth"] == {
        "kind": "token",
        "at": {"scheme": "https", "host": "login.microsoftonline.com", "port": 443, "path": "/t/oauth2/v2.0/token"},
        "by": {
            "grant": "azure_entra",
            "client_id": "app",
            "client_secret": "hunter2",
            "scope": "https://cognitiveservices.azure.com/.default",
        },
    }


def test_a_key_file_that_vanished_since_it_was_checked_keeps_the_old_table() -> None:
    with pytest.raises(ConfigError, match=r"providers\.here\.auth\.file: this file cannot be read"):
        table_of(Auth(kind="google_service_account", file="/no/such/file"))
