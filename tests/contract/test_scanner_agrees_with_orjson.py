"""The scanner and orjson, side by side on mutated chat bodies.

Law: we accept nothing that orjson refuses; where both accept, what a policy sees is what orjson reads; where orjson
alone accepts, our reason is a row marked "yes" in docs/decisions/0002-json-verdicts.md. The surprise: the standard
library's json is asked too, also as a reader that ignores the case of names, and Node and Go where they are installed,
because the last reader behind us may be like them.
"""

import json
import os
import random
import re
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

orjson = pytest.importorskip("orjson")

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "decisions" / "0002-json-verdicts.md"
BODIES = int(os.environ.get("FASTROUTE_MUTATIONS", "100000"))
SEED = int(os.environ.get("FASTROUTE_SEED", "20"))

Verdict = dict[str, Any]
Mutation = Callable[[random.Random, bytearray], None]

SEEDS = [
    body.encode()
    for body in [
        r'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}',
        r"""{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "model": "m/one", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 64, "n": 2}""",
        r"""{"model":"größe","user":"ü","messages":[{"role":"user","content":"日 \u00e9\ud83d\ude00 \"q\" \\ \n"}]}""",
        r"""{"model":"v","messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url",
        "image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}],"max_completion_tokens":5,"max_tokens":9}""",
        r"""{"model":"t","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
        "function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"ok"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":
        {"type":"number","minimum":-1.5e3,"maximum":1.7976931348623157e308}}}}}],"tool_choice":"auto"}""",
        """{\n  "model": "pretty",\n  "stream": false,\n  "temperature": 0.25,\n  "messages": [\n    {\n
              "role": "developer",\n      "content": ""\n    }\n  ],\n  "metadata": {"k": "v"}\n}\n""",
        r'{"model":"old","prompt":["a","b"],"n":1,"stream":null,"stop":["\u2028"],"logit_bias":{"50256":-100}}',
        r"""{"model":"r","input":[{"role":"user","content":"hi"}],"response_format":{"type":"json_object"},
        "seed":18446744073709551615}""",
        "{}",
    ]
]

NAMES = [
    *("model", "stream", "stream_options", "include_usage", "max_tokens", "max_completion_tokens", "n"),
    *(
        "messages",
        "tools",
        "role",
        "content",
        "type",
        "user",
        "temperature",
        "x",
        "Model",
        "ROLE",
        "Include_Usage",
        "\u017ftream",
        "mod\\u0065l",
        "r\\u006fle",
        "y\\u0078",
    ),
]
VALUES = [
    *(
        "null",
        "true",
        "false",
        '""',
        '"a"',
        "[]",
        "{}",
        "0",
        "-0",
        "1",
        "-1",
        "1.0",
        "1e2",
        "12",
        "[{}]",
        '[{"role":"user"}]',
    ),
    *(
        '{"include_usage":false}',
        '"\\u0061"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        '"\\udc00"',
        '"' + "m" * 300 + '"',
        "[[1,2],[3]]",
    ),
]
NUMBERS = [
    *(
        "0",
        "-0",
        "00",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "1E-2",
        "0e99999999999999999999",
        "1e308",
        "1e309",
        "-1e309",
        "1e400",
    ),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1" + "0" * 400,
        "1." + "0" * 400,
        "1e-400",
        "NaN",
    ),
    *(
        "-Infinity",
        "Infinity",
        "0x10",
        "1_000",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "0." + "0" * 320 + "1e640",
    ),
]
SNIPPETS = [
    *(
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf0\x9f\x98\x80",
        b"\xc3\xa9",
        b"\xf4\x90\x80\x80",
    ),
    *(
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\n",
        b"\t",
        b"\x0c",
        b"\x0b",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"\\",
        b'"',
        b"\\u0000",
        b"\\u12",
    ),
    *(
        b"\\ud800",
        b"\\udc00",
        b"\\uD83D\\uDE00",
        b"\\x",
        b"\\/",
        b"/**/",
        b"//",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"'",
        b"e",
        b".",
    ),
]


def somewhere(dice: random.Random, body: bytearray) -> int:
    return dice.randrange(len(body) + 1)


def one_of(dice: random.Random, pattern: bytes, body: bytearray) -> re.Match[bytes] | None:
    found = list(re.finditer(pattern, bytes(body)))
    return dice.choice(found) if found else None


def add_member(dice: random.Random, body: bytearray) -> None:
    if brace := one_of(dice, rb"\{", body):
        comma = "" if body[brace.end() :].lstrip().startswith(b"}") else ","
        member = f'"{dice.choice(NAMES)}":{dice.choice(VALUES)}{comma}'
        body[brace.end() : brace.end()] = member.encode()


