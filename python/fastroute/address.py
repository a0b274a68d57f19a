"""Addresses of providers and listeners: a URL split once, and the question whether it leads back to ourselves.

Nothing here resolves a name: asking DNS belongs to the engine, and an answer could change between check and use.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)


class Address(NamedTuple):
    """`https://api.groq.com/openai/v1` is scheme `https`, host `api.groq.com`, port 443, prefix `/openai/v1`."""

    scheme: str
    host: str
    port: int
    prefix: str


def parse_address(url: str) -> Address:
    """Split an upstream's URL. Raises ValueError, whose text names the flaw and never repeats the URL."""
    if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("an address has no spaces and only ASCII characters")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError('an address starts with "http://" or "https://"')
    if parts.username is not None or parts.password is not None:
        raise ValueError('no user or password in an address; use "key" or "headers"')
    if "?" in url or "#" in url:
        raise ValueError("no query or fragment in an address")
    host = parts.hostname or ""
    if not is_host(host):
        raise ValueError("the address has no valid host name")
    port = _port(parts)
    prefix = parts.path.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("the address has a character that must be percent-encoded")
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], prefix)


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port of an address is a number from 1 to 65535")
    return port


def is_host(text: str) -> bool:
    """Whether `text` can stand where a host stands: an IP address without brackets, or a DNS name."""
    if _ip(text) is not None:
        return True
    labels = text.removesuffix(".").split(".")
    # A name that ends in a number is a mistyped IPv4 address (URL standard, "ends in a number").
    return len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def fits_an_address(text: str) -> bool:
    """Whether `text` can stand within a host's name or a path and not lead anywhere else."""
    return _PART.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener bound to `host`."""
    ip = _ip(host)
    return host == "localhost" or (ip is not None and ip.is_loopback)


def leads_to(address: Address, listeners: Iterable[tuple[str, int]]) -> bool:
    """Whether `address` is one of our own listeners, given as (host, port).

    A shell prepared for clients has OPENAI_BASE_URL pointing at the gateway; without this the gateway calls itself.
    """
    return any(address.port == port and _same_host(address.host, host) for host, port in listeners)


def _same_host(called: str, bound: str) -> bool:
    ip = _ip(bound)
    if ip is not None and ip.is_unspecified:
        called_ip = _ip(called)
        return is_loopback(called) or (called_ip is not None and called_ip.is_unspecified)
    return called == bound or (is_loopback(called) and is_loopback(bound))


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
