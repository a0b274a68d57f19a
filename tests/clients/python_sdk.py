"""Calls the unchanged Python SDK on behalf of a test: a question per line in, its answer out, both JSON.

A question names a method as users write it ("chat.completions.create"). The chunks of a stream go out one per line as
they come, before the answer. `node_sdk.mjs` answers the same questions.
"""

import json
import sys
from functools import cache, reduce
from typing import Any

from openai import APIStatusError, OpenAI, OpenAIError


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The reply with its headers, or the exception the user would see."""
    path, _, verb = question["call"].rpartition(".")
    resource = reduce(getattr, path.split("."), _client(question["base_url"]))
    positional, named = question["positional"], question["named"]
    try:
        if verb == "stream":
            with resource.stream(**named) as stream:
                return {"body": stream.get_final_completion().model_dump(mode="json")}
        reply = getattr(resource.with_raw_response, verb)(*positional, **named)
        value = reply.parse()
        if named.get("stream"):
            for chunk in value:
                _say({"chunk": _plain(chunk)})
            return {"headers": dict(reply.headers)}
        return {"headers": dict(reply.headers), "body": _plain(value)}
    except OpenAIError as error:
        seen = {name: getattr(error, name, None) for name in ("code", "param", "type")} | {"message": str(error)}
        if isinstance(error, APIStatusError):
            seen |= {"status": error.status_code, "headers": dict(error.response.headers)}
        return {"error": {"name": type(error).__name__, **seen}}


@cache
def _client(base_url: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key="unused", timeout=30)


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _plain(value: Any) -> Any:
    # Fields that were not on the wire stay away, so that a test sees what was sent.
    return value.model_dump(mode="json", exclude_unset=True)


if __name__ == "__main__":
    for line in sys.stdin:
        _say(answer(json.loads(line)))
