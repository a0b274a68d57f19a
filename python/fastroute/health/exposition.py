"""Who rests, for `/metrics`: how many targets are in each state, and a row for each that is not in full service.

The rule: rows are bounded, and name targets and places of keys, never keys.
"""

from collections import Counter

from fastroute.health.rest import ABSENT, BARRED, FIT, STANDBY, THINNED
from fastroute.health.roster import Health

STATES = {FIT: "in_service", THINNED: "slow_start", STANDBY: "standing_by", ABSENT: "left_out", BARRED: "barred"}
MOST_ROWS = 500
"""Of single targets. The counts go on counting beyond."""


class _Never:
    """Dice by which whatever comes back slowly is never drawn, so that it is seen as what it is."""

    def random(self) -> float:
        return 1.0


def render_health(health: Health, now_s: float) -> str:
    """Prometheus text exposition, format 0.0.4."""
    tiers = {index: health[index].tier(now_s, _Never()) for index in sorted(health.troubled)}
    counts = Counter(tiers.values())
    counts[FIT] += len(health) - len(tiers)
    rows = ["# HELP fastroute_targets Targets in each state.", "# TYPE fastroute_targets gauge"]
    rows += [f'fastroute_targets{{state="{name}"}} {counts[tier]}' for tier, name in STATES.items()]
    out = [(health[index].label, STATES[tier]) for index, tier in tiers.items() if tier != FIT][:MOST_ROWS]
    if out:
        rows += [
            "# HELP fastroute_target_out Targets that are not in full service.",
            "# TYPE fastroute_target_out gauge",
        ]
        rows += [f'fastroute_target_out{{target="{_escaped(label)}",state="{state}"}} 1' for label, state in out]
    return "\n".join(rows) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
