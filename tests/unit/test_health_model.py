"""Health against a second opinion: a model that keeps the whole history and works every answer out from it.

The model is as plain as it can be: lists instead of rings, scans instead of counters. Any trace of sending, hearing and
waiting must leave both of one mind about every target.
"""

import math
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.catalogue import find_providers
from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt
from fastroute.health import Health
from fastroute.secret import Secret
from fastroute.table import compile_table

# Two models that share a key, one of them with a second key, and all a provider; then somebody else.
PLACES = [("one", "k1"), ("one", "k2"), ("two", "k1")]
FIT, THINNED, STANDBY, ABSENT, BARRED = range(5)
KINDS = [
    None,
    "overloaded",
    "reset",
    "rate_limited",
    "auth",
    "quota",
    "forbidden",
    "not_found",
    "refused",
    "bad_request",
]


STUBBORN = 18
"""From here on `which` is sent even where nobody should be: the engine's snapshot may be behind."""


class Step(NamedTuple):
    """Time passes; then somebody is sent to, or (`heard`) one that is out is heard of."""

    passed_s: float
    heard: bool
    which: int
    kind: str | None
    wait_ms: int | None


class Out:
    """Something that may be out: every time it was, as (began, until, ended)."""

    def __init__(self, tier: int, probing: int) -> None:
        self.tier = tier
        self.probing = probing
        self.spacing_s = 30.0
        self.spells: list[list[float]] = []
        self.probes: list[float] = []

    @property
    def is_out(self) -> bool:
        return bool(self.spells) and math.isinf(self.spells[-1][2])

    @property
    def until_s(self) -> float:
        return self.spells[-1][1]

    @property
    def changed_s(self) -> float:
        if not self.spells:
            return -math.inf
        began, _, ended = self.spells[-1]
        return began if math.isinf(ended) else ended

    def before(self, now_s: float) -> int:
        """Spells so far of which each began while the one before it was not yet thirty seconds over."""
        count = 0
        for spell, following in zip(self.spells, [*[spell[0] for spell in self.spells[1:]], now_s], strict=False):
            count += 1
            if following >= spell[2] + 30.0:
                count = 0
        return count

    def begin(self, now_s: float, lasts_s: float) -> None:
        if self.is_out:
            self.spells[-1][2] = now_s
        self.spells.append([now_s, now_s + lasts_s, math.inf])
        self.probes.clear()

    def end(self, now_s: float) -> None:
        self.spells[-1][2] = now_s

    def place(self, now_s: float) -> int:
        if not self.is_out:
            return FIT
        if now_s < self.until_s:
            return self.tier
        return self.probing if any(now_s < probe + self.spacing_s for probe in self.probes) else FIT