def change_value(dice: random.Random, body: bytearray) -> None:
    if value := one_of(dice, rb'(?<=:)\s*("[^"\\]*"|[-\d.eE+]+|true|false|null)', body):
        body[value.start() : value.end()] = dice.choice(VALUES).encode()


def change_number(dice: random.Random, body: bytearray) -> None:
    if value := one_of(dice, rb"(?<=[:\[, ])-?\d[\d.eE+-]*|null|true|false", body):
        body[value.start() : value.end()] = dice.choice(NUMBERS).encode()


def escape_character(dice: random.Random, body: bytearray) -> None:
    if letter := one_of(dice, rb"(?<=[\"A-Za-z_])[A-Za-z_]", body):
        body[letter.start() : letter.end()] = b"\\u%04x" % body[letter.start()]


def change_case(dice: random.Random, body: bytearray) -> None:
    if name := one_of(dice, rb'"[a-z_]+"\s*:', body):
        body[name.start() : name.end()] = (
            name.group().replace(b"_", b"").title() if dice.random() < 0.5 else name.group().upper()
        )


def flip_byte(dice: random.Random, body: bytearray) -> None:
    if body:
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)


def cut_out(dice: random.Random, body: bytearray) -> None:
    start = somewhere(dice, body)
    del body[start : start + dice.choice([1, 1, 2, 8, len(body)])]


def copy_over(dice: random.Random, body: bytearray) -> None:
    start = somewhere(dice, body)
    at = somewhere(dice, body)
    body[at:at] = body[start : start + dice.randrange(1, 40)]


def insert_snippet(dice: random.Random, body: bytearray) -> None:
    at = somewhere(dice, body)
    body[at:at] = dice.choice(SNIPPETS)


def insert_space(dice: random.Random, body: bytearray) -> None:
    if gap := one_of(dice, rb"[{}\[\]:,]", body):
        body[gap.end() : gap.end()] = dice.choice([b" ", b"\n", b"\t", b"\r", b"  \n ", b"\x0c", b"\xc2\xa0"])


def nest(dice: random.Random, body: bytearray) -> None:
    if value := one_of(dice, rb'(?<=:)("[^"\\]*"|\d+|null|true|false)', body):
        levels = dice.choice([1, 2, 5, 60, 125, 126, 127, 128, 200, 1100])
        before, after = dice.choice([(b"[", b"]"), (b'{"a":', b"}")])
        body[value.start() : value.end()] = before * levels + value.group() + after * levels


def replace_all(dice: random.Random, body: bytearray) -> None:
    body[:] = dice.choice([*VALUES, *NUMBERS, "", " "]).encode()


MUTATIONS: list[Mutation] = [
    *(add_member, add_member, change_value, change_value, change_number, escape_character, change_case),
    *(flip_byte, cut_out, copy_over, insert_snippet, insert_space, insert_space, nest),
]


def mutated(dice: random.Random) -> bytes:
    body = bytearray(dice.choice(SEEDS))
    if dice.random() < 0.003:
        replace_all(dice, body)
    for _ in range(dice.choice([0, 1, 1, 1, 2, 2, 3])):
        dice.choice(MUTATIONS)(dice, body)
    return bytes(body)


def packed(bodies: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(body)) + body for body in bodies)


def scanner_verdicts(bodies: Sequence[bytes]) -> list[Verdict]:
    """What the scanner says of each body: what it read, or ``{"refused": code}``. Nothing else knows how to ask."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip(f"no cargo to build the scanner with: {len(bodies)} bodies not compared")
    command = [cargo, "run", "--quiet", "--package", "fastroute-core", "--example", "verdict"]
    answer = subprocess.run(command, cwd=ROOT, input=packed(bodies), stdout=subprocess.PIPE, check=True)
    verdicts = [orjson.loads(line) for line in answer.stdout.splitlines()]
    assert len(verdicts) == len(bodies)
    return verdicts


def reasons_of_our_own() -> set[str]:
    """The codes of the table's rows where orjson accepts."""
    rows = re.findall(r"^\| `(\w+)` \|.*?\| (yes|no) \|", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) > 20
    return {code for code, accepts in rows if accepts == "yes"}


def length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0  # pyright: ignore[reportUnknownArgumentType]


def ignoring_case(body: bytes) -> Any:
    """As Go reads into a structure: names in whatever letters, and the last of several counts."""
    folded = str.maketrans({"\u017f": "s", "\u212a": "k"})
    return json.loads(body, object_pairs_hook=lambda pairs: {n.translate(folded).lower(): v for n, v in pairs})


