"""What a well-formed configuration still gets wrong: addresses, names, weights, and references to what is not there.

One rule: this is the only place where one part of a configuration is held against another, for files and for
configurations made in code alike. A flaw that comes from comparing names in `relies_on` what it was compared with.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from fastroute.address import fits_an_address, is_host, parse_address
from fastroute.config.auth import auth_flaws, takes_no_key
from fastroute.config.listeners import unguarded_listeners, wanted_listeners
from fastroute.config.names import did_you_mean
from fastroute.config.schema import MOCK, POLICIES, Config, Listen, Model, Provider, WeightedTarget
from fastroute.config.source import Flaw, Path
from fastroute.needs import REGION, Needs
from fastroute.secret import Secret

Known = Mapping[str, Needs]
"""Providers that exist without the configuration, each with what it still needs before it can be called."""

_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_CUSTOM_POLICY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_DIALECT_PATH = re.compile(
    r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(?:\{model\}[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~=&%-]+)?",
    re.ASCII,
)

# Written by the engine for each request; a second value would contradict it.
_ENGINE_HEADERS = frozenset(
    (
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

# Which listeners there are at all.
_TOGGLES: tuple[Path, ...] = (("listen", "edge"), ("listen", "admin"))

# Echoed back in headers and errors, so it has to stay short.
_MAX_NAME = 256


def find_flaws(config: Config, known: Known) -> list[Flaw]:
    """Everything wrong in `config`, in the order of its sections. `known`: providers of the catalogue."""
    flaws = list(_listen_flaws(config.listen))
    for name, provider in config.providers.items():
        flaws += _provider_flaws(name, provider, known)
    names = {MOCK: Needs(), **known, **dict.fromkeys(config.providers, Needs())}
    for name, model in config.models.items():
        flaws += _model_flaws(name, model, config.routing.policy, names)
    flaws += _policy_flaws(config.routing.policy, ("routing", "policy"))
    flaws += _endpoint_flaws(config, names)
    return flaws


def _endpoint_flaws(config: Config, providers: Known) -> Iterator[Flaw]:
    """Who is asked without a model must be somebody, and have what is asked for as far as that is written down."""
    for endpoint, name in config.routing.endpoints.items():
        at = ("routing", "endpoints", endpoint)
        if name in config.models:
            continue
        to = name if "/" in name else f"{name}/*"
        who = to.partition("/")[0]
        provider = config.providers.get(who, Provider())
        if provider.dialect is not None or (provider.speaks is not None and endpoint not in provider.speaks):
            hint = f'write its path under "speaks" as "{endpoint}"'
            yield Flaw(at, 'provider "{}" has no such endpoint', who, hint, relies_on=(("providers", who),))
        else:
            yield from _target_flaws(to, at, providers)


def _listen_flaws(listen: Listen) -> Iterator[Flaw]:
    for key, address in (
        ("address", listen.address),
        ("edge_address", listen.edge_address),
        ("admin_address", listen.admin_address),
    ):
        if address is not None and not is_host(address):
            yield Flaw(("listen", key), '"{}" is neither an IP address nor a host name', shown=address)
    for first, second in combinations(wanted_listeners(listen), 2):
        # Different addresses could share a port, but nobody wants to read such a setup.
        if first.port == second.port != 0:
            text = f"the same port as listen.{first.port_key}"
            yield Flaw(("listen", second.port_key), text, relies_on=(("listen", first.port_key), *_TOGGLES))
    # Both doors on one address are one thing to warn of.
    for key, address in {wanted.address_key: wanted.address for wanted in unguarded_listeners(listen)}.items():
        if is_host(address):
            text = '"{}" can be reached by other machines, and no keys are asked for'
            hint = "serve refuses it without open: true"
            relies_on = (("listen", "open"), *_TOGGLES)
            yield Flaw(("listen", key), text, address, hint, warning=True, relies_on=relies_on)


def _provider_flaws(name: str, provider: Provider, known: Known) -> Iterator[Flaw]:
    at = ("providers", name)
    if name == MOCK:
        yield Flaw(at, f'"{MOCK}" is built in', hint="choose another name", at_key=True)
    elif not _PROVIDER_NAME.fullmatch(name):
        yield Flaw(at, 'a provider\'s name is made of a-z, 0-9, "-", "_" and "."', at_key=True)
    if provider.address is not None:
        try:
            parse_address(provider.address)
        except ValueError as error:
            yield Flaw((*at, "address"), str(error))
    elif name not in known or known[name].address:
        hint = "only a provider of the catalogue has one of its own" if name not in known else None
        yield Flaw(at, 'needs "address"', hint=hint, at_key=True, relies_on=((*at, "address"),))
    yield from _dialect_flaws(at, provider, name in known)
    needs = known.get(name, Needs())
    keyless = takes_no_key(provider)
    if not keyless and provider.key is None and not provider.keys and provider.address is None and needs.keys:
        hint = f'set {" or ".join(needs.keys)}, or write "key"'
        yield Flaw(at, "has no key", at_key=True, hint=hint, relies_on=_key_places(at))
    has_a_key = provider.key is not None or bool(provider.keys) or (name in known and provider.address is None)
    yield from auth_flaws(at, provider, _host(provider), has_a_key)
    # Where the address is written down, a region still may be what requests are signed for.
    yield from _address_flaws(at, provider, needs if provider.address is None else needs._replace(open=frozenset()))
    yield from _key_flaws(at, provider)
    yield from _header_flaws(at, provider)


def _address_flaws(at: Path, provider: Provider, needs: Needs) -> Iterator[Flaw]:
    """What fills the address of a provider of the catalogue; an address of one's own has nothing to fill."""
    given: dict[str, tuple[Path, str]] = {name: ((*at, "vars", name), value) for name, value in provider.vars.items()}
    if REGION in given:
        yield Flaw((*at, "vars", REGION), 'stands beside "vars"', hint=f'write "{REGION}" itself', at_key=True)
    if provider.region is not None:
        given[REGION] = ((*at, REGION), provider.region)
    # One that is not asked for may belong to an address that is left out only because it does not fit.
    relies_on = ((*at, "address"),)
    for name, (path, value) in given.items():
        if name not in needs.vars:
            hint = f"known: {', '.join(needs.vars)}" if needs.vars else None
            yield Flaw(path, "the address does not ask for it", hint=hint, at_key=True, relies_on=relies_on)
        elif not fits_an_address(value):
            yield Flaw(path, "an address cannot hold it", hint='letters, digits, "-", "_" and "."')
        elif name == REGION and REGION not in needs.free and value not in needs.regions:
            hint = did_you_mean(value, needs.regions) or f"known: {', '.join(needs.regions)}"
            yield Flaw(path, 'no region "{}"', shown=value, hint=hint, relies_on=relies_on)
    for name in sorted(needs.open - given.keys()):
        env = needs.vars[name]
        where = f'"{REGION}"' if name == REGION else f'"{name}" under "vars"'
        hint = f"set {' or '.join(env)}, or write {where}" if env else f"write {where}"
        places = ((*at, "address"), (*at, "vars"), (*at, REGION))
        yield Flaw(at, f"its address has no {name}", hint=hint, at_key=True, relies_on=places)


