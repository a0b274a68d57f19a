"""Faults in which the upstream answers, and says no: by status before an answer, or by an error inside one that began.

One rule: the same words mean the same in all three places. One surprise: inside a reply with status 200 there is no
`retry-after`, so a limit told there has no wait of its own.
"""

from collections.abc import Sequence
from typing import Any

from faults.fault import BOTH, STREAM, Case, Ending, Fault, Phase, Record, Seen, State
from faults.script import CANARY, THREE, error, status


def refusal(
    name: str,
    title: str,
    rule: str,
    upstream_status: int,
    said: dict[str, Any],
    *,
    kind: str,
    answered: int,
    code: str | None = None,
    elsewhere: bool,
    headers: dict[str, str] | None = None,
    retry: bool = False,
    wait_s: tuple[int, int] = (0, 0),
    tries: int = 1,
    tries_inside: int | None = None,
    state: State = State.REFUSED,
    state_inside: State | None = None,
    inside: bool = True,
    clocks: str = "patient",
) -> Fault:
    """A refusal by status; where its body says enough, the same as an error inside an answer that began.

    Without `code` the upstream's own words go on: they speak of the client's request.
    """
    passed = code is None

    def seen(status_there: int, retry: bool, wait_s: tuple[int, int]) -> Seen:
        return Seen(
            ending=Ending.ERROR,
            status=answered,
            code=code,
            said=said["error"] if passed else None,
            retry=retry,
            wait_s=wait_s,
            upstream_status=status_there,
        )

    cases = [
        Case(
            phase=Phase.WRITTEN,
            way=way,
            steps=(status(upstream_status, said, **(headers or {})),),
            alone=seen(upstream_status, retry, wait_s),
            record=Record(state, kind),
            elsewhere=elsewhere,
            tries=tries,
            clocks=clocks,
        )
        for way in BOTH
    ]
    if inside:
        tries_inside = tries if tries_inside is None else tries_inside
        told_inside = seen(200, kind == "rate_limited", (1, 5) if kind == "rate_limited" else (0, 0))
        event: Sequence[Any] = ({"error_event": {"data": said}},)
        began = [
            Case(
                phase=Phase.BEGUN,
                way=way,
                steps=event if way in STREAM else (status(200, said),),
                alone=told_inside,
                record=Record(state_inside or state, kind),
                elsewhere=elsewhere,
                tries=tries_inside,
                clocks=clocks,
            )
            for way in BOTH
        ]
        # What speaks of the operator's account is never shown, in whatever place it is said.
        secret = code in {"provider_auth", "provider_quota"}
        delivered = Case(
            phase=Phase.DELIVERED,
            way=STREAM[0],
            steps=(THREE, *event),
            alone=Seen(
                ending=Ending.IN_BAND, status=200, code=code if secret else None, said=None if secret else said["error"]
            ),
            record=Record(State.PARTIAL, kind),
        )
        cases += [*began, delivered]
    return Fault(name=name, title=title, rule=rule, cases=tuple(cases))


def limit(name: str, title: str, wait_s: tuple[int, int], tries: int, retry: bool = True, **headers: str) -> Fault:
    rule = (
        "A limit belongs to one key and model: the next target answers at once. With nobody else, a wait of up to 5 s "
        "is waited for inside the deadline and the target asked once more; a longer one is told to the client."
    )
    return refusal(
        name,
        title,
        rule,
        429,
        error("rate_limit_exceeded", "requests"),
        kind="rate_limited",
        answered=429,
        code="rate_limit_exceeded",
        elsewhere=True,
        headers=headers,
        retry=retry,
        wait_s=wait_s,
        tries=tries,
        inside=not headers,
    )


OWN = "The request itself is at fault and would be anywhere: the upstream's own words go to the client."


def mistake(name: str, title: str, code: int, said: dict[str, Any], kind: str, *, rule: str = OWN) -> Fault:
    return refusal(
        name,
        title,
        rule,
        code,
        said,
        kind=kind,
        answered=code,
        elsewhere=False,
        # In a reply with status 200 only a name that has one meaning everywhere can say it again.
        inside=kind in {"context_length", "content_policy"},
    )


FAR_OFF = "Fri, 31 Dec 2100 23:59:59 GMT"
CAPACITY = "No capacity there: another target answers; the same is asked once more where it is the only one."
KEY = "The key is out, its provider is not: another key or provider answers. No word of the upstream's goes on."
ACCOUNT = "The operator's account is empty, whatever the status: another key or provider answers, nobody waits."
ONCE = "The work may have been done and billed: once more, elsewhere, never at the same target."

