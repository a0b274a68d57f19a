"""What we render, against the schema that OpenAI publishes.

The documents come from `cargo run --example rendered_replies`; the schema from the folder that `FASTROUTE_CORPORA`
names. The published schema is stricter than OpenAI's own replies: it requires `message.refusal` and
`choices[].logprobs`.
"""

import gzip
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    corpora = os.environ.get("FASTROUTE_CORPORA")
    if corpora is None:
        pytest.skip("FASTROUTE_CORPORA is not set: skipped every rendered document")
    with gzip.open(Path(corpora, "openai", "openapi-subset.json.gz"), "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not on the path: skipped every rendered document")
    command = [
        cargo,
        "run",
        "--quiet",
        "--package",
        "fastroute-core",
        "--example",
        "rendered_replies",
    ]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def nullable(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable`, which JSON Schema does not know; the published document uses both."""
    if isinstance(node, list):
        return [nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {name: nullable(value) for name, value in node.items()}
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


def validator(published: dict[str, Any], name: str) -> Any:
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "components": nullable(published["components"]),
    }
    return jsonschema_rs.validator_for(schema)


def test_every_rendered_document_satisfies_the_published_schema(
    published: dict[str, Any], rendered: list[dict[str, Any]]
) -> None:
    counts = Counter(line["schema"] for line in rendered)
    validators = {name: validator(published, name) for name in counts}
    faults = [
        f"{line['case']}: {error.instance_path}: {error.message}"
        for line in rendered
        for error in validators[line["schema"]].iter_errors(line["document"])
    ]
    assert faults == []
    assert set(counts) == {
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "CreateEmbeddingResponse",
        "ErrorResponse",
    }
    print(dict(counts))


def test_the_check_can_fail(published: dict[str, Any]) -> None:
    chat = validator(published, "CreateChatCompletionResponse")
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    reply = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    assert not chat.is_valid(reply)
    message["refusal"] = None  # pyright: ignore[reportArgumentType]
    assert chat.is_valid(reply)
