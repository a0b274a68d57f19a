"""Other gateways in front of the same mock: how each is started, from an environment the reader made for it.

A recipe turns off what costs time and has no counterpart here (databases, call logs, callbacks) and says what is left.
"""

from benches.rig.peers.litellm import LITELLM
from benches.rig.peers.recipe import Recipe

PEERS: dict[str, Recipe] = {recipe.name: recipe for recipe in (LITELLM,)}
