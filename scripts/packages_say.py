"""How the two packages spell what we want to know: their providers, their names of models, their flags.

One rule: a flag of theirs becomes a fact of ours only where both mean the same on that provider's API; a flag that says
"can somehow be had", because the package emulates it, becomes nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

MODES = frozenset(("chat", "responses", "completion", "embedding", "rerank"))

# Where their name of a provider is not ours.
_PROVIDERS = {
    "ai21": "ai21",
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "bedrock_mantle": "bedrock_openai",
    "cohere_chat": "cohere",
    "featherless_ai": "featherless",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "friendliai": "friendli",
    "jina_ai": "jina",
    "nvidia_nim": "nvidia",
    "qwen_ai_platform": "dashscope",
    "qwencloud": "dashscope",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
}

_GENAI_PROVIDERS = {
    "aws": "bedrock",
    "moonshotai": "moonshot",
    "voyageai": "voyage",
    "x-ai": "xai",
} | {
    f"huggingface_{name}": "huggingface"
    for name in (
        "cerebras", "fireworks-ai", "groq", "hyperbolic", "nebius", "novita", "nscale", "ovhcloud", "publicai",
        "sambanova", "together",
    )
}  # fmt: skip


def genai_provider(theirs: str, model: str) -> str:
    """Google's two APIs are one provider there: the one for Gemini, and the one for everybody's models."""
    if theirs == "google":
        return "gemini" if model.startswith(("gemini", "gemma", "learnlm")) else "vertex"
    return _GENAI_PROVIDERS.get(theirs, theirs)


# `azure/eu/gpt-4o`, `bedrock/us-east-1/6-month-commitment/…`: a price of the same model.
_PLACE = re.compile(
    r"(?:us|eu|global|global-standard|us-gov|[a-z]{2}(?:-gov)?-[a-z]+-\d|\d+-month-commitment|\*)/", re.ASCII
)
# Prices by size or picture, and no models.
_NO_MODEL = re.compile(r"^(?:\d+-x-\d+|max-x-max|together-ai-|fireworks-ai-|\*)|container$", re.ASCII)

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# Where `supports_response_schema` means the API's own structured output.
_NATIVE_SCHEMA = frozenset(
    ("openai", "azure", "gemini", "vertex", "mistral", "xai", "groq", "together", "fireworks", "cerebras", "dashscope",
     "openrouter", "perplexity", "cohere", "novita", "deepinfra", "baseten", "friendli", "nebius", "databricks",
     "sambanova", "meta", "ollama", "hyperbolic")
)  # fmt: skip


def provider(theirs: str | None) -> str | None:
    if theirs is None:
        return None
    # Google's makers each have a name of their own there.
    return "vertex" if theirs.startswith("vertex_ai") else _PROVIDERS.get(theirs, theirs)


def model_name(ours: str, key: str) -> str | None:
    """The name as the provider wants it, or None for what is no model."""
    name = key
    first, _, rest = key.partition("/")
    if rest and provider(first) in (ours, _base(ours)):
        name = rest
    while _PLACE.match(name):
        name = _PLACE.sub("", name, count=1)
    return None if not name or _NO_MODEL.search(name) or _NO_MODEL.search(key) else name


def _base(ours: str) -> str:
    return ours.partition("_")[0]


def facts(ours: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says, in our words."""
    found = {
        "context": entry.get("max_input_tokens"),
        "max_output": entry.get("max_output_tokens") if entry.get("mode") not in ("embedding", "rerank") else None,
        "reads": _media(entry),
        "writes": _kept(entry.get("supported_output_modalities")),
        "media_in": _all_media(entry),
        **_flags(ours, entry),
        **_reasoning(ours, name, entry),
    }
    # Nobody's limit is nothing; in their data it means that it is not known.
    return {
        field: value
        for field, value in found.items()
        if value is not None and (field not in ("context", "max_output") or value > 0)
    }


