"""Addresses beside the ones that answer: token counts, model lists in each protocol, and what clients try first."""

import json
from typing import Any

import pytest

from flow.rig import Door, Route, Upstream

LONG = "many words make a longer prompt " * 20


def counted(door: Door, path: str, body: dict[str, Any], field: str) -> int:
    reply = door.send("POST", path, json.dumps(body))
    assert reply.status == 200, reply.body
    return json.loads(reply.body)[field]


def test_tokens_are_counted_in_each_protocol(upstream: Upstream, door: Door, route: Route) -> None:
    def anthropic(text: str) -> int:
        body = {"model": route.name, "system": "Be brief.", "messages": [{"role": "user", "content": text}]}
        return counted(door, "/v1/messages/count_tokens?beta=true", body, "input_tokens")

    def responses(text: str) -> int:
        return counted(door, "/v1/responses/input_tokens", {"model": route.name, "input": text}, "input_tokens")

    def gemini(text: str) -> int:
        contents = [{"role": "user", "parts": [{"text": text}]}]
        path = f"/v1beta/models/{route.name}:countTokens"
        bare = counted(door, path, {"contents": contents}, "totalTokens")
        wrapped = {"generateContentRequest": {"model": f"models/{route.name}", "contents": contents}}
        assert counted(door, path, wrapped, "totalTokens") == bare
        return bare

    for count in (anthropic, responses, gemini):
        short, long = count("hello"), count(LONG)
        assert 1 <= short < 40
        assert long > short + 100
    assert upstream.rows(route.first, route.second) == [], "nobody was asked"


def test_tokens_of_an_unknown_model_are_not_counted(door: Door) -> None:
    body = {"model": "no-such-model-anywhere", "messages": [{"role": "user", "content": "a"}]}
    reply = door.send("POST", "/v1/messages/count_tokens", json.dumps(body))
    assert reply.status == 404
    assert json.loads(reply.body)["error"]["type"] == "not_found_error"


def test_the_model_list_comes_in_the_protocol_of_whoever_asks(door: Door, route: Route) -> None:
    openai = json.loads(door.send("GET", "/v1/models").body)
    assert route.name in [model["id"] for model in openai["data"]]
    anthropic = json.loads(door.send("GET", "/v1/models?limit=1000", headers={"anthropic-version": "2023-06-01"}).body)
    ids = [model["id"] for model in anthropic["data"]]
    assert route.name in ids
    assert (anthropic["has_more"], anthropic["first_id"], anthropic["last_id"]) == (False, ids[0], ids[-1])
    gemini = json.loads(door.send("GET", "/v1/models", headers={"x-goog-api-key": "any"}).body)
    assert f"models/{route.name}" in [model["name"] for model in gemini["models"]]
    assert json.loads(door.send("GET", "/v1beta/models").body) == gemini


def test_one_model_comes_in_the_same_protocols(door: Door, route: Route) -> None:
    path = f"/v1/models/{route.name}"
    assert json.loads(door.send("GET", path).body)["id"] == route.name
    entry = json.loads(door.send("GET", path, headers={"anthropic-version": "2023-06-01"}).body)
    assert (entry["type"], entry["id"]) == ("model", route.name)
    missing = door.send("GET", "/v1/models/none-such", headers={"anthropic-version": "2023-06-01"})
    assert missing.status == 404
    assert json.loads(missing.body)["type"] == "error"


def test_a_websocket_is_refused_so_that_its_client_goes_on_without(door: Door) -> None:
    asked = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "a"}
    assert door.send("GET", "/v1/responses", headers=asked).status == 426
    assert door.send("GET", "/v1/responses").status == 405


def test_a_body_of_the_responses_api_at_the_address_of_chat_is_answered_as_chat(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"reply": {"text": "Well enough."}}))
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    body = {"model": route.name, "instructions": "Be brief.", "input": "how is it?", "tools": [tool]}
    reply = door.post(json.dumps(body).encode())
    assert reply.status == 200, reply.body
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Well enough."
    sent = json.loads(upstream.rows(route.first)[-1]["body"])
    assert sent["messages"][-1]["content"] == "how is it?"
    assert sent["tools"][0]["function"]["name"] == "look"
    stream = door.post(json.dumps({**body, "stream": True}).encode())
    assert stream.events[-1] == "[DONE]"


@pytest.mark.parametrize("named", [True, False])
def test_azures_addresses_name_the_model(upstream: Upstream, door: Door, route: Route, named: bool) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}]}
    if named:
        body["model"] = "something-else"
    path = f"/openai/deployments/{route.name}/chat/completions?api-version=2024-10-21"
    reply = door.send("POST", path, json.dumps(body), {"api-key": "any"})
    assert reply.status == 200, reply.body
    assert reply.target == route.first
    assert json.loads(upstream.rows(route.first)[-1]["body"])["model"] == route.first


def test_gemini_is_found_without_the_word_models_before_a_name_with_a_slash(
    upstream: Upstream, door: Door, route: Route
) -> None:
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
    reply = door.send("POST", f"/v1beta/up/{route.first}:generateContent", body)
    assert reply.status == 200, reply.body
    assert json.loads(reply.body)["candidates"]
    assert [row["model"] for row in upstream.rows(route.first)] == [route.first]
    unknown = door.send("POST", "/v1beta/no/such:generateContent", body)
    assert (unknown.status, json.loads(unknown.body)["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v1/models", "/livez", "/v1/chat/completions"])
def test_a_look_at_the_head_alone_says_what_the_whole_would(door: Door, path: str) -> None:
    whole, head = door.send("GET", path), door.send("HEAD", path)
    assert (head.status, head.body) == (whole.status, b"")
    told = {"content-type", "x-should-retry", "allow"}
    assert {name: head.headers.get(name) for name in told} == {name: whole.headers.get(name) for name in told}
    # What the whole would have been long, where it is told at all.
    assert head.headers.get("content-length") in (None, str(len(whole.body)))
    assert door.send("GET", "/livez").status == 200
