"""`fastroute check` and `fastroute schema`: what they print, where, and with which exit status."""

import json
import os
from pathlib import Path

import jsonschema_rs
import pytest
from click.testing import CliRunner, Result

from fastroute.catalogue import read_catalogue
from fastroute.cli import main

GOOD = 'providers: {here: {dialect: openai_chat, address: "http://h"}}\n'
BAD = 'listen: {prot: 1}\nproviders: {here: {dialect: openai_chat, address: "http://h", key: sk-literal}}\n'
WARNED = 'providers: {here: {dialect: openai_chat, address: "http://h", key: sk-literal}}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in [
        "FASTROUTE_CONFIG",
        *(name for row in read_catalogue().providers.values() for name in (*row.key_env, *row.bearer_env)),
    ]:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_good_file_exits_with_0_and_says_so_beside_stdout(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD)
    result = run("check", "a.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "a.yaml: no mistakes\n")


def test_mistakes_are_lines_that_editors_understand_and_exit_with_2(folder: Path) -> None:
    (folder / "a.yaml").write_text(BAD)
    result = run("check", "a.yaml")
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        'a.yaml:1:10: listen.prot: unknown key; did you mean "port"?',
        "a.yaml:2:68: warning: providers.here.key: a key is written out in the file; write ${VARIABLE} or ${file:PATH}",
    ]
    assert result.stderr == "a.yaml: 1 mistake, 1 warning\n"


def test_a_warning_alone_exits_with_0(folder: Path) -> None:
    (folder / "a.yaml").write_text(WARNED)
    result = run("check", "a.yaml")
    assert (result.exit_code, result.stderr) == (0, "a.yaml: no mistakes, 1 warning\n")
    assert "sk-literal" not in result.output


def test_json_is_one_document_with_every_field(folder: Path) -> None:
    (folder / "a.yaml").write_text(BAD)
    result = run("check", "a.yaml", "--format", "json")
    assert result.exit_code == 2
    first, second = json.loads(result.stdout)
    assert first == {
        "file": "a.yaml",
        "line": 1,
        "column": 10,
        "path": "listen.prot",
        "message": "unknown key",
        "hint": 'did you mean "port"?',
        "level": "error",
    }
    assert second["level"] == "warning"


def test_a_good_file_is_an_empty_json_list(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD)
    assert json.loads(run("check", "a.yaml", "--format", "json").stdout) == []


def test_annotations_for_a_pull_request_escape_what_would_end_them(folder: Path) -> None:
    (folder / "a,b.yaml").write_text('listen: {"50%": 1}\n')
    result = run("check", "a,b.yaml", "--format", "github")
    assert result.stdout.startswith('::error file=a%2Cb.yaml,line=1,col=10::listen["50%25"]: unknown key; ')


def test_the_file_may_come_from_the_environment_or_be_the_usual_one(folder: Path) -> None:
    (folder / "fastroute.toml").write_text("[listen]\n")
    (folder / "other.yaml").write_text(GOOD)
    assert run("check").stderr == "fastroute.toml: no mistakes\n"
    result = CliRunner().invoke(main, ["check"], env={"FASTROUTE_CONFIG": "other.yaml"})
    assert result.stderr == "other.yaml: no mistakes\n"


def test_without_any_file_it_says_what_it_looked_for(folder: Path) -> None:
    result = run("check")
    assert result.exit_code == 2
    assert "no file named, and none of fastroute.yaml, fastroute.yml, fastroute.toml is in this folder" in result.output


def test_a_catalogue_provider_needs_its_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.yaml").write_text("models: {fast: {targets: [groq/x]}}\n")
    assert run("check", "a.yaml").stdout == (
        'a.yaml:1:27: models.fast.targets[0]: provider "groq" has no key; set GROQ_API_KEY\n'
    )
    monkeypatch.setitem(os.environ, "GROQ_API_KEY", "q")
    assert run("check", "a.yaml").exit_code == 0


def test_the_schema_describes_every_key_and_accepts_references_for_numbers(folder: Path) -> None:
    result = run("schema")
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    for name, struct in schema["$defs"].items():
        assert struct["additionalProperties"] is False, name
        for key, node in struct["properties"].items():
            assert node.get("description"), f"{name}.{key} has no description"
    judge = jsonschema_rs.validator_for(schema)
    assert judge.is_valid({"listen": {"port": "${PORT:-4000}", "open": True}, "limits": {"max_in_flight": 7}})
    assert not judge.is_valid({"listen": {"port": "4000"}})
    assert not judge.is_valid({"listen": {"prot": 1}})