def _flags(ours: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prefill": entry.get("supports_assistant_prefill"),
        "mid_system": entry.get("supports_mid_conversation_system"),
        "strict_tools": entry.get("bedrock_converse_supports_strict_tools") if ours == "bedrock" else None,
    }
    if entry.get("supports_sampling_params") is False:
        # Google's newest take the fields and do nothing with them.
        found["sampling"] = "ignore" if _is_gemini(entry) else "reject"
    if "supports_forced_tool_use" in entry:
        found["forced_tool_choice"] = "always" if entry["supports_forced_tool_use"] else "never"
    if ours in ("openai", "azure"):
        found["parallel_tools_flag"] = entry.get("supports_parallel_function_calling")
    if entry.get("supports_system_messages") is False:
        found["system_role"] = "none"
    by_the_api = ours in _NATIVE_SCHEMA and not _is_claude(entry) and entry.get("supports_response_schema")
    if entry.get("supports_native_structured_output") or by_the_api:
        found["json_schema"] = "native"
    if ours == "bedrock_openai" and "supports_bedrock_runtime_chat_completions_tools_with_reasoning" in entry:
        found["chat_tools_with_reasoning"] = entry["supports_bedrock_runtime_chat_completions_tools_with_reasoning"]
    return found


def _is_gemini(entry: Mapping[str, Any]) -> bool:
    return entry.get("litellm_provider") in ("gemini", "vertex_ai", "vertex_ai-language-models")


def _is_claude(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("supports_adaptive_thinking") or entry.get("supports_legacy_thinking")) or "anthropic" in str(
        entry.get("litellm_provider")
    )


def _reasoning(ours: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entry.get("supports_reasoning") is False:
        return {"reasoning_style": "none"}
    if entry.get("supports_adaptive_thinking"):
        found["reasoning_style"] = "adaptive"
    elif entry.get("supports_legacy_thinking"):
        found["reasoning_style"] = "budget"
    levels = entry.get("reasoning_effort_levels")
    if levels is None and (ours in ("openai", "azure", "bedrock_openai") or found.get("reasoning_style") == "adaptive"):
        levels = _levels(entry)
    if levels:
        found["reasoning_efforts"] = [level for level in _EFFORTS if level in levels]
        if "reasoning_style" not in found and "claude" not in name:
            found["reasoning_style"] = "effort"
    if "default_reasoning_effort" in entry:
        found["reasoning_default_on"] = entry["default_reasoning_effort"] != "none"
    elif entry.get("thinking_on_by_default") or entry.get("thinking_always_on"):
        found["reasoning_default_on"] = True
    if "thinking_always_on" in entry:
        found["reasoning_can_disable"] = not entry["thinking_always_on"]
    elif "supports_none_reasoning_effort" in entry:
        found["reasoning_can_disable"] = entry["supports_none_reasoning_effort"]
    return found


def _levels(entry: Mapping[str, Any]) -> list[str]:
    """From one flag per effort; those without one are what every model with any has."""
    flags = {effort: entry.get(f"supports_{effort}_reasoning_effort") for effort in _EFFORTS}
    if not any(flag is not None for flag in flags.values()):
        return []
    usual = ("low", "medium", "high")
    return [effort for effort in _EFFORTS if flags[effort] or (effort in usual and flags[effort] is None)]


def _media(entry: Mapping[str, Any]) -> list[str] | None:
    """What it is said to read, text first."""
    told = set(entry.get("supported_modalities") or ())
    flags = {"image": "vision", "audio": "audio_input", "video": "video_input", "pdf": "pdf_input"}
    told |= {medium for medium, flag in flags.items() if entry.get(f"supports_{flag}")}
    return _kept(told | {"text"}) if told else None


def _all_media(entry: Mapping[str, Any]) -> list[str] | None:
    """All it reads beside text, where the list is given as a whole."""
    if entry.get("mode") in ("embedding", "rerank") or not entry.get("supported_modalities"):
        return None
    return [medium for medium in _media(entry) or () if medium != "text"]


def _kept(media: Any) -> list[str] | None:
    return [medium for medium in ("text", "image", "audio", "video", "pdf") if medium in media] if media else None
