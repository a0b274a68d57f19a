"""Documents written to make JSON readers differ: at every edge of the grammar, one step inside and one step outside.

One rule: a name says what is odd about a document and nothing says whether it is sound; that is the readers' to say.
"""

from collections.abc import Iterator

ESCAPES = [
    *'"\\/bfnrtu',
    *"aveUx0'\n ",
    "\t",
    "\0",
    "\x7f",
    "é",
    "u0",
    "u00",
    "u004",
    "u004G",
    "u+041",
    "u 041",
    "u00e9",
]
SURROGATES = ["d7ff", "d800", "dbff", "dc00", "dfff", "e000", "fffe", "ffff", "0000"]
SEQUENCES = [
    *(
        b"\x00",
        b"\x1f",
        b"\x20",
        b"\x7f",
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2\x80",
        b"\xc2",
        b"\xdf\xbf",
    ),
    *(
        b"\xe0\x9f\xbf",
        b"\xe0\xa0\x80",
        b"\xe0\xa0",
        b"\xed\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xee\x80\x80",
    ),
    *(b"\xef\xbb\xbf", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf0\x90\x80"),
    *(
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
    ),
    *(b"\xfe", b"\xff", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85", b"\xc2\xa0", b"\xe3\x80\x80"),
]
SIGNS, WHOLES, FRACTIONS = (
    ("", "-", "+", "--"),
    ("", "0", "00", "01", "1", "12", "1_0", "٣"),
    ("", ".", ".0", ".5", ".5.5"),
)
EXPONENTS = ("", "e", "E5", "e+5", "e-5", "e+", "e05", "e5.0", "e--5")
EDGES = [
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "1e308", "1.7976931348623157e308", "1e309", "-1e309", "1e400"),
    *("5e-324", "1e-400", "4.9e-324", "0e999999", "0.0e-999999", "1e99999999999999999999", "1e-99999999999999999999"),
    *("NaN", "nan", "Infinity", "-Infinity", "inf", "0x1F", "0b1", "0o7", "1n", "1L", "1f", "١", "½", "-", ".", "e1"),
]
SPACES = [
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x00",
    "\x85",
    "\xa0",
    "\u2028",
    "\u3000",
    "\ufeff",
    "/**/",
    "//x\n",
    "#x\n",
]
WORDS = [
    "true",
    "false",
    "null",
    "True",
    "TRUE",
    "tru",
    "truee",
    "nul",
    "nulll",
    "undefined",
    "None",
    "t",
    "f",
    "n",
    "yes",
]
STRUCTURES = [
    *(
        "",
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        "[,]",
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[1 2]",
        "[1;2]",
        "[1:2]",
        "[1]]",
        "[[1]",
        "[}",
        "{]",
    ),
    *(
        '{"a"}',
        '{"a":}',
        "{:1}",
        '{"a":1,}',
        '{,"a":1}',
        '{"a":1,,"b":2}',
        '{"a" 1}',
        '{"a"::1}',
        '{"a":1 "b":2}',
        "{a:1}",
    ),
    *(
        "{'a':1}",
        "{1:1}",
        "{null:1}",
        "{[]:1}",
        '{"a":1}}',
        '{"a":1}{}',
        '{"a":1},',
        "[1]x",
        '"a"b',
        '"a',
        'a"',
        "'a'",
        '""a',
    ),
    *(
        '{"":1}',
        '{"a":1,"a":2}',
        '{"\\u0061":1,"a":2}',
        '{"a":{"a":{"a":1}}}',
        "[[],[[]],[[[]]]]",
        '[{"a":[{"b":[{}]}]}]',
    ),
]
DEPTHS = (1, 2, 16, 63, 64, 65, 126, 127, 128, 129, 500)
WIDTHS = (0, 1, 2, 255, 256, 257, 1_000, 65_535, 65_536, 100_000)


Named = Iterator[tuple[str, bytes]]


def documents() -> Named:
    """Each with its name, the same every time."""
    yield from _escapes()
    yield from _characters()
    yield from _numbers()
    yield from _spaces_and_structures()
    yield from _sizes()


def _escapes() -> Named:
    for escape in ESCAPES:
        yield f"the escape {escape!r}", f'"a\\{escape}b"'.encode()
        yield f"the escape {escape!r} at the end", f'"\\{escape}"'.encode()
        yield f"the escape {escape!r} in a name", f'{{"\\{escape}":1}}'.encode()
    for first in SURROGATES:
        for text in (
            f"\\u{first}",
            f"x\\u{first}y",
            f"\\u{first.upper()}",
            f"\\u{first}\\n",
            f"\\u{first}\\\\u",
            f"\\u{first}\\",
        ):
            yield f"the unit {text!r}", f'"{text}"'.encode()
        for second in SURROGATES:
            yield f"the units {first} {second}", f'"\\u{first}\\u{second}"'.encode()
            yield f"the units {first} {second} in a name", f'{{"\\u{first}\\u{second}":1}}'.encode()


def _characters() -> Named:
    for raw in SEQUENCES:
        for name, document in (
            ("alone", b"%b"),
            ("in a text", b'"%b"'),
            ("within one", b'"a%bb"'),
            ("in a name", b'{"%b":1}'),
        ):
            yield f"the bytes {raw.hex()} {name}", document % raw
        yield f"the bytes {raw.hex()} after an escape", b'"\\%b"' % raw
        yield f"the bytes {raw.hex()} in a number", b"1%b" % raw
        yield f"the bytes {raw.hex()} at a block's border", b'"' + b"x" * 63 + raw + b'"'


def _numbers() -> Named:
    numbers = (s + w + f + e for s in SIGNS for w in WHOLES for f in FRACTIONS for e in EXPONENTS)
    for number in (*numbers, *EDGES, *(f"{digit}" * 400 for digit in (1, 9)), "0." + "0" * 400 + "1", "1" + "0" * 308):
        yield f"the number {number[:40]}", number.encode()


def _spaces_and_structures() -> Named:
    for space in SPACES:
        for name, form in (
            ("before", "{0}[1]"),
            ("behind", "[1]{0}"),
            ("within", "[{0}1{0},{0}2{0}]"),
            ("in a number", "1{0}2"),
        ):
            yield f"{space!r} {name}", form.format(space).encode()
        yield f"{space!r} around a colon", f'{{{space}"a"{space}:{space}1{space}}}'.encode()
        yield f"{space!r} in a text", f'"a{space}b"'.encode()
    for text in (*WORDS, *STRUCTURES):
        yield f"the text {text!r}", text.encode()
        yield f"the text {text!r} in a list", f"[{text}]".encode()
        yield f"the text {text!r} as a member", f'{{"a":{text}}}'.encode()


def _sizes() -> Named:
    for depth in DEPTHS:
        for opened, closed in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
            for missing in (0, 1):
                times = max(1, depth // (1 + (len(closed) > 1)))
                yield (
                    f"{opened} {depth} deep, {missing} open",
                    (opened * times + "1" + closed * (times - missing)).encode(),
                )
    for width in WIDTHS:
        yield f"a list of {width}", ("[" + ",".join(["1"] * width) + "]").encode()
        yield f"an object of {width}", ("{" + ",".join(f'"{number}":1' for number in range(width)) + "}").encode()
        yield f"a text of {width}", ('"' + "é" * width + '"').encode()
        yield f"a text of {width} escapes", ('"' + "\\u00e9" * width + '"').encode()
        yield f"a text of {width} backslashes", ('"' + "\\" * width + '"').encode()
        yield f"spaces of {width}", (" " * width + "1" + "\n" * width).encode()