REFUSALS = (
    limit("limit-in-seconds", "429 with `retry-after: 7`", (7, 7), 1, retry_after="7"),
    limit("limit-of-a-second", "429 with `retry-after: 1`", (1, 1), 2, retry_after="1"),
    # Longer than a minute is nothing for a client to wait for by itself.
    limit("limit-until-a-date", "429 with `retry-after` as a date far off", (0, 0), 1, False, retry_after=FAR_OFF),
    limit("limit-in-milliseconds", "429 with `retry-after-ms: 400`", (1, 1), 2, retry_after_ms="400"),
    limit("limit-without-a-wait", "429 without a wait", (1, 5), 2),
    refusal(
        "quota-by-code",
        "429 whose body says `insufficient_quota`",
        ACCOUNT,
        429,
        error("insufficient_quota", "insufficient_quota"),
        kind="quota",
        answered=503,
        code="provider_quota",
        elsewhere=True,
        headers={"retry_after": "7"},
    ),
    refusal(
        "payment-required",
        "402",
        ACCOUNT,
        402,
        error(402, "billing_error"),
        kind="quota",
        answered=503,
        code="provider_quota",
        elsewhere=True,
    ),
    refusal(
        "key-unknown",
        "401",
        KEY,
        401,
        error("invalid_api_key", "invalid_request_error"),
        kind="auth",
        answered=502,
        code="provider_auth",
        elsewhere=True,
    ),
    refusal(
        "key-forbidden",
        "403 for the key",
        KEY,
        403,
        error("access_denied", "permission_error"),
        kind="forbidden",
        answered=502,
        code="provider_auth",
        elsewhere=True,
    ),
    refusal(
        "region-forbidden",
        "403 for the region",
        KEY,
        403,
        error("unsupported_country_region_territory", "request_forbidden"),
        kind="forbidden",
        answered=502,
        code="provider_auth",
        elsewhere=True,
    ),
    mistake(
        "model-gone",
        "404 for the model",
        404,
        error("model_not_found", "invalid_request_error", "model"),
        "not_found",
        rule="Another model is another answer: a route falls back only if it says so. The client is told.",
    ),
    mistake("invalid-request", "400", 400, error("invalid_value", "invalid_request_error", "top_p"), "bad_request"),
    mistake("unprocessable", "422", 422, error("unprocessable", "invalid_request_error"), "bad_request"),
    mistake(
        "prompt-too-long",
        "400 `context_length_exceeded`",
        400,
        error("context_length_exceeded", "invalid_request_error", "messages"),
        "context_length",
    ),
    mistake(
        "policy-refusal",
        "400 under a content policy",
        400,
        error("content_policy_violation", "invalid_request_error"),
        "content_policy",
        rule="Passed on. Asking another provider would be shopping for another opinion.",
    ),
    mistake("body-too-large", "413", 413, error("request_too_large", "invalid_request_error"), "too_large"),
    mistake("conflict", "409", 409, error("conflict", "conflict_error"), "conflict"),
    refusal(
        "request-timeout",
        "408",
        ONCE,
        408,
        error(408, "timeout_error"),
        kind="upstream_timeout",
        answered=504,
        code="upstream_timeout",
        elsewhere=True,
        state=State.UNKNOWN,
    ),
    refusal(
        "too-early",
        "425",
        "The server would not take the risk of a replay: asked once more.",
        425,
        error(425, "too_early"),
        kind="upstream_error",
        answered=502,
        code="upstream_error",
        elsewhere=True,
        tries=2,
    ),
    refusal(
        "server-error",
        "500",
        "One more try, elsewhere.",
        500,
        error(500, "server_error"),
        kind="upstream_error",
        answered=502,
        code="upstream_error",
        elsewhere=True,
    ),
    refusal(
        "bad-gateway",
        "502",
        ONCE,
        502,
        error(502, "api_error"),
        kind="upstream_error",
        answered=502,
        code="upstream_error",
        elsewhere=True,
        state=State.UNKNOWN,
        # Inside a reply of its own a provider speaks of itself: it knows what it did.
        state_inside=State.REFUSED,
    ),
    refusal(
        "gateway-timeout",
        "504",
        ONCE,
        504,
        error(504, "api_error"),
        kind="upstream_timeout",
        answered=504,
        code="upstream_timeout",
        elsewhere=True,
        state=State.UNKNOWN,
    ),
    refusal(
        "unavailable",
        "503 with `retry-after: 7`",
        CAPACITY,
        503,
        error("service_unavailable", "server_error"),
        kind="overloaded",
        answered=503,
        code="overloaded",
        elsewhere=True,
        headers={"retry_after": "7"},
        retry=True,
        wait_s=(7, 7),
        tries_inside=2,
    ),
    refusal(
        "overloaded",
        "529",
        CAPACITY,
        529,
        error("overloaded_error", "overloaded_error"),
        kind="overloaded",
        answered=503,
        code="overloaded",
        elsewhere=True,
        tries=2,
    ),
    refusal(
        "long-error-body",
        "500 with a body of 110 KiB",
        "Of an error 64 KiB are read; its status says enough.",
        500,
        {"error": {"message": CANARY * 4_000}},
        kind="upstream_error",
        answered=502,
        code="upstream_error",
        elsewhere=True,
        inside=False,
    ),
)