def _key_places(at: Path) -> tuple[Path, ...]:
    return ((*at, "key"), (*at, "keys"), (*at, "address"), (*at, "auth", "kind"))


def _host(provider: Provider) -> str | None:
    try:
        return None if provider.address is None else parse_address(provider.address).host
    except ValueError:
        return None


def _dialect_flaws(at: Path, provider: Provider, in_catalogue: bool) -> Iterator[Flaw]:
    if provider.dialect is not None and provider.speaks is not None:
        yield Flaw((*at, "speaks"), 'says the same as "dialect"', hint="keep one of the two", at_key=True)
    elif provider.dialect is None and provider.speaks is None and not in_catalogue:
        hint = "most compatible servers take dialect: openai_chat"
        relies_on = ((*at, "dialect"), (*at, "speaks"))
        yield Flaw(at, 'needs "dialect" or "speaks"', hint=hint, at_key=True, relies_on=relies_on)
    if provider.speaks is not None and not provider.speaks:
        yield Flaw((*at, "speaks"), "lists no dialect", relies_on=((*at, "speaks"),))
    for dialect, path in (provider.speaks or {}).items():
        if not _DIALECT_PATH.fullmatch(path):
            hint = "{model} may stand in it once" if "{" in path else None
            yield Flaw((*at, "speaks", dialect), 'a path starts with "/" and holds what a URL may', hint=hint)


def _key_flaws(at: Path, provider: Provider) -> Iterator[Flaw]:
    if provider.key is not None:
        yield from _value_flaws(provider.key, (*at, "key"))
        if provider.keys:
            yield Flaw((*at, "keys"), 'stands beside "key"', hint="keep one of the two", at_key=True)
    for index, key in enumerate(provider.keys):
        first = provider.keys.index(key)
        if first < index:
            yield Flaw((*at, "keys", index), f"the same as keys[{first}]")
        else:
            yield from _value_flaws(key, (*at, "keys", index))


def _header_flaws(at: Path, provider: Provider) -> Iterator[Flaw]:
    carrier, place = _carrier(provider)
    place = (*at, *place)
    if carrier and not _TOKEN.fullmatch(carrier):
        yield Flaw(place, "not a header name")
    elif carrier in _ENGINE_HEADERS:
        yield Flaw(place, "this header cannot carry a key")
    proves = provider.key is not None or bool(provider.keys) or takes_no_key(provider)
    seen = {carrier} if proves and carrier else set[str]()
    for name, value in provider.headers.items():
        path = (*at, "headers", name)
        if not _TOKEN.fullmatch(name):
            yield Flaw(path, "not a header name", at_key=True)
        elif name.lower() in _ENGINE_HEADERS:
            yield Flaw(path, "this header is written for each request", hint="leave it out", at_key=True)
        elif name.lower() in seen:
            yield Flaw(
                path, "this header is set twice", at_key=True, relies_on=(place, (*at, "auth"), *_key_places(at))
            )
        seen.add(name.lower())
        yield from _value_flaws(value, path)


