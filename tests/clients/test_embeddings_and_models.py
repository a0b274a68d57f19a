"""Embeddings and the model list through both official SDKs and both doors."""

import base64
from array import array
from collections.abc import Callable
from typing import Any

Ask = Callable[..., dict[str, Any]]

CREATE = "embeddings.create"
WIDTH = 64


def as_sent(values: list[float]) -> bytes:
    """As 32-bit numbers, which is what the model computes and base64 carries."""
    return array("f", values).tobytes()


def vector(answer: dict[str, Any]) -> Any:
    return answer["body"]["data"][0]["embedding"]


def test_an_embedding_is_the_same_as_numbers_in_base64_and_as_the_sdk_asks_by_itself(ask: Ask) -> None:
    one = {"model": "local/tiny", "input": "a city by the sea"}
    numbers = vector(ask(CREATE, **one, encoding_format="float"))
    text = vector(ask(CREATE, **one, encoding_format="base64"))
    # Without an encoding both SDKs ask for base64 and decode it.
    decoded = vector(ask(CREATE, **one))
    assert len(numbers) == WIDTH
    assert any(numbers)
    assert as_sent(numbers) == base64.b64decode(text)
    assert as_sent(numbers) == as_sent(decoded)


def test_embeddings_of_a_list_come_in_its_order_with_usage(ask: Ask) -> None:
    inputs = ["sea", "mountain", "sea"]
    answer = ask(CREATE, model="local/tiny", input=inputs, encoding_format="float")
    body = answer["body"]
    assert [item["index"] for item in body["data"]] == [0, 1, 2]
    first, second, third = (item["embedding"] for item in body["data"])
    assert max(abs(a - b) for a, b in zip(first, third, strict=True)) < 1e-3
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) > 1e-2
    assert body["model"] == "tiny"
    # One token per byte, one to begin each text.
    assert body["usage"]["prompt_tokens"] == sum(len(text) + 1 for text in inputs)
    assert answer["headers"]["x-fastroute-target"] == "here/tiny"


def test_the_list_of_models_is_what_the_configuration_names(ask: Ask) -> None:
    body = ask("models.list")["body"]
    assert [(model["id"], model["object"]) for model in body["data"]] == [
        ("local/tiny", "model"),
        ("local/messages", "model"),
        ("mock/echo", "model"),
    ]


def test_a_model_is_retrieved_by_an_id_with_a_slash(ask: Ask) -> None:
    body = ask("models.retrieve", "local/tiny")["body"]
    assert (body["id"], body["object"], body["owned_by"]) == ("local/tiny", "model", "local")
