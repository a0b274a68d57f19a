"""`fastroute.core` translates for other programs, and gives replies as plain values."""

import doctest
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fastroute import core

CHAT = "openai_chat"
COMPLETIONS = "openai_completions"
ANSWERS = [name for name in core.DIALECTS if not name.endswith(("embeddings", "rerank"))]
REQUEST = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "how is it?"}]}).encode()
REPLY = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "It rains.",
                    "reasoning_content": "Look outside.",
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"day":1}'}}
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
    }
).encode()


def chunk(delta: object, finish: str | None = None) -> bytes:
    event = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(event)}\n\n".encode()


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": "It "}),
        chunk({"content": "rains."}),
        chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]
)


def test_the_examples_of_its_documentation_run() -> None:
    failed, tried = doctest.testmod(core)
    assert tried > 2
    assert not failed


def test_the_examples_of_its_page_run() -> None:
    page = Path(__file__).parents[2] / "docs" / "core.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 10
    assert not failed


def test_a_reply_as_plain_values() -> None:
    reply = core.parse_reply(REPLY, CHAT)
    (choice,) = reply.choices
    assert (choice.text, choice.reasoning, choice.finish) == ("It rains.", "Look outside.", "tool_calls")
    (call,) = choice.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"day": 1})
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens, reply.usage.cached_tokens) == (3, 7, 2)


def test_a_stream_as_plain_values_in_any_pieces() -> None:
    def told(pieces: list[bytes]) -> list[tuple[str, str]]:
        reader = core.StreamReader(CHAT)
        events = [event for piece in pieces for event in reader.push(piece)] + reader.finish()
        return [(event.kind, event.text or event.name or event.finish or "") for event in events]

    whole = told([STREAM])
    assert ("text", "It ") in whole
    assert whole[-2:] == [("finish", "tool_calls"), ("done", "")]
    assert told([STREAM[at : at + 1] for at in range(len(STREAM))]) == whole


CALL = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("told", "calls", "finish", "counts"),
    [
        # xAI counts reasoning beside the completion, and the total proves it.
        ({"completion_tokens_details": {"reasoning_tokens": 90}, "total_tokens": 105}, [], "stop", (10, 95, 0, 0, 90)),
        # Grok at Azure tells more cache reads than it read.
        ({"prompt_tokens_details": {"cached_tokens": 40}}, [CALL], "tool_calls", (10, 5, 10, 0, 0)),
        ({"prompt_cache_hit_tokens": 8}, [], "stop", (10, 5, 8, 0, 0)),
        ({"prompt_tokens_details": {"cache_creation_input_tokens": 4}}, [CALL], "tool_calls", (10, 5, 0, 4, 0)),
    ],
)
def test_counts_and_finish_are_what_numbers_and_calls_prove(
    told: dict[str, Any], calls: list[Any], finish: str, counts: tuple[int, ...]
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} | told
    # Servers say "stop" of answers that call, and "tool_calls" of answers that do not.
    word = "stop" if calls else "tool_calls"
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    reply = {"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": word}], "usage": usage}
    whole = core.parse_reply(json.dumps(reply).encode(), CHAT)
    assert whole.choices[0].finish == finish
    delta = {"index": 0, "delta": {"tool_calls": [{"index": 0} | call for call in calls]}}
    chunks = [{"choices": [delta]}, {"choices": [{"index": 0, "delta": {}, "finish_reason": word}], "usage": usage}]
    reader = core.StreamReader(CHAT)
    events = [event for chunk in chunks for event in reader.push(b"data: %b\n\n" % json.dumps(chunk).encode())]
    assert [event.finish for event in events if event.kind == "finish"] == [finish]
    streamed = [event.usage for event in events if event.usage is not None]
    for each in [whole.usage, streamed[-1]]:
        assert each is not None
        details = [each.cached_tokens or 0, each.cache_write_tokens or 0, each.reasoning_tokens or 0]
        assert (each.prompt_tokens, each.completion_tokens, *details) == counts
        assert each.total_tokens == counts[0] + counts[1]


@pytest.mark.parametrize("name", sorted(set(core.DIALECTS) - set(ANSWERS)))
def test_what_is_no_answer_in_words_does_not_stream(name: str) -> None:
    for pair in [(CHAT, name), (name, CHAT)]:
        with pytest.raises(ValueError, match=name):
            core.StreamTranslator(*pair)
    with pytest.raises(core.DialectError, match=f"cannot be said in {name}"):
        core.translate_request(REQUEST, CHAT, name)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != COMPLETIONS])
def test_a_completion_is_the_text_of_an_answer(name: str) -> None:
    there = core.translate_request(REQUEST, CHAT, COMPLETIONS)
    assert json.loads(there.body)["prompt"] == "how is it?"
    assert b"how is it?" in core.translate_request(there.body, COMPLETIONS, name).body
    said = json.dumps({"id": "c1", "choices": [{"message": {"content": "It rains."}, "finish_reason": "length"}]})
    across = core.translate_reply(core.translate_reply(said.encode(), CHAT, name, model="m"), name, COMPLETIONS)
    (choice,) = core.parse_reply(across, COMPLETIONS).choices
    assert (choice.text, choice.finish) == ("It rains.", "length")
    with pytest.raises(core.DialectError, match="calls a tool"):
        core.translate_reply(core.translate_reply(REPLY, CHAT, name), name, COMPLETIONS)


