"""`fastroute serve` up to the point where it serves: what it accepts, what it refuses, and the first screen."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastroute.catalogue import read_catalogue
from fastroute.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    for variable in [
        "FASTROUTE_CONFIG",
        *(name for row in read_catalogue().providers.values() for name in row.key_env),
    ]:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("serve", *arguments))


def test_a_file_may_name_a_provider_of_the_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-two")
    (folder / "a.yaml").write_text("providers: {openai: {min_idle: 2}}\nmodels: {a: {targets: [openai/x, groq/y]}}\n")
    result = run("--dry-run", "-c", "a.yaml")
    assert (result.exit_code, result.output) == (0, "the configuration can be used\n")


def test_what_check_would_say_is_said_with_line_and_column(folder: Path) -> None:
    (folder / "a.yaml").write_text("models: {a: {targets: [groq/y]}}\n")
    result = run("--dry-run", "-c", "a.yaml")
    assert result.exit_code == 2
    assert result.stderr == 'a.yaml:1:24: models.a.targets[0]: provider "groq" has no key; set GROQ_API_KEY\n'
