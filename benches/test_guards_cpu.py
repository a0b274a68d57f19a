"""CPU time of what Python does per request, and of the functions that `fastroute.core` offers.

Timed with `process_time` and compared on the minimum, which moves by 3 % where wall-clock medians double. Two commits
are compared as `benches/README.md` says.
"""

import time
from random import Random

import pytest
from benches.rig.programs import SOME_PORTS, gateway_config
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute import core
from fastroute.catalogue import find_providers
from fastroute.config.schema import decode
from fastroute.facts import Attempt, Facts, Outcome, Plan, Usage
from fastroute.gateway import Gateway
from fastroute.policies import REGISTRY
from fastroute.table import compile_table

DECIDE_AND_SETTLE_US = 8.0
"""Both together with a policy over three candidates: what one exchange may take from the loop thread."""

# Rounds of 2 ms: in one of a few µs the kernel's own accounting is what the minimum shows.
pytestmark = pytest.mark.benchmark(timer=time.process_time, min_time=0.002, min_rounds=50, warmup=True)


def make_gateway() -> Gateway:
    table = compile_table(decode(gateway_config(SOME_PORTS)), find_providers({}), generation=1)
    policies = {route.policy: REGISTRY[route.policy] for route in table.routes.values()}
    return Gateway(table, policies, time.monotonic, Random(1))


def make_facts(model: str) -> Facts:
    return Facts(model, "openai_chat", "edge", False, 220, 120, 1, 0, 0, 256)


def make_outcome(plan: Plan) -> Outcome:
    lead = plan.targets[0]
    return Outcome(
        "0192e1f0-0000-7000-8000-000000000000",
        plan.generation,
        plan.route,
        lead,
        "policy",
        ("edge", "openai_chat", False),
        200,
        "complete",
        [Attempt(lead, 30, 900, 950, None, False, None)],
        Usage(20, 30, 50, 0, 0, 0),
        None,
        (1_700_000_000_000, 1000, 220, 700, 0),
    )


@pytest.mark.parametrize("model", ["one", "three"])
def test_decide_and_settle(benchmark: BenchmarkFixture, model: str) -> None:
    gateway, facts = make_gateway(), make_facts(model)
    plan = gateway.decide(facts)
    assert isinstance(plan, Plan)
    # One outcome per possible lead, made before: building it is the border's work, measured by the rig.
    outcomes = {
        target: make_outcome(Plan(plan.route, plan.generation, (target,), 1))
        for target in range(len(gateway.table.targets))
    }

    def exchange() -> None:
        answer = gateway.decide(facts)
        assert isinstance(answer, Plan)
        gateway.settle(outcomes[answer.targets[0]])

    benchmark(exchange)
    benchmark.extra_info["limit_us"] = DECIDE_AND_SETTLE_US
    # Absent when the suite runs with --benchmark-disable.
    if benchmark.stats is not None:
        assert benchmark.stats["min"] * 1e6 <= DECIDE_AND_SETTLE_US


def chat(size: int) -> bytes:
    head, tail = b'{"model":"one","max_tokens":256,"messages":[{"role":"user","content":"', b'"}]}'
    sentence = 'The harbour master said \\"wait\\" – and they waited.\\n'.encode()
    text = sentence * ((size - len(head) - len(tail)) // len(sentence))
    return head + text + tail


@pytest.mark.parametrize("size", [220, 32 * 1024, 1 << 20])
def test_scan(benchmark: BenchmarkFixture, size: int) -> None:
    body = chat(size)
    assert benchmark(core.scan, body).model == "one"


@pytest.mark.parametrize("events", [1, 200])
def test_parse_events(benchmark: BenchmarkFixture, events: int) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n' * events

    def parse() -> int:
        return len(core.SseParser().feed(chunk))

    assert benchmark(parse) == events
