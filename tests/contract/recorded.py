"""Recorded exchanges with providers, each under the dialect that its address speaks, or the reason why under none.

`FASTROUTE_RECORDINGS` names the folder. One rule: an address that nobody named here is an error, so that no line is
left out in silence.
"""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastroute import core


def _streams(dialect: str) -> bool:
    try:
        core.StreamReader(dialect)
    except ValueError:
        return False
    return True


ELSEWHERE = {"openai_completions", "bedrock_converse"}
"""One has no turns, the other's streams are no text: both are held to the recordings beside the core."""

CHAT_DIALECTS = tuple(name for name in core.DIALECTS if _streams(name) and name not in ELSEWHERE)
"""Dialects of conversations, which are those that have streams."""

SPOKEN = (
    (r"/chat/completions$", "openai_chat"),
    (r"/responses$", "openai_responses"),
    (r"/messages$|:(rawPredict|streamRawPredict)$", "anthropic_messages"),
    (r":(generateContent|streamGenerateContent)$", "gemini"),
    (r"/v2/chat$", "cohere_v2"),
    (r"/api/chat$", "ollama"),
    (r"/embeddings$", "openai_embeddings"),
)
"""Ends of addresses, and the dialect that is spoken there."""

NOT_TRANSLATED = (
    (r"/converse(-stream)?$", "Bedrock Converse is binary frames; its recordings are read beside the core"),
    (r"/invoke(-with-response-stream)?$", "Bedrock's older call, whose body is each model's own"),
    (r"/v1/chat$", "Cohere's first version, which its second replaced"),
    (r"/completions$", "a completion of one text is passed on as it is, and has no turns to translate"),
    (r"/(text-generation|multimodal-generation)/generation$", "DashScope's own call; its compatible one is spoken"),
    (r"/interactions$", "Google's stateful call, which no other provider has"),
    (r"/api/generate$", "Ollama's call for one text, without turns"),
    (r":batchEmbedContents$|/embed$", "embeddings in another provider's own form"),
    (r"/(text-rerank/text-rerank|rerank)$", "ranks documents; there is no conversation"),
    (r"/(models|tags|clipdraw)$", "describes models; there is no conversation"),
)
"""Ends of addresses that are no conversation of a dialect, and why."""


UNREADABLE = {
    "33994ae0569f8aa328b7": "an empty object with status 200, which a recorder kept in place of the reply",
}
"""Answers that are none, and why."""


class Line(NamedTuple):
    """One exchange. `dialect` is None where `reason` says why."""

    id: str
    provider: str
    dialect: str | None
    reason: str
    request: dict[str, Any] | None
    status: int
    streaming: bool
    body: bytes
    pieces: tuple[int, ...]
    """Sizes of the reads in which the body came; empty where nobody kept them."""
    tags: frozenset[str]

    @property
    def failed(self) -> bool:
        return self.status >= 400

    @property
    def chats(self) -> bool:
        return self.dialect in CHAT_DIALECTS

    @property
    def answered(self) -> bool:
        """It holds an answer of a model."""
        return self.chats and not self.failed and self.id not in UNREADABLE

    def asked(self) -> bytes | None:
        """The body of the request. Where the address alone names the model, it is put in, as a gateway does."""
        if self.request is None:
            return None
        model = {} if self.dialect == "gemini" else {"model": "m"}
        return json.dumps(model | self.request).encode()


def dialect_of(address: str) -> tuple[str | None, str]:
    """Dialect and reason; one of them is empty. Raises LookupError for an address that nobody named."""
    path = address.partition("?")[0].rstrip("/")
    for end, dialect in SPOKEN:
        if re.search(end, path):
            return dialect, ""
    for end, reason in NOT_TRANSLATED:
        if re.search(end, path):
            return None, reason
    raise LookupError("no dialect and no reason for the address of a recorded line")


@cache
def lines() -> tuple[Line, ...]:
    """Every recorded line. Skips the test where there is no folder of them."""
    folder = os.environ.get("FASTROUTE_RECORDINGS")
    if not folder:
        pytest.skip("FASTROUTE_RECORDINGS is not set: skipped every recorded exchange")
    files = sorted(Path(folder).glob("*.jsonl.gz"))
    assert files, "FASTROUTE_RECORDINGS names a folder without recordings"
    return tuple(line for file in files for line in _read(file))


def _read(file: Path) -> Iterable[Line]:
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        for exchange in map(json.loads, opened):
            try:
                dialect, reason = dialect_of(exchange["endpoint_url"])
            except LookupError as unknown:
                raise LookupError(f"{unknown}: {exchange['id']} of {exchange['provider']}") from None
            yield Line(
                id=exchange["id"],
                provider=exchange["provider"],
                dialect=dialect,
                reason=reason,
                request=exchange["request"],
                status=exchange["status"],
                streaming=exchange["streaming"],
                body=_bytes(exchange["response_body"], exchange["body_encoding"]),
                pieces=tuple(exchange.get("chunk_sizes") or ()),
                tags=frozenset(exchange["tags"]),
            )


def _bytes(body: str, encoding: str) -> bytes:
    return base64.b64decode(body) if encoding == "base64" else body.encode()
