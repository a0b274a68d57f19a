"""Prints what each dialect has as the page that users read: `python -m parity.render > docs/parity.md`.

One rule: every cell is measured by `fastroute.core` as the page is printed; only the frame is written here.
"""

import sys
from collections.abc import Iterator

from parity.feature import DIALECTS
from parity.table import FEATURES

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

EMBEDDINGS = """
Embeddings are spoken in `openai_embeddings` and are not translated into the form of a conversation.
"""


def render() -> str:
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield INTRODUCTION
    yield f"| feature | {' | '.join(f'`{name}`' for name in DIALECTS)} |"
    yield "|---" * (len(DIALECTS) + 1) + "|"
    for feature in FEATURES:
        yield f"| {feature.name} | {' | '.join(map(feature.cell, DIALECTS))} |"
    yield EMBEDDINGS


if __name__ == "__main__":
    sys.stdout.write(render())
