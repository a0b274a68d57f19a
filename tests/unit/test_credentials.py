"""Credentials from the environment and from key files: what is found, and what is said where something is amiss."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastroute.catalogue import Catalogue, Row, find_providers
from fastroute.catalogue import found as found_in
from fastroute.config.schema import Config, Provider
from fastroute.credentials import (
    GOOGLE_TOKENS,
    AwsKeys,
    BearerKey,
    EntraApplication,
    MachineAccount,
    ServiceAccount,
    as_wire,
    from_environment,
    parse_service_account,
    read_service_account,
    region_of,
)
from fastroute.secret import Secret
from fastroute.table import as_wire as table_as_wire
from fastroute.table import compile_table

PEM = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
ACCOUNT = {"type": "service_account", "client_email": "me@p.example", "private_key": PEM, "private_key_id": "k"}
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
AZURE = {"AZURE_TENANT_ID": "t.example", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "hunter2"}


def test_aws_keys_are_found_with_session_and_region() -> None:
    more = {"AWS_SESSION_TOKEN": " session ", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    found = from_environment("aws_sigv4", {**AWS, **more})
    keys = AwsKeys(Secret("AKIDEXAMPLE"), Secret("hunter2"), Secret("session"), "eu-west-1")
    assert found == (keys, "AWS_ACCESS_KEY_ID", None)
    plain = from_environment("aws_sigv4", {**AWS, "AWS_DEFAULT_REGION": "us-east-1"}).credential
    assert plain == AwsKeys(Secret("AKIDEXAMPLE"), Secret("hunter2"), None, "us-east-1")


def test_a_bearer_key_for_bedrock_comes_before_keys_that_sign() -> None:
    found = from_environment("aws_sigv4", {**AWS, "AWS_BEARER_TOKEN_BEDROCK": "hunter3"})
    assert found == (BearerKey(Secret("hunter3")), "AWS_BEARER_TOKEN_BEDROCK", None)


@pytest.mark.parametrize("kind", ["aws_sigv4", "google_service_account", "google_metadata", "azure_entra"])
def test_an_environment_without_the_variables_is_no_problem(kind: str) -> None:
    found = from_environment(kind, {"AWS_ACCESS_KEY_ID": " ", "GOOGLE_APPLICATION_CREDENTIALS": ""})
    assert (found.credential, found.problem) == (None, None)


@pytest.mark.parametrize(
    ("kind", "environ", "variable", "problem"),
    [
        ("aws_sigv4", {"AWS_ACCESS_KEY_ID": "a"}, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY must be set with it"),
        ("aws_sigv4", {"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID must be set with it"),
        (
            "azure_entra",
            {"AZURE_TENANT_ID": "t"},
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET must be set with it",
        ),
        ("azure_entra", {**AZURE, "AZURE_TENANT_ID": "a/b"}, "AZURE_TENANT_ID", "a tenant is a GUID or a domain"),
        (
            "azure_entra",
            {**AZURE, "AZURE_AUTHORITY_HOST": "http://login.example"},
            "AZURE_TENANT_ID",
            'a token is fetched over "https://", or from this machine',
        ),
        (
            "aws_sigv4",
            {**AWS, "AWS_SESSION_TOKEN": "a\nb"},
            "AWS_ACCESS_KEY_ID",
            "it has characters that a header cannot carry",
        ),
        (
            "google_service_account",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file"},
            "GOOGLE_APPLICATION_CREDENTIALS",
            "this file cannot be read: No such file or directory",
        ),
    ],
)
def test_half_of_what_is_needed_is_named(kind: str, environ: dict[str, str], variable: str, problem: str) -> None:
    assert from_environment(kind, environ) == (None, variable, problem)


def test_an_application_is_found_at_the_login_that_azures_own_tools_would_take() -> None:
    usual = from_environment("azure_entra", AZURE)
    assert isinstance(usual.credential, EntraApplication)
    assert usual.credential.token_address == "https://login.microsoftonline.com/t.example/oauth2/v2.0/token"
    for host in ("login.example", "https://login.example/"):
        other = from_environment("azure_entra", {**AZURE, "AZURE_AUTHORITY_HOST": host}).credential
        assert isinstance(other, EntraApplication)
        assert other.token_address == "https://login.example/t.example/oauth2/v2.0/token"


def test_a_machine_account_is_found_where_its_server_is_named() -> None:
    found = from_environment("google_metadata", {"GCE_METADATA_HOST": "10.0.0.1:80"}).credential
    assert isinstance(found, MachineAccount)
    at = as_wire(found, "")["at"]
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    assert at == {"scheme": "http", "host": "10.0.0.1", "port": 80, "path": path}


def test_a_key_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({**ACCOUNT, "project_id": "p", "universe_domain": "googleapis.com"}))
    account = read_service_account(str(file))
    assert account == ServiceAccount("me@p.example", Secret(PEM), "k", GOOGLE_TOKENS, GOOGLE_TOKENS)
    found = from_environment("google_service_account", {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})
    assert found == (account, "GOOGLE_APPLICATION_CREDENTIALS", None)
    assert as_wire(account, "")["by"]["private_key"] == PEM


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"type": "authorized_user"}, 'its "type" is not "service_account"'),
        ({"client_email": None}, 'it has no "client_email"'),
        ({"private_key": 7}, 'it has no "private_key"'),
        ({"private_key": "hunter2"}, 'its "private_key" is not PEM'),
        ({"private_key_id": ["hunter2"]}, 'its "private_key_id" or "token_uri" is no text'),
        ({"token_uri": 7}, 'its "private_key_id" or "token_uri" is no text'),
        ({"token_uri": "ftp://hunter2"}, 'its "token_uri": an address starts with "http://" or "https://"'),
        ({"token_uri": "http://hunter2/"}, 'its "token_uri": a token is fetched over "https://", or from this machine'),
    ],
)
def test_what_is_wrong_with_a_key_file_is_named_and_not_repeated(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match="not the key file of a service account: ") as raised:
        parse_service_account(json.dumps({**ACCOUNT, **change}))
    assert str(raised.value).endswith(what)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "hunter2", "[]", "7", "[" * 100_000, '"hunter2"', " " * 70_000])
def test_what_is_no_key_file_at_all_is_told_as_that(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not the key file of a service account: it is ") as raised:
        parse_service_account(text)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("bedrock-runtime.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-mantle.us-east-1.api.aws", "us-east-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("127.0.0.1", None),
        ("eu-central-1.amazonaws.com.example", None),
    ],
)
def test_a_hosts_name_may_tell_its_region(host: str, region: str | None) -> None:
    assert region_of(host) == region


def test_a_region_that_is_written_comes_before_that_of_the_host() -> None:
    keys = AwsKeys(Secret("a"), Secret("b"))
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    assert as_wire(keys, host)["region"] == "eu-central-1"
    assert as_wire(AwsKeys(Secret("a"), Secret("b"), None, "us-east-1"), host)["region"] == "us-east-1"


def test_no_credential_is_printed() -> None:
    for credential in (
        AwsKeys(Secret("AKID-hunter2"), Secret("hunter2"), Secret("hunter2")),
        parse_service_account(json.dumps(ACCOUNT)),
        EntraApplication("app", Secret("hunter2"), "https://login.example/t"),
        BearerKey(Secret("hunter2")),
    ):
        assert "hunter2" not in f"{credential!r} {credential}"


def test_a_row_that_needs_more_than_a_key_takes_what_its_kind_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(
        address="https://models.eu-west-1.amazonaws.com/v1",
        key_env=("AWS_ACCESS_KEY_ID",),
        speaks={"openai_chat": "/chat"},
        auth="aws_sigv4",
    )
    monkeypatch.setattr(found_in, "read_catalogue", lambda: Catalogue(providers={"signed": row}))
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    found = find_providers(keys)
    assert found.providers["signed"].variable == "AWS_ACCESS_KEY_ID"
    (provider, _) = table_as_wire(compile_table(Config(), found, 1))["providers"]
    assert (provider["auth"]["region"], provider["auth"]["secret_access_key"]) == ("eu-west-1", "hunter2")
    bearer = find_providers({**keys, "AWS_BEARER_TOKEN_BEDROCK": "hunter3"})
    (provider, _) = table_as_wire(compile_table(Config(), bearer, 1))["providers"]
    assert (provider["auth"], provider["keys"]) == (None, [["authorization", "Bearer hunter3"]])
    # Credentials go only to the address they were found for.
    elsewhere = Config(providers={"signed": Provider(address="https://elsewhere.example")})
    (provider,) = table_as_wire(compile_table(elsewhere, found, 1))["providers"]
    assert (provider["auth"], provider["keys"]) == (None, [])
    half = find_providers({"AWS_ACCESS_KEY_ID": "AKID"})
    assert (dict(half.providers), half.ignored) == (
        {},
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY must be set with it"),),
    )


def test_keys_that_sign_for_no_region_in_particular_want_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(address="https://models.example/v1", speaks={"openai_chat": "/chat"}, auth="aws_sigv4")
    monkeypatch.setattr(found_in, "read_catalogue", lambda: Catalogue(providers={"signed": row}))
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    assert find_providers(keys).ignored == (("AWS_ACCESS_KEY_ID", "AWS_REGION must be set with it"),)
    assert "signed" in find_providers({**keys, "AWS_REGION": "eu-west-1"}).providers
