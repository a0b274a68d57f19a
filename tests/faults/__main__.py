"""Plays rounds of the matrix and prints the cells that differ from the table: `python -m faults [ROUNDS] [FAULT…]`.

Among the faults may stand pairs of dialects, `gemini@openai_responses`: client, then upstream. `@` means all but chat.
"""

import collections
import sys
import tempfile
import time
from pathlib import Path

from faults.cell import cells
from faults.judge import differences
from faults.pair import CHAT, OTHERS, Pair
from faults.round import Mocks, play
from faults.table import FAULTS


def main(rounds: int, names: list[str]) -> None:
    pairs = list(OTHERS) if "@" in names else [Pair(*name.split("@")) for name in names if "@" in name]
    wanted = {name for name in names if "@" not in name}
    faults = [fault for fault in FAULTS if not wanted or fault.name in wanted]
    square = list(cells(faults, rounds, pairs=pairs or [CHAT]))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with Mocks.start(place) as mocks:
            began_s = time.monotonic()
            seen = play(square, mocks, place)
            took_s = time.monotonic() - began_s
    failing: dict[str, list[str]] = collections.defaultdict(list)
    for observation in seen.observations:
        for difference in differences(observation):
            failing[observation.cell.label].append(difference)
    for label, several in sorted(failing.items()):
        print(f"{label}: {'; '.join(dict.fromkeys(several))}")
    print(f"{len(faults)} faults, {len(square)} cells, {len(seen.observations)} requests, {took_s:.1f} s")
    print(f"{len(failing)} failing cells")
    print(f"before {seen.before}, after {seen.after}, open {seen.open_after}, stray {seen.stray}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1, sys.argv[2:])
