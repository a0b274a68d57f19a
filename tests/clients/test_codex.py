"""Codex, as `codex exec` runs it, before a server that speaks chat: what its user sees."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.agents import Agent, Run
from clients.conftest import Gateway
from clients.scripted import OPERATORS_TO_MEND, Scripted, Turn, called, refused, said

# A gigabyte of npm, and a program to start for each test.
pytestmark = pytest.mark.long

Codex = Callable[..., Run]

SETTINGS = """\
model_provider = "gateway"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
request_max_retries = 2
stream_max_retries = 1
"""


@pytest.fixture
def codex(gateway: Gateway, door: str, tmp_path: Path) -> Codex:
    """`codex(model, "a prompt")`: one run in a project that holds `treasure.txt`."""
    return codex_at(gateway.doors[door], tmp_path)


def codex_at(address: str, folder: Path) -> Codex:
    agent = Agent("codex", folder, {"GATEWAY_KEY": "unused"})
    agent.write(".codex/config.toml", SETTINGS.format(url=address))
    (agent.project / "treasure.txt").write_text("under the old oak\n")

    def run(model: str, prompt: str) -> Run:
        # Its own sandbox needs what a container does not give.
        freely = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        return agent.run("exec", *freely, "--model", model, prompt)

    return run


def test_codex_prints_the_answer(codex: Codex, scripted: Scripted) -> None:
    model = scripted.model(said("All is well in this project."))
    run = codex(model, "How is it?")
    assert (run.status, run.out.strip()) == (0, "All is well in this project."), run
    asked = scripted.heard(model)[0]
    assert "How is it?" in str(asked["messages"][-1]["content"])
    assert "exec_command" in {tool["function"]["name"] for tool in asked["tools"]}


def test_codex_runs_the_command_that_the_model_asks_for(codex: Codex, scripted: Scripted, tmp_path: Path) -> None:
    model = scripted.model(called("exec_command", cmd="cat treasure.txt | tee found.txt"), said("It is under the oak."))
    run = codex(model, "Where is the treasure?")
    assert (run.status, run.out.strip()) == (0, "It is under the oak."), run
    assert (tmp_path / "project/found.txt").read_text() == "under the old oak\n"
    result = scripted.heard(model)[1]["messages"][-1]
    assert result["role"] == "tool"
    assert "under the old oak" in str(result["content"])


def test_codex_waits_as_long_as_it_is_told_to(codex: Codex, scripted: Scripted) -> None:
    limited = refused(429, "Slow down.", code="rate_limit_exceeded", headers={"retry-after": "1"})
    model = scripted.model(limited, said("Here I am."))
    run = codex(model, "How is it?")
    assert (run.status, run.out.strip()) == (0, "Here I am."), run


def test_codex_tries_again_where_everybody_is_overloaded(codex: Codex, scripted: Scripted) -> None:
    model = scripted.model(refused(503, "Overloaded."), refused(503, "Overloaded."), said("Here I am."))
    run = codex(model, "How is it?")
    assert (run.status, run.out.strip()) == (0, "Here I am."), run


def test_codex_says_that_a_prompt_is_too_long(codex: Codex, scripted: Scripted) -> None:
    model = scripted.model(
        refused(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded")
    )
    run = codex(model, "How is it?")
    assert run.status == 1, run
    # In its own words, by which it also knows to shorten a conversation.
    assert "ran out of room in the model's context window" in run.err, run
    assert len(scripted.heard(model)) == 1


def test_codex_says_that_a_model_does_not_exist(codex: Codex) -> None:
    run = codex("nobody/knows", "How is it?")
    assert run.status == 1, run
    assert "nobody/knows" in run.err, run


@pytest.mark.parametrize("refusal", OPERATORS_TO_MEND.values(), ids=OPERATORS_TO_MEND)
def test_codex_says_what_only_the_operator_can_mend(
    own_gateway: Gateway, door: str, tmp_path: Path, scripted: Scripted, refusal: Turn
) -> None:
    model = scripted.model(refusal)
    run = codex_at(own_gateway.doors[door], tmp_path)(model, "How is it?")
    assert run.status == 1, run
    assert "operator can mend that" in run.err, run
    assert len(scripted.heard(model)) == 1, "it insists, and the gateway does not"
