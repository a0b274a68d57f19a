"""Portkey's gateway: `npm install @portkey-ai/gateway`, with its `node_modules/.bin` on the path."""

from pathlib import Path

from benches.rig.peers.recipe import Recipe


def command(_folder: Path, _mock: int, port: int) -> list[str]:
    """Without its console; the target comes with each request."""
    return ["gateway", f"--port={port}", "--headless"]


def headers(mock: int) -> list[str]:
    """The provider and its address."""
    return [
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{mock}/v1",
        "authorization: Bearer unused",
    ]


PORTKEY = Recipe("portkey", "headless; no cache, no retries", command, headers)
