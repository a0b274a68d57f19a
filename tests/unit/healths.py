"""A health to tell tests' attempts to, with a clock and dice of its own."""

from fastroute.catalogue import find_providers
from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt
from fastroute.health import Health, News
from fastroute.health.breaker import RUN
from fastroute.health.rest import THINNED
from fastroute.secret import Secret
from fastroute.table import Table, compile_table

NOTHING = find_providers({})
START_S = 1_000.0


class Dice:
    """Dice that always fall the same way."""

    def __init__(self, roll: float = 0.5) -> None:
        self.roll = roll

    def random(self) -> float:
        return self.roll


def provider(*keys: str, host: str = "a") -> Provider:
    return Provider(dialect="openai_chat", address=f"http://{host}.test/v1", keys=tuple(map(Secret, keys)))


def table_of(generation: int = 1, **providers: Provider) -> Table:
    """Each provider with the models `one` and `two`."""
    models = {f"{name}-{model}": Model(targets=(f"{name}/{model}",)) for name in providers for model in ("one", "two")}
    return compile_table(Config(providers=providers, models=models), NOTHING, generation)


class Bench:
    """A health and its clock. What is told was sent a millisecond before it is told, unless said otherwise."""

    def __init__(self, *keys: str, roll: float = 0.5) -> None:
        self.table = table_of(a=provider(*(keys or ("sk-1",))), b=provider("sk-9", host="b"))
        self.health = Health(self.table)
        self.now_s = START_S
        self.dice = Dice(roll)
        self.news: list[News] = []

    def place(self, model: str | None = "one", key: int = 0, name: str = "a") -> int:
        there = [target.index for target in self.table.targets if (target.provider.name, target.model) == (name, model)]
        return there[key]

    def tell(
        self, at: int, failure: str | None = None, *, sent_s: float | None = None, wait_s: float | None = None
    ) -> None:
        content_us = None if failure else 300_000
        wait_ms = None if wait_s is None else round(wait_s * 1000)
        attempt = Attempt(at, 0, content_us, 300_000, failure, failure is not None, wait_ms)
        sent = self.now_s - 0.001 if sent_s is None else sent_s
        self.health[at].breaker.window.sent(sent)
        news = self.health.observe(attempt, sent, self.now_s, self.dice)
        if news is not None:
            self.news.append(news)

    def fail(self, at: int, times: int = RUN, failure: str = "overloaded") -> None:
        for _ in range(times):
            self.now_s += 0.01
            self.tell(at, failure)

    def tier(self, at: int) -> int:
        return self.health[at].tier(self.now_s, self.dice)

    def rest_s(self, at: int) -> float:
        return self.health[at].breaker.rest.until_s - self.now_s

    def probed(self, at: int, failure: str | None = None, **more: float) -> None:
        """The probe goes and comes back."""
        assert self.tier(at) <= THINNED
        assert self.health[at].claim(self.now_s)
        self.now_s += 0.3
        self.tell(at, failure, sent_s=self.now_s - 0.3, **more)
