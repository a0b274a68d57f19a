"""The upstream, the gateway and the routes of the flow tests."""

from flow.conftest import (
    admin_port,
    counted,
    door,
    folder,
    gateway,
    hasty,
    route,
    serve,
    shared_upstream,
    upstream,
)

__all__ = [
    "admin_port",
    "counted",
    "door",
    "folder",
    "gateway",
    "hasty",
    "route",
    "serve",
    "shared_upstream",
    "upstream",
]
