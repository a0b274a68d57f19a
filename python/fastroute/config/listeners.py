"""The listeners a configuration asks for, and which of them other machines can reach.

One rule: whoever binds them and whoever judges the configuration ask here, so both refuse the same.
"""

from typing import NamedTuple

from fastroute.address import is_loopback
from fastroute.config.schema import Listen


class Wanted(NamedTuple):
    """A listener that is to be opened, and the keys of `listen` that say where."""

    name: str
    address: str
    port: int
    address_key: str
    port_key: str


def wanted_listeners(listen: Listen) -> list[Wanted]:
    """Every listener of the configuration, the default door first."""
    wanted = [Wanted("granian", listen.address, listen.port, "address", "port")]
    if listen.edge and listen.edge_address is not None:
        wanted.append(Wanted("edge", listen.edge_address, listen.edge_port, "edge_address", "edge_port"))
    elif listen.edge:
        wanted.append(Wanted("edge", listen.address, listen.edge_port, "address", "edge_port"))
    if listen.admin:
        wanted.append(Wanted("admin", listen.admin_address, listen.admin_port, "admin_address", "admin_port"))
    return wanted


def unguarded_listeners(listen: Listen) -> list[Wanted]:
    """Those that other machines can reach although no keys are asked for and `open: true` was not said."""
    return [] if listen.open else [wanted for wanted in wanted_listeners(listen) if not is_loopback(wanted.address)]
