"""Configurations with a mistake in them, five hundred of them: a running gateway goes on, and none can be started with.

One surprise: what a mutation makes is not looked at here; that it is a mistake follows from how it is made.
"""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from fastroute.cli import main
from flow.rig import Command, Door, Gateway, Upstream, eventually, free_port

GOOD = """\
listen:
  port: 0
  edge_port: 0
  admin_port: {admin}
providers:
  up:
    dialect: openai_chat
    address: {origin}/v1
    timeouts:
      connect_timeout_s: 3
      tls_timeout_s: 4.5
    min_idle: 1
models:
  smart:
    targets: [up/a, up/b]
    policy: weighted
    patience:
      attempts: 2
      ttft_timeout_s: 20
  plain:
    targets: ["up/a"]
routing:
  policy: ordered
  timeouts:
    dns_timeout_s: 2
limits:
  max_in_flight: 100
  body_timeout_s: 30
observability:
  log_level: info
"""
NAMES = ("up", "smart", "plain")
NUMBERS = re.compile(r"^( +(?!admin)\w+: )([\d.]+)$", re.MULTILINE)
KEYS = re.compile(r"^( *)(\w+):", re.MULTILINE)
CASES = 500

Mutation = Callable[[str, Random], str | bytes]


def at_one(pattern: "re.Pattern[str]", text: str, dice: Random, becomes: Callable[["re.Match[str]"], str]) -> str:
    """Replaces one of the matches that are no name of the user's own."""
    found = [match for match in pattern.finditer(text) if match[2] not in NAMES]
    match = dice.choice(found)
    return text[: match.start()] + becomes(match) + text[match.end() :]


def misspelt_key(text: str, dice: Random) -> str:
    return at_one(KEYS, text, dice, lambda match: f"{match[1]}{match[2]}{dice.choice('qxz')}{dice.choice('qxz')}:")


def number_out_of_bounds(text: str, dice: Random) -> str:
    return at_one(
        NUMBERS, text, dice, lambda match: match[1] + dice.choice(["-7", "1e30", "99999999999", ".nan", "-.inf"])
    )


def number_of_another_kind(text: str, dice: Random) -> str:
    wrong = dice.choice(["[1, 2]", "{a: 1}", "many", '"3 seconds"', "null", "true"])
    return at_one(NUMBERS, text, dice, lambda match: match[1] + wrong)


def same_key_twice(text: str, dice: Random) -> str:
    return at_one(NUMBERS, text, dice, lambda match: f"{match[0]}\n{match[0]}")


def reference_to_nothing(text: str, dice: Random) -> str:
    nothing = dice.choice(["${NO_SUCH_VARIABLE_%d}", "${file:/no/such/file/%d}", "${UNCLOSED_%d"]) % dice.randrange(999)
    return at_one(NUMBERS, text, dice, lambda match: f'{match[1]}"{nothing}"')


def target_of_nobody(text: str, dice: Random) -> str:
    return text.replace(dice.choice(["up/a, up/b", '"up/a"']), f"nobody-{dice.randrange(999)}/x")


def no_targets(text: str, dice: Random) -> str:
    return text.replace(
        dice.choice(["[up/a, up/b]", '["up/a"]']), dice.choice(["[]", "up/a", "[1]", "[{to: up/a, wait: 3}]"])
    )


def not_an_address(text: str, dice: Random) -> str:
    wrong = [
        "ftp://x/v1",
        "http://",
        "http://x:99999/v1",
        "http://a b/v1",
        "x",
        "http://user:pass@x/v1",
        "http://x/v1?k=v",
    ]
    return re.sub(r"address: \S+", f'address: "{dice.choice(wrong)}"', text)


def no_such_choice(text: str, dice: Random) -> str:
    old, new = dice.choice(
        [
            ("weighted", "heaviest"),
            ("log_level: info", "log_level: loud"),
            ("openai_chat", "esperanto"),
            ("ordered", "a:b:c"),
        ]
    )
    return text.replace(old, new)


def no_such_policy(text: str, dice: Random) -> str:
    return text.replace("policy: weighted", f"policy: no_such_module_{dice.randrange(999)}")


def tab(text: str, dice: Random) -> str:
    return at_one(KEYS, text, dice, lambda match: f"\t{match[2]}:")


