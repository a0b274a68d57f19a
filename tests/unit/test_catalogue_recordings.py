"""Each row of the catalogue leads where recorded exchanges with its provider went.

The recordings are not part of the project: FASTROUTE_RECORDINGS names their folder, and without it nothing is compared.
"""

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fastroute.catalogue import Row, read_catalogue

FOLDER = os.environ.get("FASTROUTE_RECORDINGS")
ROWS = read_catalogue().providers

# What a recording calls a dialect, and what stands for it here.
DIALECTS = {
    "chat_completions": "openai_chat",
    "responses": "openai_responses",
    "completions": "openai_completions",
    "embeddings": "embeddings",
    "messages": "anthropic_messages",
    "generate_content": "gemini",
    "converse": "bedrock_converse",
    "bedrock_invoke": "anthropic_messages",
    "vertex_raw_predict": "anthropic_messages",
    "cohere_v2_chat": "cohere_v2",
    "ollama_chat": "ollama",
    "rerank": "rerank",
    "models": "models",
}
# Rows beside the one of the file's own name.
MORE_ROWS = {
    "azure": ("azure_deployments", "azure_foundry", "azure_anthropic"),
    "bedrock": ("bedrock_anthropic",),
    "vertex": ("vertex_anthropic",),
}
# The ends of paths that are another for streams.
STREAMED = {
    ":generateContent": ":streamGenerateContent",
    ":rawPredict": ":streamRawPredict",
    "/converse": "/converse-stream",
    "/invoke": "/invoke-with-response-stream",
}
# Other names of the same host.
HOSTS = {
    "api.together.ai": "api.together.xyz",
    "api.cohere.ai": "api.cohere.com",
    "example.cognitiveservices.azure.com": "example.openai.azure.com",
}

EXCEPTIONS = {
    ("chatgpt", ""): "signed in as a person, not with a key",
    ("copilot", ""): "signed in as a person, not with a key",
    ("replicate", ""): "a job queue and none of our dialects",
    ("dashscope", "/api/v1/services/"): "its native dialect",
    ("gemini", "/interactions$"): "a stateful API and none of our dialects",
    ("cohere", "/v1/chat$"): "the dialect before v2",
    ("cohere", "/v1/embed$"): "the path before v2",
    ("cohere", "/v1/rerank$"): "the path before v2",
    ("ollama", "/api/(generate|tags)$"): "its older dialect; models are read in OpenAI's",
    ("deepseek", "^api.deepseek.com/v1/"): "another spelling of the same path",
    ("zai", "/api/coding/"): "the coding plan, with an address of its own",
    ("bedrock", "/model/(amazon|meta|ai21|cohere|mistral|deepseek|us.amazon)[^/]*/invoke"): "bodies of other makers",
    ("vertex", "/v1beta1/"): "an earlier version of the same API",
    ("vertex", "/v1/publishers/"): "with an API key and without a project",
}


def exchanges() -> Iterator[tuple[str, str, str, bool]]:
    """File, dialect as recorded, host and path, and whether it was a stream."""
    for file in sorted(Path(FOLDER or "").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                url = urlsplit(line["endpoint_url"])
                yield file.name.partition(".")[0], line["api"], f"{url.netloc}{url.path}", line["streaming"]


def places(row: Row, dialect: str) -> Iterator[str]:
    """Patterns of host and path for each address of a row."""
    # What is recorded as embeddings or rerank is so in any of its dialects.
    path = next((path for spoken, path in row.speaks.items() if spoken.endswith(dialect)), "").partition("?")[0]
    for address in (row.address, *row.regions.values()) if path else ():
        host = re.sub(r"^http://127\.0\.0\.1:\d+", "https://{local}", address)
        for ending in (path, *_streamed(path)):
            whole = re.escape(f"{host.removeprefix('https://')}{ending}")
            # A model's name may hold anything, also a slash where a recorder has decoded it.
            yield re.sub(r"\\\{\w+\\\}", "[^/]+", whole.replace(re.escape("{model}"), ".+"))


def _streamed(path: str) -> Iterator[str]:
    yield from (path.removesuffix(end) + other for end, other in STREAMED.items() if path.endswith(end))


def exception(provider: str, place: str) -> tuple[str, str] | None:
    return next((key for key in EXCEPTIONS if key[0] == provider and re.search(key[1], place)), None)


def test_each_row_leads_where_its_provider_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    if FOLDER is None:
        pytest.skip("FASTROUTE_RECORDINGS is not set: the URLs of 2,725 recorded exchanges are not compared")
    matched: Counter[str] = Counter()
    excused: Counter[tuple[str, str]] = Counter()
    astray: Counter[str] = Counter()
    for provider, api, called, _ in exchanges():
        excuse = exception(provider, called)
        if excuse is not None:
            excused[excuse] += 1
            continue
        host, slash, path = called.partition("/")
        place = f"{HOSTS.get(host, host)}{slash}{path}"
        rows = (provider, *MORE_ROWS.get(provider, ())) if provider != "local" else ("vllm",)
        patterns = [each for row in rows for each in places(ROWS[row], DIALECTS[api])]
        if any(re.fullmatch(pattern, place) for pattern in patterns):
            matched[provider] += 1
        else:
            astray[f"{provider} {api} {called}"] += 1
    assert astray == {}
    assert EXCEPTIONS.keys() - excused.keys() == set(), "exceptions that excuse nothing"
    assert sum(matched.values()) > 2_500
    with capsys.disabled():
        print(f" {sum(matched.values())} of {len(matched)} providers, {sum(excused.values())} excused")
