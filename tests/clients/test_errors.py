"""What users of the official SDKs catch when a request cannot be answered, through both doors."""

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]

CREATE = "chat.completions.create"
CHAT: dict[str, Any] = {"model": "local/tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_a_not_found_error(ask: Ask, stream: bool) -> None:
    error = ask(CREATE, **{**CHAT, "model": "nobody"}, stream=stream)["error"]
    assert (error["name"], error["status"], error["code"]) == ("NotFoundError", 404, "model_not_found")
    assert error["param"] == "model"
    assert error["headers"]["x-should-retry"] == "false"


def test_an_unknown_model_is_a_not_found_error_for_embeddings_and_when_retrieved(ask: Ask) -> None:
    for error in (
        ask("embeddings.create", model="nobody", input="hi")["error"],
        ask("models.retrieve", "no/body")["error"],
    ):
        assert (error["name"], error["code"]) == ("NotFoundError", "model_not_found")


@pytest.mark.parametrize(
    "field, value", [("messages", "hi"), ("messages", None), ("model", 5), ("model", None), ("stream", "yes")]
)
def test_a_field_of_the_wrong_type_is_a_bad_request_error_that_names_it(ask: Ask, field: str, value: Any) -> None:
    error = ask(CREATE, **{**CHAT, field: value})["error"]
    assert (error["name"], error["status"], error["param"]) == ("BadRequestError", 400, field)
    assert error["type"] == "invalid_request_error"
    assert field in error["message"]


def test_what_only_the_upstream_refuses_arrives_in_its_words(ask: Ask) -> None:
    error = ask(CREATE, **{**CHAT, "temperature": "hot"})["error"]
    assert (error["name"], error["status"]) == ("BadRequestError", 400)
    assert "'temperature'" in error["message"]
    assert error["headers"]["x-fastroute-upstream-status"] == "400"
    # A bad request is bad everywhere: nobody else was asked.
    assert error["headers"]["x-fastroute-attempts"] == "1"


def test_an_error_leaves_the_connection_usable(ask: Ask) -> None:
    assert "error" in ask(CREATE, **{**CHAT, "messages": 1})
    assert ask(CREATE, **CHAT)["body"]["choices"]
