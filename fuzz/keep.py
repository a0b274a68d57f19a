"""Keeps what the fuzzers learned, as one text file per target: `keep.py pack TARGET FOLDER`, `unpack TARGET`.

One rule: a line is one input in hexadecimal, shortest first, so that a difference can be read. `pack` takes a folder
that a target merged its corpus into (`target/HOST/release/TARGET -merge=1 -max_len=700 FOLDER seeds/TARGET
corpus/TARGET`); `unpack` gives the lines back to a hunt, which then begins where the last one ended.
`rust/core/tests/fuzz_seeds.rs` holds every line to the laws.
"""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
MOST_BYTES = 60_000
"""Of one target. The shortest inputs say the most by their size."""


def pack(target: str, source: Path) -> None:
    inputs = sorted({file.read_bytes() for file in source.iterdir()}, key=lambda each: (len(each), each))
    kept, size = [], 0
    for each in inputs:
        size += len(each)
        if each and size <= MOST_BYTES:
            kept.append(each.hex())
    (HERE / "kept" / target).write_text("\n".join(kept) + "\n", encoding="ascii")
    sys.stdout.write(f"{target}: {len(kept)} of {len(inputs)} inputs\n")


def unpack(target: str) -> None:
    file, folder = HERE / "kept" / target, HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for line in file.read_text(encoding="ascii").splitlines() if file.exists() else ():
        each = bytes.fromhex(line)
        (folder / hashlib.sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)


if __name__ == "__main__":
    if sys.argv[1] == "pack":
        pack(sys.argv[2], Path(sys.argv[3]))
    else:
        unpack(sys.argv[2])
