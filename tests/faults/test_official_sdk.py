"""The official Python SDK, with its own retries, before a provider that always fails: three requests upstream at most.

One surprise: without `x-should-retry: false` the SDK would ask us three times, and each time we would ask again.
"""

import itertools
from typing import Any

import pytest

from faults.fault import Way
from faults.round import Mocks
from faults.script import status
from flow.rig import Gateway

openai = pytest.importorskip("openai", reason="the SDK is installed for `make test-clients`")

MOST = 3
_calls = itertools.count()


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("code", [500, 502, 503, 504, 529])
def test_an_upstream_that_always_fails_is_asked_three_times_at_most(
    code: int, way: Way, failing: Gateway, mocks: Mocks, door_name: str
) -> None:
    mocks.closing.script({"match": {"model": "fails-*"}, "steps": [status(code)]}, keep_alive=False)
    host, port = failing.doors[door_name].place
    client = openai.OpenAI(base_url=f"http://{host}:{port}/v1", api_key="unused", timeout=30)
    said: list[Any] = [{"role": "user", "content": "hello"}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=f"fails-{next(_calls)}", messages=said, stream=way is Way.STREAM)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert 1 <= len(mocks.closing.rows()) <= MOST
    assert caught.value.response.headers["x-fastroute-attempts"] == str(len(mocks.closing.rows()))
