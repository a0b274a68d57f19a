"""What is known of models: where it comes from, by which names it is found, and that the file is the script's."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from fastroute.catalogue import model_facts, read_catalogue, read_models
from fastroute.catalogue.models import CAPABILITIES, FIELDS, ModelFacts

ROOT = Path(__file__).parents[2]
MODELS = read_models()
FILE = ROOT / "python" / "fastroute" / "catalogue" / "models.json"
FACTS = {
    (provider, name): MODELS.facts(provider, name) for provider in MODELS.providers() for name in MODELS.of(provider)
}


def facts(provider: str, model: str) -> ModelFacts:
    found = MODELS.facts(provider, model)
    assert found is not None, f"{provider}/{model}"
    return found


def test_there_are_at_least_fifteen_hundred_models_of_providers_we_know() -> None:
    assert len(FACTS) >= 1_500
    assert set(MODELS.providers()) <= read_catalogue().providers.keys()
    assert FILE.stat().st_size < 1_500_000


def test_every_fact_has_a_source_and_every_model_a_fact() -> None:
    for key, each in FACTS.items():
        assert each is not None, key
        told = {name for name in FIELDS if getattr(each, name) is not None}
        assert told, key
        assert told == each.sources.keys(), key
        assert all(each.sources.values()), key


def test_limits_are_numbers_of_tokens() -> None:
    for key, each in FACTS.items():
        assert each is not None
        for limit in (each.context, each.max_output, each.default_max_output):
            assert limit is None or 0 < limit <= 100_000_000, key
        if each.default_max_output is not None:
            assert each.max_output is not None, key
            assert each.default_max_output <= each.max_output, key


def test_efforts_agree_with_what_can_be_disabled() -> None:
    known = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
    for key, each in FACTS.items():
        assert each is not None
        efforts = set(each.reasoning_efforts or ())
        assert efforts <= known, key
        assert not ("none" in efforts and each.reasoning_can_disable is False), key


def test_no_price_is_in_the_file() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert not [word for word in ("price", "cost", "usd", "$") if word in text.replace("genai-prices", "").lower()]


def test_capabilities_are_the_names_the_engine_reads() -> None:
    assert CAPABILITIES == (
        "sampling",
        "max_tokens_field",
        "max_output",
        "default_max_output",
        "reasoning_style",
        "reasoning_efforts",
        "reasoning_default_on",
        "reasoning_can_disable",
        "chat_tools_with_reasoning",
        "forced_tool_choice",
        "system_role",
        "mid_system",
        "json_schema",
        "strict_tools",
        "media_in",
        "media_by_url",
        "parallel_tools_flag",
        "prefill",
        "stream_only",
    )
    for key, each in FACTS.items():
        assert each is not None
        assert json.loads(json.dumps(each.capabilities())) == each.capabilities(), key
        assert None not in each.capabilities().values(), key
        assert "text" not in (each.media_in or ()), key


@pytest.mark.parametrize(
    "provider, model, same_as",
    [
        ("openai", "gpt-5-2025-08-07", "gpt-5"),
        ("openai", "gpt-5-2031-01-01", "gpt-5"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::1", "gpt-4o-mini-2024-07-18"),
        ("azure", "GPT-4o", "gpt-4o"),
        ("azure_deployments", "gpt-4o", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20310101", "claude-sonnet-4-5"),
        ("vertex_anthropic", "claude-haiku-4-5@20310101", "claude-haiku-4-5"),
        ("anthropic", "claude-opus-4-20250514", "claude-opus-4-0"),
        ("anthropic", "claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"),
        ("bedrock", "apac.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (
            "bedrock_anthropic",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("huggingface", "zai-org/GLM-5.3:novita", "zai-org/GLM-5.3"),
        ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("cohere", "command-r", "command-r-08-2024"),
        ("bedrock", "anthropic.claude-3-haiku", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("gemini", "gemini-2.5-pro-preview-12-31", "gemini-2.5-pro"),
    ],
)
def test_a_model_is_found_by_its_other_names(provider: str, model: str, same_as: str) -> None:
    assert facts(provider, model).capabilities() == facts(provider, same_as).capabilities()


def test_a_model_that_no_package_lists_is_known_by_its_rules() -> None:
    known = facts("gemini", "gemini-3-pro-preview")
    assert (known.reasoning_style, known.reasoning_efforts, known.max_output) == ("level", ("low", "high"), 65536)


@pytest.mark.parametrize("model", ["", "/", ":", "-", "ft:", "arn:aws", "gpt-999", "x" * 10_000, "ft::::", "@default"])
def test_what_is_not_known_is_nothing(model: str) -> None:
    assert model_facts("openai", model) is None
    assert model_facts("nobody", model) is None


@pytest.mark.parametrize(
    "provider, model, known",
    [
        ("openai", "gpt-5", {"sampling": "reject", "max_tokens_field": "max_completion_tokens"}),
        ("openai", "gpt-5", {"reasoning_default_on": True, "reasoning_can_disable": False}),
        ("openai", "gpt-5.1", {"reasoning_default_on": False, "reasoning_can_disable": True}),
        ("openai", "gpt-5.4", {"chat_tools_with_reasoning": False, "reasoning_default_on": False}),
        ("openai", "gpt-4o", {"reasoning_style": "none", "json_schema": "native", "system_role": "system"}),
        ("anthropic", "claude-opus-5", {"sampling": "reject", "reasoning_style": "adaptive", "prefill": False}),
        ("anthropic", "claude-opus-4-7", {"sampling": "reject", "json_schema": "native", "media_by_url": True}),
        ("anthropic", "claude-sonnet-4-5", {"reasoning_style": "budget", "forced_tool_choice": "without_thinking"}),
        ("anthropic", "claude-sonnet-4-5", {"default_max_output": 64_000, "max_output": 64_000}),
        ("gemini", "gemini-2.5-pro", {"reasoning_style": "budget", "reasoning_can_disable": False}),
        ("gemini", "gemini-2.5-flash", {"reasoning_style": "budget", "reasoning_can_disable": True}),
        ("gemini", "gemini-3.6-flash", {"reasoning_style": "level", "sampling": "ignore", "mid_system": False}),
        ("deepseek", "deepseek-v4-pro", {"json_schema": "json_object", "media_in": [], "reasoning_style": "toggle"}),
        ("mistral", "mistral-medium-latest", {"reasoning_efforts": ["none", "high"], "json_schema": "native"}),
        ("groq", "openai/gpt-oss-120b", {"reasoning_efforts": ["low", "medium", "high"]}),
        ("zai", "glm-5.3", {"reasoning_can_disable": False}),
        ("dashscope", "qwq-plus", {"stream_only": True}),
        ("dashscope", "qwen-plus", {"stream_only": None}),
        ("bedrock", "anthropic.claude-opus-4-20250514-v1:0", {"json_schema": "tool", "strict_tools": False}),
        ("bedrock", "us.anthropic.claude-opus-5", {"default_max_output": None, "max_output": 128_000}),
        ("bedrock", "us.anthropic.claude-opus-5", {"media_by_url": False, "reasoning_style": "adaptive"}),
    ],
)
def test_what_providers_are_known_to_refuse_is_known(provider: str, model: str, known: dict[str, Any]) -> None:
    told = facts(provider, model).capabilities()
    assert {name: told.get(name) for name in known} == known


def test_rules_of_reasoning_models_leave_the_others_alone() -> None:
    for model in ("gpt-5-chat-latest", "gpt-4.1", "gpt-4o-mini"):
        assert "max_tokens_field" not in facts("openai", model).capabilities()


def test_the_file_is_decoded_one_provider_at_a_time() -> None:
    models = read_models()
    assert models.facts("groq", "openai/gpt-oss-120b") is not None
    assert set(models.__dict__["_providers"]) == {"groq"}


LITELLM = {
    "sample_spec": {"mode": "chat", "litellm_provider": "openai"},
    "gpt-5": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 10,
        "max_output_tokens": 5,
        "input_cost_per_token": 1,
        "supported_modalities": ["text", "image"],
        "supports_none_reasoning_effort": False,
    },
    "azure/eu/gpt-5": {"litellm_provider": "azure", "mode": "chat", "max_input_tokens": 20},
    "claude-opus-5": {
        "litellm_provider": "anthropic",
        "mode": "chat",
        "supports_sampling_params": False,
        "supports_adaptive_thinking": True,
        "max_output_tokens": 7,
    },
    "claude-opus-latest": {"alias_of": "claude-opus-5"},
    "groq/whisper": {"litellm_provider": "groq", "mode": "audio_transcription", "max_input_tokens": 3},
    "elsewhere/model": {"litellm_provider": "elsewhere", "mode": "chat", "max_input_tokens": 3},
}
GENAI = """
from .types import *
providers = [
    Provider(id='x-ai', models=[ModelInfo(id='grok-4', context_window=99, prices=ModelPrice(input_mtok=Decimal('3')))]),
    Provider(id='google', models=[ModelInfo(id='gemini-9', context_window=8)]),
    Provider(id='google', models=[ModelInfo(id='claude-9', context_window=9)]),
    Provider(id='openai', models=[ModelInfo(id='gpt-5', context_window=11), ModelInfo(id='none')]),
]
raise SystemExit('this file is read and not run')
"""


@pytest.fixture
def packages(tmp_path: Path) -> tuple[Path, Path]:
    """Two packages as they are unpacked, with invented content."""
    litellm, genai = tmp_path / "one", tmp_path / "two"
    for folder, package, version in ((litellm, "litellm", "9.8.7"), (genai, "genai-prices", "0.0.1")):
        info = folder / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {package}\nVersion: {version}\n\nWords.\n")
        (folder / package.replace("-", "_")).mkdir()
    (litellm / "litellm" / "model_prices_and_context_window_backup.json").write_text(json.dumps(LITELLM))
    (genai / "genai_prices" / "data.py").write_text(GENAI)
    return litellm, genai


def run(packages: tuple[Path, Path], into: Path) -> list[str]:
    litellm, genai = packages
    script = ROOT / "scripts" / "make_models.py"
    command = [sys.executable, script, "--litellm", litellm, "--genai-prices", genai, "--into", into]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_script_says_what_two_packages_and_the_rules_say(packages: tuple[Path, Path], tmp_path: Path) -> None:
    into = tmp_path / "models.json"
    said = run(packages, into)
    assert {"package None -> litellm 9.8.7", "openai/gpt-5 added", "7 models of 6 providers"} <= set(said)
    made = json.loads(into.read_text())
    assert made["aliases"] == {"anthropic": {"claude-opus-latest": "claude-opus-5"}}
    assert made["models"]["openai"]["gpt-5"]["packages"] == {
        "g": {"context": 11},
        "l": {
            "context": 10,
            "max_output": 5,
            "media_in": ["image"],
            "reads": ["text", "image"],
            "reasoning_can_disable": False,
            "reasoning_efforts": ["low", "medium", "high"],
            "reasoning_style": "effort",
        },
    }
    assert made["models"]["azure"]["gpt-5"]["packages"] == {"l": {"context": 20}}
    assert made["models"]["xai"] == {
        "grok-4": {"packages": {"g": {"context": 99}}, "rules": ["grok", "grok-without-effort"]}
    }
    assert set(made["models"]["vertex"]) == {"claude-9"}
    # One is listed with what rules say of it, though no package knows it.
    assert set(made["models"]["gemini"]) == {"gemini-9", "gemini-3-pro-preview"}
    assert "gemini-3-pro-levels" in made["models"]["gemini"]["gemini-3-pro-preview"]["rules"]
    assert "cost" not in into.read_text()


def test_the_script_says_the_same_twice_and_names_only_what_changed(
    packages: tuple[Path, Path], tmp_path: Path
) -> None:
    into = tmp_path / "models.json"
    run(packages, into)
    first = into.read_bytes()
    assert run(packages, into) == ["7 models of 6 providers"]
    assert into.read_bytes() == first
    source = packages[0] / "litellm" / "model_prices_and_context_window_backup.json"
    source.write_text(json.dumps({**LITELLM, "gpt-5": {**LITELLM["gpt-5"], "max_output_tokens": 6}}))
    assert run(packages, into) == ["openai/gpt-5 changed", "7 models of 6 providers"]


def test_the_file_is_what_the_script_and_its_rules_make_of_its_own_content() -> None:
    """The rules in the file are those beside the script, and hold for the models that they hold for."""
    text = FILE.read_text(encoding="utf-8")
    content = json.loads(text)
    checked = subprocess.run(
        [sys.executable, "-c", _CHECK, FILE], cwd=ROOT / "scripts", capture_output=True, text=True, check=False
    )
    assert checked.stdout == "", checked.stdout
    assert checked.returncode == 0, checked.stderr
    types = get_type_hints(ModelFacts)
    for rule in content["rules"].values():
        assert rule["facts"].keys() <= types.keys()


_CHECK = """
import json, sys, tomllib
import make_models
text = open(sys.argv[1], encoding="utf-8").read()
content = json.loads(text)
if make_models.render(content) != text:
    print("not as the script writes it")
rules = tomllib.loads(make_models.FAMILIES.read_text(encoding="utf-8"))["rule"]
if content["rules"] != {rule["name"]: {"source": rule["source"], "facts": rule["facts"]} for rule in rules}:
    print("the rules are others: run scripts/make_models.py")
for provider, models in content["models"].items():
    for name, entry in models.items():
        wanted = [rule["name"] for rule in rules if make_models.holds(rule, provider, name)]
        if entry.get("rules", []) not in (wanted, []):
            print(provider, name, entry.get("rules"), "and not", wanted)
"""
