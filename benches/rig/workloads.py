"""What is measured: each plan is a workload of the load generator, at a load, against some contenders.

A contender is a door and the model asked for there; `nginx` is the yardstick of every plan, `direct` is the mock
without anything in front, from which added latency is counted, and `bare RSGI` is granian without a gateway.
"""

from typing import Any, NamedTuple

from benches.rig.peers.recipe import Recipe

ONE, THREE, OWN = "one", "three", "own"


class Contender(NamedTuple):
    """Who answers, and to which model name."""

    name: str
    door: str
    model: str = ONE
    workload: str | None = None
    """Another one than its plan's."""


DIRECT = Contender("direct", "mock")
NGINX = Contender("nginx", "nginx")
ECHO = Contender("bare RSGI", "echo")
GRANIAN = Contender("granian", "granian")
EDGE = Contender("edge", "edge")
GRANIAN_POLICY = Contender("granian, policy over 3", "granian", THREE)
EDGE_POLICY = Contender("edge, policy over 3", "edge", THREE)


def _translating(plain: str, anthropic: str) -> tuple[Contender, ...]:
    """Each door as it is for chat before chat, then for other pairs of dialects, client first."""
    return tuple(
        each
        for door in ("granian", "edge")
        for each in (
            Contender(door, door, ONE, plain),
            Contender(f"{door}, Anthropic to Anthropic", door, OWN, anthropic),
            Contender(f"{door}, Anthropic to chat", door, ONE, anthropic),
            Contender(f"{door}, chat to Anthropic", door, OWN, plain),
        )
    )


class Plan(NamedTuple):
    """One table of the report."""

    name: str
    title: str
    workload: str
    contenders: tuple[Contender, ...]
    connections: int | None = None
    rate: int | None = None
    window_s: float = 3.0
    warm_up_s: float = 1.0
    rounds: int = 5
    stream: bool = False
    memory: bool = False
    """Contenders start afresh for each window, so that memory left over from one is not counted in the next."""
    busy: bool = False
    """The loop thread is busy 5 ms ten times a second; nginx stands beside a process of the same duty."""
    failing: str | None = None
    """How the first target fails one request in twenty: a model of the gateway's, and a folder of paths at nginx."""
    peer: Recipe | None = None

    def beside(self, recipe: Recipe) -> "Plan":
        """This plan with another gateway among the contenders."""
        return self._replace(peer=recipe, contenders=(*self.contenders, Contender(recipe.name, "peer")))


_DOORS = (NGINX, GRANIAN, EDGE)
_ALL = (DIRECT, *_DOORS)
# 500 requests that meet the failure in a window.
_FAILING: dict[str, Any] = {"rate": 1000, "window_s": 10.0}
_SATURATION = (*_ALL, ECHO, GRANIAN_POLICY, EDGE_POLICY)

PLANS = (
    Plan("W1-c16", "220 B chat, 700 B reply, 16 in flight", "W1", _SATURATION, connections=16),
    Plan("W1-c64", "220 B chat, 700 B reply, 64 in flight", "W1", _SATURATION, connections=64),
    # 10 s at 2,000 a second: a 99th percentile wants 20,000 requests.
    Plan("W1-open", "220 B chat, 700 B reply, 2,000 a second", "W1", _ALL, rate=2000, window_s=10.0),
    Plan("W2", "32 KiB prompt with escapes and non-ASCII", "W2", _DOORS, connections=16),
    Plan("W3", "1 MiB prompt", "W3", _DOORS, connections=16),
    Plan("W4", "50 streams of 200 events, one every 5 ms", "W4", _ALL, connections=50, stream=True),
    # The ramp of one second is over, and every stream has had its head, after two.
    Plan("W5-1000", "1,000 open streams", "W5", _DOORS, 1000, warm_up_s=3.0, rounds=3, stream=True, memory=True),
    Plan("W5-5000", "5,000 open streams", "W5", _DOORS, 5000, warm_up_s=5.0, rounds=3, stream=True, memory=True),
    Plan("W6", "embeddings of 64 inputs, 1.1 MB reply", "W6", _DOORS, connections=16),
    Plan("W7-503", "W1, 1,000 a second: first target answers 503", "W7", _DOORS, **_FAILING, failing="w7-503"),
    Plan("W7-reset", "W1, 1,000 a second: first target resets", "W7", _DOORS, **_FAILING, failing="w7-reset"),
    # Only a stream's first content has a clock of its own; a whole reply may take as long as it likes.
    Plan(
        "W7-hang",
        "streams of 5 events, 1,000 a second: first target hangs past 50 ms",
        "W7-stream",
        _DOORS,
        **_FAILING,
        stream=True,
        failing="w7-hang",
    ),
    Plan("W8", "90 % W1, 9 % W4, 1 % W3, 400 a second: W1", "W8", _ALL, rate=400, window_s=10.0, stream=True),
    Plan(
        "W10-c16",
        "W1 where dialects differ, 16 in flight",
        "W10",
        (NGINX, *_translating("W1", "W10")),
        connections=16,
    ),
    Plan(
        "W10-10k",
        "W1 where dialects differ, 10,000 a second",
        "W10",
        (NGINX, *_translating("W1", "W10")),
        rate=10_000,
    ),
    Plan(
        "W10-stream",
        "W4 where dialects differ: 50 streams of 200 events",
        "W10-stream",
        (NGINX, *_translating("W4", "W10-stream")),
        connections=50,
        stream=True,
    ),
    Plan("W11", "W1 at 2,000 a second, loop thread busy 5 %", "W1", _ALL, rate=2000, window_s=10.0, busy=True),
)