def test_vectors_come_as_their_client_asked_for_them() -> None:
    body = b'{"model":"m","input":["a"],"encoding_format":"base64","dimensions":2}'
    asked = core.translate_request(body, "openai_embeddings", "gemini_embeddings")
    assert json.loads(asked.body)["requests"][0]["outputDimensionality"] == 2
    assert (asked.encoding, asked.alone, asked.dropped) == ("base64", False, [])
    reply = core.translate_reply(
        b'{"embeddings":[{"values":[1,-0.5]}]}',
        "gemini_embeddings",
        "openai_embeddings",
        model="m",
        encoding=asked.encoding,
        alone=asked.alone,
    )
    assert json.loads(reply)["data"][0]["embedding"] == "AACAPwAAAL8="
    with pytest.raises(ValueError, match="float or base64"):
        core.translate_reply(reply, "openai_embeddings", "openai_embeddings", encoding="octal")


def test_ranks_come_in_the_words_of_their_client() -> None:
    body = b'{"model":"m","query":"q","documents":["a","b"],"top_n":1}'
    asked = core.translate_request(body, "rerank", "voyage_rerank")
    assert json.loads(asked.body) == {"model": "m", "query": "q", "documents": ["a", "b"], "top_k": 1}
    ranked = b'{"object":"list","data":[{"index":1,"relevance_score":0.5}],"model":"m","usage":{"total_tokens":4}}'
    reply = json.loads(core.translate_reply(ranked, "voyage_rerank", "rerank", reply_id="r1"))
    assert (reply["id"], reply["results"]) == ("r1", [{"index": 1, "relevance_score": 0.5}])


@pytest.mark.parametrize("source", [name for name in ANSWERS if name != COMPLETIONS])
@pytest.mark.parametrize("target", [name for name in ANSWERS if name != COMPLETIONS])
def test_every_dialect_takes_the_place_of_every_other(source: str, target: str) -> None:
    there = core.translate_reply(REPLY, CHAT, source, reply_id="r1", model="m")
    across = core.parse_reply(core.translate_reply(there, source, target, reply_id="r1", model="m"), target)
    assert (across.choices[0].text, across.choices[0].finish) == ("It rains.", "tool_calls")
    assert json.loads(across.choices[0].tool_calls[0].arguments) == {"day": 1}
    first = core.StreamTranslator(CHAT, source, reply_id="r1", model="m")
    second = core.StreamTranslator(source, target, reply_id="r1", model="m")
    stream = second.push(first.push(STREAM) + first.finish()) + second.finish()
    reader = core.StreamReader(target)
    events = reader.push(stream) + reader.finish()
    assert "".join(event.text for event in events if event.kind == "text") == "It rains."
    assert [event.name for event in events if event.kind == "tool_call"] == ["weather"]
    assert [event.finish for event in events if event.kind == "finish"] == ["tool_calls"]
    asked = core.translate_request(core.translate_request(REQUEST, CHAT, source).body, source, target)
    assert b"how is it?" in asked.body


def test_a_stream_that_breaks_off_is_never_finished_for_the_upstream() -> None:
    for at, _ in pairwise(range(0, STREAM.index(b'"tool_calls"}') - 1, 7)):
        stream = core.StreamTranslator(CHAT, CHAT)
        said = stream.push(STREAM[:at]) + stream.finish()
        assert b"upstream_" in said
        assert b"[DONE]" not in said
        assert stream.ended


def test_what_a_caller_got_wrong_is_told() -> None:
    with pytest.raises(ValueError, match='no dialect "klingon"; there are openai_chat'):
        core.parse_reply(REPLY, "klingon")
    with pytest.raises(core.DialectError) as refused:
        core.translate_request(b'{"model":"m","messages":"hello"}', CHAT, CHAT)
    assert refused.value.args[1:] == ("/messages", "messages")
    assert core.parse_error(b'{"error":{"message":"no","code":"x"}}', CHAT).code == "x"


@pytest.mark.parametrize("target", ["anthropic_messages", "openai_responses", "gemini", "cohere_v2", "ollama"])
def test_an_end_without_a_finish_is_an_error_in_another_dialect(target: str) -> None:
    unfinished = chunk({"role": "assistant", "content": "It "}) + b"data: [DONE]\n\n"
    stream = core.StreamTranslator(CHAT, target, reply_id="r1", model="m")
    reader = core.StreamReader(target)
    events = reader.push(stream.push(unfinished) + stream.finish()) + reader.finish()
    assert events[-1].error is not None
    assert not [event for event in events if event.kind == "finish"]


def test_thinking_that_names_no_effort_is_no_effort_in_chat() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "thinking": {"type": "enabled"}}
    there = core.translate_request(json.dumps(asked).encode(), "cohere_v2", CHAT)
    assert "reasoning_effort" not in json.loads(there.body)


def test_responses_with_log_probabilities_are_chat_with_log_probabilities() -> None:
    asked = {"model": "m", "input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 2}
    there = json.loads(core.translate_request(json.dumps(asked).encode(), "openai_responses", CHAT).body)
    assert (there["logprobs"], there["top_logprobs"]) == (True, 2)
    again = core.translate_request(json.dumps(asked).encode(), "openai_responses", "openai_responses")
    assert json.loads(again.body)["include"] == asked["include"]


def test_calls_that_came_without_ids_are_named_apart_in_every_reply() -> None:
    parts = [{"functionCall": {"name": "weather", "args": {}}}]
    reply = json.dumps(
        {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    ).encode()

    def called(reply_id: str) -> str:
        said = core.translate_reply(reply, "gemini", CHAT, reply_id=reply_id)
        return core.parse_reply(said, CHAT).choices[0].tool_calls[0].id

    assert called("r1") == called("r1") != called("r2")
    assert called("") != called("")

    def read() -> str:
        reader = core.StreamReader("gemini")
        return next(event.id for event in reader.push(b"data: " + reply + b"\n\n") if event.kind == "tool_call")

    assert read() != read()
    assert (
        core.parse_reply(reply, "gemini").choices[0].tool_calls[0].id
        != core.parse_reply(reply, "gemini").choices[0].tool_calls[0].id
    )
