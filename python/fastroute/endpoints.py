"""Endpoints that are passed on unread: what is in their bodies is nobody's business here.

It stands below both sides: the catalogue says which provider has them, and a configuration may say who is asked. The
names are the engine's, in `rust/engine/src/opaque.rs`, and the endpoints' own addresses with `_` for `/`.
"""

from typing import Literal, get_args

Endpoint = Literal[
    "images_generations",
    "images_edits",
    "images_variations",
    "audio_speech",
    "audio_transcriptions",
    "audio_translations",
    "moderations",
    "files",
    "batches",
]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

Counting = Literal["anthropic_messages_tokens", "gemini_tokens", "openai_responses_tokens"]
"""Where a provider counts the tokens of a request in one of its dialects."""

COUNTING: tuple[Counting, ...] = get_args(Counting)
