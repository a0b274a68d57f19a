"""Checks our counts against OpenAI's own library, on every text that `tokens-bakeoff dump` writes.

The library downloads its vocabularies; here they come from the files that the vocabulary crates ship, and must have the
SHA-256 that the library pins. `pip install tiktoken`, then

    target/release/tokens-bakeoff dump 100000 \\
        | python against_tiktoken.py ~/.cargo/registry/src/*/splintr-vocab-*/vocabs
"""

import hashlib
import inspect
import json
import sys
from pathlib import Path

import tiktoken
import tiktoken_ext.openai_public as published
from tiktoken.load import load_tiktoken_bpe


def encoding(name: str, folders: list[Path]) -> tiktoken.Encoding:
    file = next(path for folder in folders if (path := folder / f"{name}.tiktoken").exists())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest not in inspect.getsource(getattr(published, name)):
        sys.exit(f"{file.name}: its SHA-256 is not the one that tiktoken pins")
    # The published constructor, told to read the file instead of its address.
    published.load_tiktoken_bpe = lambda *_, **__: load_tiktoken_bpe(str(file))
    return tiktoken.Encoding(**getattr(published, name)())


def main() -> None:
    folders = [Path(argument) for argument in sys.argv[1:]]
    encodings = {name: encoding(name, folders) for name in ("o200k_base", "cl100k_base")}
    differences = texts = 0
    for line in sys.stdin:
        row = json.loads(line)
        texts += 1
        for name, oracle in encodings.items():
            if len(oracle.encode_ordinary(row["text"])) != row[name]:
                differences += 1
                print(name, repr(row["text"]), file=sys.stderr)
    print(
        json.dumps(
            {
                "bench": "agree",
                "engine": "fastroute",
                "oracle": f"tiktoken {tiktoken.__version__} (Python)",
                "texts": texts,
                "encodings": len(encodings),
                "differences": differences,
            }
        )
    )
    sys.exit(differences > 0 or texts == 0)


if __name__ == "__main__":
    main()
