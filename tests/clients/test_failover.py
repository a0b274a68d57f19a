"""What users of the official SDKs see, through both doors, when a llama.cpp server goes away: little, and the truth."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]

CREATE = "chat.completions.create"
CHAT: dict[str, Any] = {
    "model": "local/tiny",
    "messages": [{"role": "user", "content": "hi"}],
    "temperature": 0,
    "max_tokens": 8,
}


@pytest.fixture
def fresh_ask(asking: Any, start_gateway: Any, here: Any, there: Any) -> Ask:
    """Calls a gateway whose first server this test may stop."""
    return asking(start_gateway(here.address, there.address))


def source(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["headers"]["x-fastroute-target"], answer["headers"]["x-fastroute-attempts"]


def test_when_the_first_server_stops_the_next_request_is_answered_by_the_second(fresh_ask: Ask, here: Any) -> None:
    first = fresh_ask(CREATE, **CHAT)
    assert source(first) == ("here/tiny", "1")
    here.program.stop(signal.SIGTERM)
    second = fresh_ask(CREATE, **CHAT)
    assert source(second) == ("there/tiny", "2")
    # The same model runs in both, so the user cannot tell them apart.
    assert second["body"]["choices"] == first["body"]["choices"]


def test_when_the_first_server_is_killed_the_next_stream_comes_from_the_second(fresh_ask: Ask, here: Any) -> None:
    first = fresh_ask(CREATE, **CHAT, stream=True)
    assert source(first) == ("here/tiny", "1")
    here.program.stop(signal.SIGKILL)
    second = fresh_ask(CREATE, **CHAT, stream=True)
    assert source(second) == ("there/tiny", "2")
    assert [chunk["choices"] for chunk in second["chunks"]] == [chunk["choices"] for chunk in first["chunks"]]


@pytest.mark.parametrize("stream", [False, True])
def test_when_nobody_is_left_the_sdk_raises_what_happened_and_does_not_insist(
    asking: Any, start_gateway: Any, stream: bool
) -> None:
    # Nothing listens on the discard port and the one after it.
    nobody = asking(start_gateway("http://127.0.0.1:9", "http://127.0.0.1:10"))
    error = nobody(CREATE, **CHAT, stream=stream)["error"]
    assert (error["name"], error["status"], error["code"]) == ("InternalServerError", 503, "upstream_unreachable")
    # Each once, and the first once more: a refused connection costs nothing to try again.
    assert error["headers"]["x-fastroute-attempts"] == "3"
    # An SDK that tries thrice would only ask the same again.
    assert error["headers"]["x-should-retry"] == "false"


def test_a_stream_that_is_cut_ends_with_an_error_and_is_never_finished(fresh_ask: Ask, here: Any) -> None:
    def kill() -> None:
        here.program.stop(signal.SIGKILL)

    answer = fresh_ask(CREATE, **{**CHAT, "max_tokens": 4000}, stream=True, at_first_chunk=kill)
    assert answer["chunks"]
    assert not any(choice.get("finish_reason") for chunk in answer["chunks"] for choice in chunk["choices"])
    assert answer["error"]["name"] == "APIError"
    assert answer["error"]["code"] == "upstream_truncated"
