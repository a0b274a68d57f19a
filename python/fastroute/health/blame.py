"""What each kind of failure is held against: the target, the way to its provider, the key, the model, or nobody."""

from enum import Enum, auto

from fastroute.facts import Attempt


class Blame(Enum):
    NOBODY = auto()
    """The request, the client, ourselves; or an answer that says nothing about the next one."""
    TARGET = auto()
    """It failed, broke off or was too slow."""
    WAY = auto()
    """No connection: the same for every model and key of the provider."""
    LIMIT = auto()
    """Too many requests for this key and model."""
    KEY = auto()
    """The key is wrong or revoked."""
    QUOTA = auto()
    """The key's account is used up."""
    PERMISSION = auto()
    """The key is good, but not for this model or from here."""
    MODEL = auto()
    """The provider has no such model."""


KINDS: dict[str, Blame] = {
    "auth": Blame.KEY,
    "bad_request": Blame.NOBODY,
    "client_gone": Blame.NOBODY,
    "conflict": Blame.NOBODY,
    "connect_timeout": Blame.WAY,
    "content_policy": Blame.NOBODY,
    "context_length": Blame.NOBODY,
    "dns": Blame.WAY,
    # The model wrote something its server could not use. The next prompt is another one.
    "failed_generation": Blame.NOBODY,
    "first_token_hard": Blame.TARGET,
    "first_token_soft": Blame.TARGET,
    "forbidden": Blame.PERMISSION,
    # Another attempt beside it was quicker, which may be chance.
    "hedged": Blame.NOBODY,
    "internal": Blame.NOBODY,
    "ledger_unavailable": Blame.NOBODY,
    "malformed": Blame.TARGET,
    "not_found": Blame.MODEL,
    "overloaded": Blame.TARGET,
    "quota": Blame.QUOTA,
    "rate_limited": Blame.LIMIT,
    "refused": Blame.WAY,
    "request_timeout": Blame.NOBODY,
    "reset": Blame.TARGET,
    "reset_unwritten": Blame.TARGET,
    # A prompt that asks for too much; the target did its work.
    "response_too_large": Blame.NOBODY,
    "shutdown": Blame.NOBODY,
    "slow_client": Blame.NOBODY,
    "stalled": Blame.TARGET,
    "tls": Blame.WAY,
    "too_large": Blame.NOBODY,
    "total_timeout": Blame.TARGET,
    "truncated": Blame.TARGET,
    "upstream_error": Blame.TARGET,
    "upstream_timeout": Blame.TARGET,
}
"""Names as in the engine's table of failures. A kind that is not here counts as the target's."""

OWN_TIME_US = 30_000_000
"""A deadline that left a target less than this was the client's wish and says nothing about the target."""


def blame_of(attempt: Attempt) -> Blame:
    kind = attempt.failure
    if kind is None or not attempt.blamed:
        return Blame.NOBODY
    if kind == "total_timeout" and attempt.took_us < OWN_TIME_US:
        return Blame.NOBODY
    return KINDS.get(kind, Blame.TARGET)
