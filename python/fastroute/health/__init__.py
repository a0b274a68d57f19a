"""How everything that can be called is doing: pure updates over a clock and dice that are passed in.

The rule: what an attempt says counts by the instant it was sent, so that news from before a change never undoes the
change. The surprise: one attempt can speak of its target, of the key it used and of the provider it went to, and each
of the three rests by itself.
"""

from fastroute.health.exposition import render_health
from fastroute.health.roster import Health, carry_over
from fastroute.health.standing import News, Standing

__all__ = ["Health", "News", "Standing", "carry_over", "render_health"]
