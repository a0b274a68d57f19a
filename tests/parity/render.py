"""Prints what dialects and providers have as the page that users read: `python -m parity.render > docs/parity.md`.

One rule: every cell is measured as the page is printed, by `fastroute.core` and through a gateway; only the frame is
written here.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from parity.feature import DIALECTS, YES, Cell
from parity.providers import RECORDED, conversing, measured, opened, silent, spoken_by
from parity.table import FEATURES

Providers = Mapping[str, Mapping[str, Cell]]

INTRODUCTION = """# Parity

What of a conversation each dialect can say, and what becomes of the rest. A client of any dialect may be answered by a
provider of any other; what the provider's dialect has no words for is named in the notice of what was dropped, never
left out in silence.

Each cell is measured: the feature is said in the dialect and looked for on the way back. It is the test
`test_a_dialect_has_what_the_page_says` of `tests/parity/test_page.py` with the feature and the dialect in brackets.
That recorded answers of real providers say in every dialect what they said in their own is held by
`tests/contract/test_every_recording.py`, and that the official SDKs read them so by
`tests/clients/test_sdk_parsers.py`.

| cell | meaning |
|---|---|
| yes | said there, and the same on the way back |
| dropped, named | the dialect has no words for it; the notice names it |
| refused | a request with it is refused, with the field that is to blame |
| – | the dialect has nothing of the kind, and nothing was asked |
| other words | how it is said there in the place of its own words |
"""

EMBEDDINGS = """Embeddings are spoken in `openai_embeddings` and are not translated into the form of a conversation.
"""

PROVIDERS = """## Providers

The same for each provider of the catalogue that holds conversations: asked through a gateway with the quirks of its
row, for a model that nothing is known of, by a client of the dialect in which the feature is said. What arrived at the
provider's address is read back. A provider that speaks several dialects is spoken to in the client's own, else in the
one that loses least of the request, and its replies come in that dialect.

Each cell is the test `test_a_provider_has_what_the_page_says` of `tests/parity/test_providers.py` with the feature and
the provider in brackets; of replies it is the test of the dialect above. ● is yes. Where a row says R, recorded
exchanges with the provider are held to the same in `tests/contract/test_every_recording.py`, and its address in
`tests/unit/test_catalogue_recordings.py`. The quirks of a row have each a case in `rust/core/tests/quirks.rs`.
"""

OTHERS = "No conversations, but vectors or ranks: "


def render(providers: Providers) -> str:
    return "\n".join(_page(providers))


def _page(providers: Providers) -> Iterator[str]:
    yield INTRODUCTION
    yield f"| feature | {' | '.join(f'`{name}`' for name in DIALECTS)} |"
    yield "|---" * (len(DIALECTS) + 1) + "|"
    for feature in FEATURES:
        yield f"| {feature.name} | {' | '.join(map(feature.cell, DIALECTS))} |"
    yield ""
    yield EMBEDDINGS
    yield PROVIDERS
    yield f"| provider | recorded | dialects | {' | '.join(feature.name for feature in FEATURES)} |"
    yield "|---" * (len(FEATURES) + 3) + "|"
    rows = conversing()
    for name, cells in providers.items():
        told = " | ".join("●" if (cell := cells[feature.name]) == YES else cell for feature in FEATURES)
        spoken = ", ".join(spoken_by(rows[name]))
        yield f"| `{name}` | {'R' if name in RECORDED else ''} | {spoken} | {told} |"
    yield ""
    yield OTHERS + ", ".join(f"`{name}`" for name in silent()) + "."
    yield ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as ways:
        sys.stdout.write(render(measured(ways)))
