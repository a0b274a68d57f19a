"""Gateways to decide by in tests, and the requests and attempts that they are told of."""

from random import Random

from fastroute.catalogue import find_providers
from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt, Facts, Outcome, Plan
from fastroute.gateway import Gateway
from fastroute.policies import REGISTRY, Rank
from fastroute.table import Table, compile_table

NOTHING = find_providers({})


class Fixed:
    """Dice that always fall the same way."""

    def __init__(self, roll: float) -> None:
        self._roll = roll

    def random(self) -> float:
        return self._roll


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def table_of(models: dict[str, Model], *names: str, generation: int = 1) -> Table:
    providers = {name: Provider(dialect="openai_chat", address=f"http://{name}.test/v1") for name in names}
    return compile_table(Config(providers=providers, models=models), NOTHING, generation)


TWO = {"smart": Model(targets=("a/one", "b/two"))}


def gateway_of(models: dict[str, Model] = TWO, rank: Rank | None = None, clock: Clock | None = None) -> Gateway:
    """A gateway with providers `a` and `b`; `rank` replaces the policy of every model."""
    policies = dict(REGISTRY) if rank is None else dict.fromkeys(REGISTRY, rank)
    return Gateway(table_of(models, "a", "b"), policies, clock or Clock(), Random(7))


def asking(model: str) -> Facts:
    return Facts(model, "openai_chat", "edge", False, 100, 20, 1, 0, 0, None)


def planned(gateway: Gateway, model: str) -> Plan:
    plan = gateway.decide(asking(model))
    assert isinstance(plan, Plan)
    return plan


def names_of(gateway: Gateway, plan: Plan) -> list[str]:
    targets = (gateway.table.targets[index] for index in plan.targets)
    return [f"{target.provider.name}/{target.model or '*'}" for target in targets]


def in_flight(gateway: Gateway) -> list[int]:
    return [health.in_flight for health in gateway.health]


def attempt(target: int, failure: str | None = None, *, blamed: bool = True, content_ms: int | None = 10) -> Attempt:
    first_content_us = None if failure or content_ms is None else content_ms * 1_000
    return Attempt(target, 0, first_content_us, 20_000, failure, blamed and failure is not None, None)


def ended(plan: Plan | None, *attempts: Attempt, ending: str = "complete", generation: int = 1) -> Outcome:
    return Outcome(
        request_id="req_1",
        generation=generation,
        route=None if plan is None else plan.route,
        lead=None if plan is None else plan.targets[0],
        decided_by=None if plan is None else "policy",
        came=("edge", "openai_chat", False),
        status=200,
        ending=ending,
        attempts=list(attempts),
        usage=None,
        code=None,
        measures=(0, 20_000, 100, 300, 0),
    )
