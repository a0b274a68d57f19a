"""What each provider of the catalogue is asked for each feature: through a gateway, with the quirks of its row.

One rule: the cell is what arrived at the provider, read back, and never what a row promises. One surprise: replies come
in the dialect that the provider speaks, so what they hold is measured by dialect.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fastroute.catalogue import Row, read_catalogue
from faults.tongue import ANTHROPIC, CHAT, GEMINI, RESPONSES
from flow.rig import CHAT as CHAT_PATH
from flow.rig import Command, Door, Gateway, Upstream, free_port
from parity.feature import LOST, REFUSED, YES, Asked, Cell, Feature
from parity.table import FEATURES

PATHS = {"openai_chat": CHAT_PATH, "anthropic_messages": "/v1/messages"}
"""Where a client asks in the dialect that a feature is said in."""
ENDS = (
    ("/chat/completions", "openai_chat"),
    ("/responses", "openai_responses"),
    ("/messages", "anthropic_messages"),
    (":rawPredict", "anthropic_messages"),
    ("/invoke", "anthropic_messages"),
    (":generateContent", "gemini"),
    ("/v2/chat", "cohere_v2"),
    ("/api/chat", "ollama"),
    ("/chat", "openai_chat"),
    ("/converse", "bedrock_converse"),
)
"""How an address ends, and the dialect that is spoken there."""
ASKED = tuple(feature for feature in FEATURES if isinstance(feature.measure, Asked))
ANSWERED = tuple(feature for feature in FEATURES if not isinstance(feature.measure, Asked))
SAID = '{"city":"Oslo"}'
"""Holds to the one schema that a feature asks for."""
BEDROCK = {
    "output": {"message": {"role": "assistant", "content": [{"text": SAID}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
}
COHERE = {
    "id": "c1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
    "usage": {"tokens": {"input_tokens": 1, "output_tokens": 1}},
}
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": SAID}, "done": True, "done_reason": "stop"}
ANSWERS = {
    "/chat/completions": CHAT.reply(SAID),
    "/messages": ANTHROPIC.reply(SAID),
    "/responses": RESPONSES.reply(SAID),
    ":rawPredict": ANTHROPIC.reply(SAID),
    "/invoke": ANTHROPIC.reply(SAID),
    ":generateContent": GEMINI.reply(SAID),
    "/v2/chat": json.dumps(COHERE),
    "/api/chat": json.dumps(OLLAMA),
    "/writer/chat": CHAT.reply(SAID),
    "/converse": json.dumps(BEDROCK),
}
"""What the scripted upstream answers, by the end of the address."""


RECORDED = (
    *("anthropic", "azure", "azure_anthropic", "azure_deployments", "azure_foundry", "bedrock", "bedrock_anthropic"),
    *("cerebras", "cohere", "dashscope", "deepseek", "doubleword", "gemini", "groq", "llamacpp", "mistral"),
    *("mistralrs", "moonshot", "ollama", "openai", "openrouter", "perplexity", "together", "venice", "vertex"),
    *("vertex_anthropic", "vllm", "writer", "xai", "zai"),
)
"""Providers whose recorded exchanges are read, crossed and said again (`tests/contract/test_every_recording.py`)."""


def conversing() -> dict[str, Row]:
    """Rows whose provider holds conversations."""
    spoken = {dialect for _, dialect in ENDS}
    return {name: row for name, row in sorted(read_catalogue().providers.items()) if spoken & row.speaks.keys()}


def silent() -> list[str]:
    """The other ones."""
    return sorted(read_catalogue().providers.keys() - conversing().keys())


class Ways(NamedTuple):
    """A gateway that knows every provider of the catalogue, all of them at one scripted upstream."""

    door: Door
    upstream: Upstream

    def cells(self, provider: str) -> dict[str, Cell]:
        """What becomes of each feature of a request."""
        return dict(self._measured(provider))

    def _measured(self, provider: str) -> Iterator[tuple[str, Cell]]:
        for number, feature in enumerate(ASKED):
            assert isinstance(feature.measure, Asked)
            model = f"model-{number}"
            yield feature.name, self._cell(feature, provider, model)

    def _cell(self, feature: Feature, provider: str, model: str) -> Cell:
        asked = feature.measure
        assert isinstance(asked, Asked)
        self.upstream.script(
            *({"match": {"path": f"*{end}"}, "steps": [answer(said)]} for end, said in ANSWERS.items()),
        )
        body = json.dumps(json.loads(asked.body) | {"model": f"{provider}/{model}"})
        reply = self.door.send("POST", PATHS[asked.source], body)
        rows = self.upstream.rows()
        if reply.status == 400 and not rows:
            return REFUSED
        assert reply.status == 200, (provider, feature.name, reply.body)
        (row,) = rows
        path = row["path"].partition("?")[0]
        dialect = next(dialect for end, dialect in ENDS if path.endswith(end))
        notices = reply.headers.get("x-fastroute-dropped", "").split(", ")
        written = understood(json.loads(row["body"]) | {"model": model}, conversing()[provider])
        found = asked.found(json.dumps(written).encode(), dialect, notices)
        return (feature.otherwise or {}).get(dialect, LOST) if found == LOST else found


def understood(body: dict[str, Any], row: Row) -> dict[str, Any]:
    """What was written for this provider, in the dialect's own words where it only has other ones for the same."""
    for usual, own in row.quirks.get("rename", {}).items():
        if own in body:
            body[usual] = body.pop(own)
    choices = {own: usual for usual, own in row.quirks.get("tool_choice", {}).items() if own == "any"}
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        body["tool_choice"] = choices.get(choice, choice)
    return body


def answer(said: str) -> dict[str, Any]:
    return {"status": {"code": 200, "body": said}}


def open_ways(folder: Path, upstream: Upstream) -> tuple[Ways, Command]:
    """Starts the gateway."""
    config = {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {
            name: {"address": f"{upstream.origin}/{name}", "key": "k", **elsewhere(row)}
            for name, row in conversing().items()
        },
    }
    file = folder / "gateway.json"
    file.write_text(json.dumps(config))
    command = Command(folder / "gateway.log", "serve", "-c", str(file))
    return Ways(Gateway(command).doors["edge"], upstream), command


def elsewhere(row: Row) -> dict[str, Any]:
    """What a row leaves open besides its address."""
    return {"vars": {name: "x" for name in row.variables() if name != "region"}} if not row.address else {}


def spoken_by(row: Row) -> list[str]:
    """The dialects of conversations that a provider speaks."""
    return [dialect for dialect in dict.fromkeys(dialect for _, dialect in ENDS) if dialect in row.speaks]


def told(row: Row, feature: Feature) -> Cell:
    """What becomes of a feature of replies: as the first dialect tells it that has it."""
    cells = [feature.cell(dialect) for dialect in spoken_by(row)]
    return YES if YES in cells else cells[0]


def measured(ways: Ways) -> dict[str, dict[str, Cell]]:
    """Every cell, by provider and feature."""
    found = {}
    for name, row in conversing().items():
        asked = ways.cells(name)
        found[name] = {feature.name: asked.get(feature.name) or told(row, feature) for feature in FEATURES}
    return found


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Ways]:
    """Starts a scripted upstream and a gateway before it."""
    commands = [Command(folder / "mock.log", "mock", "--port", "0")]
    try:
        ways, gateway = open_ways(folder, Upstream(commands[0]))
        commands.append(gateway)
        yield ways
    finally:
        for command in commands:
            command.stop()