def as_read_by(parse: Callable[[bytes], Any], body: bytes) -> Verdict:
    """What a policy would have to see if ``parse`` is right."""
    tree = parse(body)
    options = tree.get("stream_options") or {}
    limit = tree.get("max_completion_tokens")
    messages = [m for m in tree.get("messages") or [] if isinstance(m, dict)]
    parts = [p for m in messages if isinstance(m.get("content"), list) for p in m["content"] if isinstance(p, dict)]
    return {
        "model": tree.get("model"),
        "stream": tree.get("stream"),
        "include_usage": options.get("include_usage"),
        "max_tokens": tree.get("max_tokens") if limit is None else limit,
        "n": tree.get("n"),
        "messages": length(tree.get("messages")),
        "system": sum(m.get("role") == "system" for m in messages),
        "user": sum(m.get("role") == "user" for m in messages),
        "image": sum(p.get("type") in ("image_url", "input_image", "image") for p in parts),
        "tools": length(tree.get("tools")),
        "empty": not tree,
    }


NODE = """
const bodies = require('fs').readFileSync(0), told = [];
const length = value => Array.isArray(value) ? value.length : 0;
const is = value => value !== null && typeof value === 'object' && !Array.isArray(value);
for (let at = 0; at < bodies.length;) {
    const size = bodies.readUInt32LE(at), tree = JSON.parse(bodies.toString('utf8', at + 4, at += 4 + size));
    const messages = (tree.messages ?? []).filter(is);
    const parts = messages.flatMap(message => Array.isArray(message.content) ? message.content.filter(is) : []);
    told.push(JSON.stringify({
        model: tree.model ?? null, stream: tree.stream ?? null,
        include_usage: (tree.stream_options ?? {}).include_usage ?? null,
        max_tokens: tree.max_completion_tokens ?? tree.max_tokens ?? null, n: tree.n ?? null,
        messages: length(tree.messages), system: messages.filter(message => message.role === 'system').length,
        user: messages.filter(message => message.role === 'user').length,
        image: parts.filter(part => ['image_url', 'input_image', 'image'].includes(part.type)).length,
        tools: length(tree.tools), empty: Object.keys(tree).length === 0,
    }));
}
process.stdout.write(told.join('\\n'));
"""


def as_read_outside(bodies: Sequence[bytes]) -> dict[str, list[Verdict]]:
    """The same of Node and Go, as far as they are installed. Neither knows an integer beyond 2^53."""
    commands = {"node": ["-e", NODE], "go": ["run", str(Path(__file__).with_name("reader.go"))]}
    told: dict[str, list[Verdict]] = {}
    for name, arguments in commands.items():
        program = shutil.which(name)
        if program is None:
            print(f"no {name}: {len(bodies)} bodies not compared with it")
            continue
        answer = subprocess.run([program, *arguments], input=packed(bodies), stdout=subprocess.PIPE, check=True)
        told[name] = [orjson.loads(line) for line in answer.stdout.splitlines()]
    return told


def as_floats(verdict: Verdict) -> Verdict:
    return {name: float(value) if type(value) is int else value for name, value in verdict.items()}


def test_what_policy_sees_is_what_other_parsers_read() -> None:
    print(f"seed {SEED}, {BODIES} bodies, orjson {orjson.__version__}")
    dice = random.Random(SEED)
    bodies = [*SEEDS, *(mutated(dice) for _ in range(BODIES))]
    allowed = reasons_of_our_own()
    both, neither, ours = list[tuple[bytes, Verdict]](), 0, Counter[str]()
    for body, verdict in zip(bodies, scanner_verdicts(bodies), strict=True):
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            assert "refused" in verdict, f"only we accept {body!r}"
            neither += 1
            continue
        if (code := verdict.pop("refused", None)) is not None:
            assert code in allowed, f"{code} is no reason to refuse {body!r}"
            ours[code] += 1
            continue
        both.append((body, verdict))
        spans = verdict.pop("spans")
        assert verdict == as_read_by(orjson.loads, body), body
        assert verdict == as_read_by(json.loads, body), body
        assert verdict == as_read_by(ignoring_case, body), body
        for name, span in spans.items():
            assert (span is None) == (name not in tree), body
            assert span is None or orjson.loads(body[slice(*span)]) == tree[name], body
    for name, told in as_read_outside([body for body, _ in both]).items():
        for (body, verdict), read in zip(both, told, strict=True):
            assert as_floats(verdict) == as_floats(read), f"{name} reads {body!r}"
    print(f"both accept {len(both)}, both refuse {neither}, only orjson accepts: {dict(ours.most_common())}")
    assert min(len(both), neither, ours.total()) > len(bodies) // 20, "the mutations no longer reach all three outcomes"
    unreached = allowed - ours.keys() - {"body_too_large", "too_many_messages", "number_range"}
    assert not unreached, f"no mutation reaches {unreached}; the limits and the sliver have unit tests"