def unclosed(text: str, dice: Random) -> str:
    return text.replace(dice.choice(["up/b]", '"up/a"]']), dice.choice(["up/b", '"up/a', "{", "[["]))


def bytes_of_nothing(text: str, dice: Random) -> bytes:
    at = dice.randrange(len(text))
    return text.encode()[:at] + dice.choice([b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J"]) + text.encode()[at:]


def no_mapping(text: str, dice: Random) -> str:
    return dice.choice(["just words", "- a\n- list\n", "42\n", '"quoted"\n', "[1, 2]\n"])


def too_deep(text: str, dice: Random) -> str:
    depth = dice.choice([40, 400, 40_000])
    return text + f"models2: {'[' * depth}{']' * depth}\n"


def anchors_that_grow(text: str, dice: Random) -> str:
    levels = dice.choice([3, 4, 5])
    lines = "".join(f"x{at}: &x{at} [{', '.join([f'*x{at - 1}'] * 9) if at else 'boom'}]\n" for at in range(levels))
    return lines + text


MUTATIONS: list[Mutation] = [
    misspelt_key,
    number_out_of_bounds,
    number_of_another_kind,
    same_key_twice,
    reference_to_nothing,
    target_of_nobody,
    no_targets,
    not_an_address,
    no_such_choice,
    no_such_policy,
    tab,
    unclosed,
    bytes_of_nothing,
    no_mapping,
    too_deep,
    anchors_that_grow,
]


def poisons(good: str, count: int, seed: int = 7) -> Iterator[tuple[str, bytes]]:
    """Names of mutations with what they made."""
    dice = Random(seed)
    for number in range(count):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        made = mutation(good, dice)
        yield f"{number} {mutation.__name__}", made if isinstance(made, bytes) else made.encode()


def test_the_file_they_are_made_from_is_a_good_one(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD.format(admin=0, origin="http://127.0.0.1:9"))
    assert CliRunner().invoke(main, ("serve", "--dry-run", "-c", str(file))).exit_code == 0


def test_none_can_be_started_with_and_each_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "poison.yaml"
    for name, made in poisons(GOOD.format(admin=0, origin="http://127.0.0.1:9"), CASES):
        file.write_bytes(made)
        result = CliRunner().invoke(main, ("serve", "-c", str(file)))
        assert result.exit_code == 2, (name, result.output)
        assert re.search(r"poison\.yaml:\d+:\d+: ", result.stderr), (name, result.stderr)


def stays(count: int, upstream: Upstream, folder: Path) -> None:
    """None of them changes what is served."""
    admin = free_port()
    good = GOOD.format(admin=admin, origin=upstream.origin)
    file = folder / "gateway.yaml"
    file.write_text(good)
    command = Command(folder / "gateway.log", "serve", "-c", str(file))
    metrics = Door("admin", f"http://127.0.0.1:{admin}")

    def refused() -> int:
        found = re.search(rb"\nfastroute_config_reloads_refused_total (\d+)", metrics.send("GET", "/metrics").body)
        assert found
        return int(found[1])

    try:
        doors = Gateway(command).doors.values()
        for number, (name, made) in enumerate(poisons(good, count, seed=11)):
            fresh = file.with_suffix(".next")
            fresh.write_bytes(made)
            fresh.replace(file)
            command.process.send_signal(signal.SIGHUP)
            eventually(lambda number=number: refused() > number, f"{name} is refused")
            for door in doors:
                assert door.ask("smart").status == 200, name
        assert b"\nfastroute_config_generation 1\n" in metrics.send("GET", "/metrics").body
        assert "generation 1 goes on" in command.output
        assert "Traceback" not in command.output
        file.write_text(good.replace("  plain:", "  fresh:"))
        command.process.send_signal(signal.SIGHUP)
        eventually(lambda: next(iter(doors)).ask("fresh").status == 200, "a good one is taken over after all that")
    finally:
        command.stop()


def test_a_running_gateway_goes_on(upstream: Upstream, tmp_path: Path) -> None:
    stays(2 * len(MUTATIONS), upstream, tmp_path)


@pytest.mark.long
def test_a_running_gateway_goes_on_through_five_hundred(upstream: Upstream, tmp_path: Path) -> None:
    stays(CASES, upstream, tmp_path)