class Reference:
    def __init__(self, roll: float) -> None:
        self.roll = roll
        self.sent: list[list[float]] = [[] for _ in PLACES]
        self.told: list[list[tuple[float, str | None]]] = [[] for _ in PLACES]
        self.way_told: list[tuple[float, str | None]] = []
        self.breakers = [Out(STANDBY, STANDBY) for _ in PLACES]
        self.cooling = [Out(BARRED, STANDBY) for _ in PLACES]
        self.missing = [Out(ABSENT, ABSENT) for _ in PLACES]
        self.forbidden = [Out(BARRED, BARRED) for _ in PLACES]
        self.keys = {key: Out(BARRED, BARRED) for _, key in PLACES}
        self.way = Out(STANDBY, STANDBY)

    def outs(self, at: int) -> list[Out]:
        own = [self.breakers[at], self.cooling[at], self.missing[at], self.forbidden[at]]
        return [*own, self.keys[PLACES[at][1]], self.way]

    def tier(self, at: int, now_s: float) -> int:
        outs = self.outs(at)
        worst = max(out.place(now_s) for out in outs)
        back_s = max((out.changed_s for out in outs if out.spells and not out.is_out), default=-math.inf)
        coming_back = now_s < back_s + 30.0
        if worst == FIT and coming_back and self.roll >= 0.1 + 0.9 * (now_s - back_s) / 30.0:
            return THINNED
        return worst

    def lead(self, at: int, now_s: float) -> None:
        for out in self.outs(at):
            if out.is_out and now_s >= out.until_s:
                out.probes[:] = [now_s]

    def silent(self, at: int, sent_s: float) -> None:
        for out in self.outs(at):
            # The account that is used up is left alone for its quarter of an hour all the same.
            if out.is_out and out.spacing_s == 30.0:
                out.probes[:] = [probe for probe in out.probes if probe > sent_s]

    def hear(self, at: int, sent_s: float, now_s: float, kind: str | None, wait_ms: int | None) -> None:
        out = (self.forbidden if kind == "forbidden" else self.missing)[at]
        key = PLACES[at][1]
        if kind is None:
            self.told[at].append((sent_s, None))
            self.way_told.append((sent_s, None))
            self.well(at, sent_s, now_s)
        elif kind in ("overloaded", "reset", "refused", "rate_limited"):
            self.told[at].append((sent_s, kind))
            self.bad(self.breakers[at], self.told[at], sent_s, now_s, self.sent[at])
            if kind == "rate_limited":
                self.limit(at, sent_s, now_s, wait_ms)
        elif kind == "auth":
            self.key(key, False, (60.0, 600.0, 3_600.0)[min(2, self.keys[key].before(now_s))], sent_s, now_s)
        elif kind == "quota":
            self.key(key, True, 3_600.0 if wait_ms is None else max(900.0, wait_ms / 1000), sent_s, now_s)
        elif kind in ("forbidden", "not_found") and self.news(out, sent_s):
            ladder = (60.0, 600.0, 3_600.0)[min(2, out.before(now_s))]
            out.begin(now_s, 600.0 if kind == "not_found" else ladder)
        if kind == "refused":
            self.way_told.append((sent_s, kind))
            self.bad(self.way, self.way_told, sent_s, now_s, [])
        elif kind not in (None, "bad_request"):
            self.way_told.append((sent_s, None))
            if self.way.is_out and sent_s >= self.way.changed_s:
                self.way.end(now_s)

    def news(self, out: Out, sent_s: float) -> bool:
        return sent_s >= out.changed_s and not (out.is_out and sent_s < out.until_s)

    def well(self, at: int, sent_s: float, now_s: float) -> None:
        for out in self.outs(at):
            from_s = out.until_s if out is self.cooling[at] and out.spells else out.changed_s
            if out.is_out and sent_s >= from_s:
                out.end(now_s)

    def bad(
        self, out: Out, told: list[tuple[float, str | None]], sent_s: float, now_s: float, sent: list[float]
    ) -> None:
        if sent_s < out.changed_s:
            return
        if out.is_out:
            if now_s >= out.until_s and sent_s >= out.until_s:
                self.rest(out, now_s)
            return
        since = [(when, kind) for when, kind in told if when >= out.changed_s]
        oldest = now_s // 3.0 - 10
        recent = [when for when in sent if when >= out.changed_s and when // 3.0 > oldest]
        failed = [when for when, kind in since if kind is not None and when // 3.0 > oldest]
        half = len(recent) >= 20 and 2 * len(failed) >= len(recent)
        if self.row(since) >= 5 or half:
            self.rest(out, now_s)

    def row(self, told: list[tuple[float, str | None]]) -> int:
        """Failures that were sent after everything that went well."""
        well_s = max((when for when, kind in told if kind is None), default=-math.inf)
        return sum(when > well_s for when, kind in told if kind not in (None, "rate_limited"))

    def rest(self, out: Out, now_s: float) -> None:
        usual_s = min(15.0, 5.0 * 2 ** min(8, out.before(now_s)))
        longest_s = min(15.0, 1.5 * usual_s)
        out.begin(now_s, 0.5 * usual_s + (longest_s - 0.5 * usual_s) * self.roll)

    def limit(self, at: int, sent_s: float, now_s: float, wait_ms: int | None) -> None:
        out = self.cooling[at]
        stated_s = None if wait_ms is None else min(300.0, wait_ms / 1000)
        if self.news(out, sent_s):
            out.begin(now_s, min(60.0, 5.0 * 2 ** min(8, out.before(now_s))) if stated_s is None else stated_s)
        elif out.is_out and stated_s is not None:
            out.spells[-1][1] = max(out.until_s, now_s + stated_s)

    def key(self, key: str, used_up: bool, lasts_s: float, sent_s: float, now_s: float) -> None:
        if self.news(self.keys[key], sent_s):
            self.keys[key].begin(now_s, lasts_s)
            self.keys[key].spacing_s = 900.0 if used_up else 30.0


class Roll:
    def __init__(self, roll: float) -> None:
        self.roll = roll

    def random(self) -> float:
        return self.roll


PROVIDER = Provider(dialect="openai_chat", address="http://a.test/v1", keys=(Secret("k1"), Secret("k2")))
MODELS = {model: Model(targets=(f"a/{model}",)) for model in ("one", "two")}
TABLE = compile_table(Config(providers={"a": PROVIDER}, models=MODELS), find_providers({}), 1)
INDEXES = [
    next(
        target.index
        for target in TABLE.targets
        if target.model == model and target.key is not None and target.key.value.reveal().endswith(key)
    )
    for model, key in PLACES
]


def tiers(health: Health, model: Reference, now_s: float, roll: float) -> Iterator[tuple[int, int]]:
    for at, index in enumerate(INDEXES):
        yield health[index].tier(now_s, Roll(roll)), model.tier(at, now_s)


def play(steps: list[Step], roll: float) -> int:
    """Plays a trace to both. Returns how many rests began."""
    health, model, dice = Health(TABLE), Reference(roll), Roll(roll)
    now_s = 10_000.0
    flying: list[tuple[int, float, bool]] = []
    for step in steps:
        now_s += step.passed_s + 0.001
        if step.heard and flying:
            at, sent_s, led = flying.pop(step.which % len(flying))
            attempt = Attempt(
                INDEXES[at], 0, 1_000, 1_000, step.kind, step.kind not in (None, "bad_request"), step.wait_ms
            )
            health.observe(attempt, sent_s, now_s, dice)
            model.hear(at, sent_s, now_s, step.kind, step.wait_ms)
            if led:
                health[INDEXES[at]].release(sent_s)
                model.silent(at, sent_s)
        else:
            at = step.which % len(PLACES)
            standing = health[INDEXES[at]]
            tier = standing.tier(now_s, dice)
            assert tier == model.tier(at, now_s)
            if tier == BARRED and step.which < STUBBORN:
                continue
            leads = tier <= THINNED
            if leads:
                standing.claim(now_s)
                model.lead(at, now_s)
            standing.breaker.sent(now_s)
            model.sent[at].append(now_s)
            flying.append((at, now_s, leads))
        for ours, theirs in tiers(health, model, now_s, roll):
            assert ours == theirs, f"after {step}"
        for at, index in enumerate(INDEXES):
            # Who is not among the troubled is never looked at, so nobody who is out may be missing there.
            assert index in health.troubled or model.tier(at, now_s) == FIT
    return sum(len(out.spells) for at in range(len(PLACES)) for out in model.outs(at))


PASSED = st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 12), st.floats(0, 4_000))
STEPS = st.builds(
    Step,
    passed_s=PASSED,
    heard=st.booleans(),
    which=st.integers(0, 20),
    kind=st.sampled_from(KINDS),
    wait_ms=st.none() | st.integers(1, 400_000),
)
ROLLS = st.floats(0, 1, exclude_max=True)