def _carrier(provider: Provider) -> tuple[str | None, Path]:
    """The header that proves a request, in lower case, and the key that names it; None where none does."""
    auth = provider.auth
    if auth is None:
        return (provider.key_header or "authorization").lower(), ("key_header",)
    if auth.kind == "header":
        return (auth.name or "").lower() or None, ("auth", "name")
    return None if auth.kind == "query" else "authorization", ("auth", "kind")


def _value_flaws(value: Secret, path: Path) -> Iterator[Flaw]:
    if not value:
        yield Flaw(path, "is empty")
    elif not value.fits_a_header():
        yield Flaw(
            path, "has characters that a header cannot carry", hint="a line end, a space around it, or not ASCII"
        )


def _model_flaws(name: str, model: Model, policy: str, providers: Known) -> Iterator[Flaw]:
    at = ("models", name)
    if not name or len(name) > _MAX_NAME or not name.isprintable() or name != name.strip():
        yield Flaw(at, f"a model's name is 1 to {_MAX_NAME} printable characters", at_key=True)
    if not model.targets:
        yield Flaw((*at, "targets"), "lists no target", hint="write provider/model")
    seen: dict[str, int] = {}
    for index, target in enumerate(model.targets):
        path: Path = (*at, "targets", index)
        to, path = (target, path) if isinstance(target, str) else (target.to, (*path, "to"))
        # Empty text is told as that; it may also stand for a target of another shape.
        if to and to in seen:
            yield Flaw(path, f"the same as targets[{seen[to]}]")
            continue
        seen[to] = index
        yield from _target_flaws(to, path, providers)
    if model.policy is not None:
        yield from _policy_flaws(model.policy, (*at, "policy"))
    relies_on: tuple[Path, ...] = ((*at, "targets"), (*at, "policy"))
    if model.policy is None:
        relies_on = (*relies_on, ("routing", "policy"))
    for flaw in _weight_flaws(at, model.targets, model.policy or policy):
        yield flaw._replace(relies_on=relies_on)


def _target_flaws(to: str, path: Path, providers: Known) -> Iterator[Flaw]:
    provider, slash, model = to.partition("/")
    if not (provider and slash and model) or not model.isprintable() or model != model.strip():
        yield Flaw(path, '"{}" is not provider/model', shown=to)
    elif provider not in providers:
        hint = did_you_mean(provider, providers)
        yield Flaw(path, 'no provider "{}"', shown=provider, hint=hint, relies_on=(("providers", provider),))
    elif providers[provider].keys:
        hint = f"set {' or '.join(providers[provider].keys)}"
        yield Flaw(path, f'provider "{provider}" has no key', hint=hint, relies_on=(("providers", provider),))
    elif providers[provider].address or providers[provider].open:
        missing = "address" if providers[provider].address else min(providers[provider].open)
        hint = f'name it under "providers", with its {missing}'
        text = f'provider "{provider}" has no address' if missing == "address" else f"its address has no {missing}"
        yield Flaw(path, text, hint=hint, relies_on=(("providers", provider),))
    elif provider == MOCK and model != "echo":
        yield Flaw(path, f'"{MOCK}" has one model', hint=f"write {MOCK}/echo")


def _weight_flaws(at: Path, targets: tuple[str | WeightedTarget, ...], policy: str) -> Iterator[Flaw]:
    weights = [None if isinstance(target, str) else target.weight for target in targets]
    given = [index for index, weight in enumerate(weights) if weight is not None]
    if not given:
        return
    # What weights mean to a policy of the user's own is its own affair.
    if policy == "weighted" and len(given) < len(weights):
        hint = "give every target a weight, or none"
        yield Flaw((*at, "targets", weights.index(None)), "has no weight, and others have one", hint=hint)
    elif policy == "weighted" and not any(weights):
        yield Flaw((*at, "targets"), "every weight is 0", hint="at least one target must be left")
    elif policy in POLICIES and policy != "weighted":
        hint = "write policy: weighted, or leave them out"
        yield Flaw((*at, "targets", given[0], "weight"), f'weights have no effect with policy "{policy}"', hint=hint)


def _policy_flaws(policy: str, path: Path) -> Iterator[Flaw]:
    if policy not in POLICIES and not _CUSTOM_POLICY.fullmatch(policy):
        hint = did_you_mean(policy, POLICIES) or f"known: {', '.join(POLICIES)}, or package.module:function"
        yield Flaw(path, 'no policy "{}"', shown=policy, hint=hint)
