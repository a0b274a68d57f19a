"""Claude Code, as `claude -p` runs it, before a server that speaks chat: what its user sees."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.agents import Agent, Run
from clients.conftest import Gateway
from clients.scripted import OPERATORS_TO_MEND, Scripted, Turn, called, refused, said

# A gigabyte of npm, and a program to start for each test.
pytestmark = pytest.mark.long

SOON_S = 15.0
"""Where it insists it does so for longer; where it gives up it does so within two seconds on a machine at rest."""

Claude = Callable[..., Run]


@pytest.fixture
def claude(gateway: Gateway, door: str, tmp_path: Path, scripted: Scripted) -> Claude:
    """`claude(model, "a prompt")`: one run in a project that holds `treasure.txt`."""
    return claude_at(gateway.doors[door], tmp_path, scripted)


def claude_at(address: str, folder: Path, scripted: Scripted) -> Claude:
    aside = scripted.model(said("Aside."), prefix="aside")
    aliases = {f"ANTHROPIC_DEFAULT_{size}_MODEL": aside for size in ("OPUS", "SONNET", "HAIKU")}
    env = {
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_AUTH_TOKEN": "unused",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        **aliases,
    }
    agent = Agent("claude", folder, env)
    (agent.project / "treasure.txt").write_text("under the old oak\n")

    def run(model: str, prompt: str) -> Run:
        return agent.run("-p", prompt, "--model", model, "--allowedTools", "Bash")

    return run


def test_claude_code_prints_the_answer(claude: Claude, scripted: Scripted) -> None:
    model = scripted.model(said("All is well in this project."))
    run = claude(model, "How is it?")
    assert (run.status, run.out.strip()) == (0, "All is well in this project."), run
    asked = scripted.heard(model)[0]
    assert "How is it?" in str(asked["messages"])
    assert {"Bash", "Read", "Edit"} <= {tool["function"]["name"] for tool in asked["tools"]}


def test_claude_code_runs_the_command_that_the_model_asks_for(
    claude: Claude, scripted: Scripted, tmp_path: Path
) -> None:
    model = scripted.model(
        called("Bash", command="cat treasure.txt | tee found.txt", description="Looks."), said("It is under the oak.")
    )
    run = claude(model, "Where is the treasure?")
    assert (run.status, run.out.strip()) == (0, "It is under the oak."), run
    assert (tmp_path / "project/found.txt").read_text() == "under the old oak\n"
    result = scripted.heard(model)[1]["messages"][-1]
    assert result["role"] == "tool"
    assert "under the old oak" in str(result["content"])


def test_claude_code_waits_as_long_as_it_is_told_to(claude: Claude, scripted: Scripted) -> None:
    limited = refused(429, "Slow down.", code="rate_limit_exceeded", headers={"retry-after": "1"})
    model = scripted.model(limited, said("Here I am."))
    run = claude(model, "How is it?")
    assert (run.status, run.out.strip()) == (0, "Here I am."), run


def test_claude_code_tries_again_where_an_overload_passes_soon(claude: Claude, scripted: Scripted) -> None:
    busy = refused(503, "Overloaded.", headers={"retry-after": "1"})
    run = claude(scripted.model(busy, busy, said("Here I am.")), "How is it?")
    assert (run.status, run.out.strip()) == (0, "Here I am."), run


def test_claude_code_says_at_once_that_everybody_is_overloaded(claude: Claude, scripted: Scripted) -> None:
    began = time.monotonic()
    run = claude(scripted.model(refused(503, "Overloaded.")), "How is it?")
    assert run.status == 1, run
    assert "529" in run.out, run
    assert "overloaded" in run.out, run
    assert time.monotonic() - began < SOON_S


def test_claude_code_says_that_a_prompt_is_too_long(claude: Claude, scripted: Scripted) -> None:
    model = scripted.model(
        refused(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded")
    )
    run = claude(model, "How is it?")
    assert run.status == 1, run
    assert "prompt is too long" in run.out.lower(), run


def test_claude_code_says_that_a_model_does_not_exist_and_does_not_insist(claude: Claude) -> None:
    began = time.monotonic()
    run = claude("nobody/knows", "How is it?")
    assert run.status == 1, run
    assert "nobody/knows" in run.out, run
    assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("refusal", OPERATORS_TO_MEND.values(), ids=OPERATORS_TO_MEND)
def test_claude_code_does_not_insist_where_waiting_helps_nobody(
    own_gateway: Gateway, door: str, tmp_path: Path, scripted: Scripted, refusal: Turn
) -> None:
    model = scripted.model(refusal)
    began = time.monotonic()
    run = claude_at(own_gateway.doors[door], tmp_path, scripted)(model, "How is it?")
    assert run.status == 1, run
    assert "operator can mend that" in run.out, run
    assert time.monotonic() - began < SOON_S, run
    assert len(scripted.heard(model)) == 1, "the gateway does not insist either"