@given(st.lists(STEPS, max_size=120), ROLLS)
@settings(max_examples=400, deadline=None)
def test_health_and_the_model_are_of_one_mind(steps: list[Step], roll: float) -> None:
    play(steps, roll)


def drawn(dice: Random) -> list[Step]:
    """A trace with moods: quiet, failing in one way, mixed; so that long runs of one kind happen."""
    steps: list[Step] = []
    if dice.random() < 0.3:
        steps += half_failing(dice)
    while len(steps) < 60:
        mood = dice.choice([None, None, *KINDS])
        scale = dice.choice([0.0, 0.1, 0.1, 2.0, 15.0, 700.0])
        for _ in range(dice.randrange(2, 30)):
            kind = dice.choice(KINDS) if dice.random() < 0.2 else mood
            wait_ms = dice.randrange(1, 400_000) if dice.random() < 0.3 else None
            steps.append(Step(dice.random() * scale, dice.random() < 0.5, dice.randrange(20), kind, wait_ms))
    return steps


def half_failing(dice: Random) -> list[Step]:
    """One target fails so often and never so often in a row that only the share can tell."""
    at, kinds, pace_s = dice.randrange(3), dice.choice([("reset", None), (None, "rate_limited")]), dice.random()
    steps: list[Step] = []
    for turn in range(dice.randrange(20, 60)):
        kind = kinds[turn % 2] if dice.random() < 0.97 else "overloaded"
        steps += [Step(pace_s, False, at, None, None), Step(pace_s, True, dice.randrange(2), kind, 1)]
    return steps


def traces(count: int) -> int:
    rests = 0
    for seed in range(count):
        dice = Random(seed)
        try:
            rests += play(drawn(dice), dice.random())
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
    return rests


def test_a_thousand_traces_end_alike() -> None:
    assert traces(1_000) > 1_000, "the traces put nobody out"


@pytest.mark.long
def test_a_hundred_thousand_traces_end_alike() -> None:
    assert traces(100_000) > 100_000
