"""gemini-cli and opencode without a terminal, before a server that speaks chat: what their user sees."""

from pathlib import Path

import pytest

from clients.agents import Agent
from clients.conftest import Gateway
from clients.scripted import Scripted, called, said

# A gigabyte of npm, and a program to start for each test.
pytestmark = pytest.mark.long

# opencode's way to speak each dialect, and what it puts behind the gateway's address.
OPENCODE = {
    "chat": ("@ai-sdk/openai-compatible", "/v1"),
    "responses": ("@ai-sdk/openai", "/v1"),
    "anthropic": ("@ai-sdk/anthropic", "/v1"),
    "google": ("@ai-sdk/google", "/v1beta"),
}


def assert_the_treasure_is_found(scripted: Scripted, model: str, project: Path) -> None:
    assert (project / "found.txt").read_text() == "under the old oak\n"
    result = scripted.heard(model)[1]["messages"][-1]
    assert result["role"] == "tool"
    assert "under the old oak" in str(result["content"])


def test_gemini_cli_runs_the_command_that_the_model_asks_for(
    gateway: Gateway, door: str, scripted: Scripted, tmp_path: Path
) -> None:
    model = scripted.model(
        called("run_shell_command", command="cat treasure.txt | tee found.txt"), said("It is under the oak.")
    )
    env = {"GEMINI_API_KEY": "unused", "GOOGLE_GEMINI_BASE_URL": gateway.doors[door]}
    agent = Agent("gemini", tmp_path, env)
    settings = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "telemetry": {"enabled": False},
    }
    agent.write(".gemini/settings.json", settings)
    (agent.project / "treasure.txt").write_text("under the old oak\n")
    run = agent.run("-m", model, "-p", "Where is the treasure?", "--skip-trust", "--yolo")
    assert run.status == 0, run
    assert run.out.strip().endswith("It is under the oak."), run
    assert_the_treasure_is_found(scripted, model, agent.project)


@pytest.mark.parametrize("dialect", list(OPENCODE))
def test_opencode_runs_the_command_that_the_model_asks_for(
    gateway: Gateway, door: str, scripted: Scripted, tmp_path: Path, dialect: str
) -> None:
    heard_as = scripted.model(
        called("bash", command="cat treasure.txt | tee found.txt", description="Looks."), said("It is under the oak.")
    )
    title = scripted.model(said("A treasure"), prefix="title")
    agent = Agent("opencode", tmp_path, {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"})
    package, path = OPENCODE[dialect]
    # Google's kind puts this before a name only where the name has no slash.
    model, title = (f"models/{name}" if dialect == "google" else name for name in (heard_as, title))
    provider = {
        "npm": package,
        "options": {"baseURL": f"{gateway.doors[door]}{path}", "apiKey": "unused"},
        "models": {model: {"name": "m", "tool_call": True}, title: {"name": "t"}},
    }
    settings = {
        "provider": {"gateway": provider},
        "model": f"gateway/{model}",
        "small_model": f"gateway/{title}",
        "autoupdate": False,
        "share": "disabled",
        "permission": {"bash": "allow"},
    }
    agent.write(".config/opencode/opencode.json", settings)
    (agent.project / "treasure.txt").write_text("under the old oak\n")
    run = agent.run("run", "Where is the treasure?")
    assert run.status == 0, run
    assert "It is under the oak." in run.out, run
    assert_the_treasure_is_found(scripted, heard_as, agent.project)
