"""A configuration from a file: `load` for the gateway, `find_mistakes` for whoever writes the file.

One rule: they agree; a file loads if and only if no mistake (warnings apart) is found in it. One surprise: the schema
is not asked about a file that decodes; only when something is wrong does it list everything that is.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import cast

import msgspec

from fastroute.config.auth import file_flaws
from fastroute.config.flaws import Known, find_flaws
from fastroute.config.schema import Config, decode
from fastroute.config.source import Flaw, Path, Place, Source
from fastroute.config.toml_reader import read_toml
from fastroute.config.tree import anchored, child, completed, pruned, section
from fastroute.config.variables import Filling
from fastroute.config.yaml_reader import read_yaml
from fastroute.errors import ConfigError, Mistake
from fastroute.needs import Needs

# Over 20,000 models. A file that is larger was not meant.
_MAX_FILE_BYTES = 4 << 20

# Headers that carry a key by nature.
_KEY_HEADERS = frozenset(("api-key", "authorization", "proxy-authorization", "x-api-key", "x-goog-api-key"))

# Keys of `auth` that are no names of something.
_AUTH_SECRETS = ("secret_access_key", "session_token", "client_secret", "json")


def load(path: str | os.PathLike[str], known: Known | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in a YAML or TOML file. Raises ConfigError with every mistake in it.

    `known` are the providers that the catalogue adds, as in `fastroute.catalogue.Found.known`.
    """
    source = _read(path, os.environ if environ is None else environ)
    if not source.flaws:
        try:
            config = decode(completed(source.tree))
        except msgspec.ValidationError:
            pass  # What it says stops at the first error and may repeat a value.
        else:
            if not any(not flaw.warning for flaw in _semantic_flaws(config, known or {})):
                return config
    raise ConfigError([mistake for mistake in _mistakes(source, known or {}) if not mistake.warning])


def find_mistakes(
    path: str | os.PathLike[str], known: Known | None = None, environ: Mapping[str, str] | None = None
) -> list[Mistake]:
    """Every mistake and warning in a configuration file, in file order; empty when there is nothing to say."""
    return _mistakes(_read(path, os.environ if environ is None else environ), known or {})


def _read(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Source:
    file = FilePath(path)
    source = Source(os.fspath(path))
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        source.flaws.append(Flaw((), f"cannot be read: {error.strerror}"))
        return source
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        source.flaws.append(Flaw((), "not UTF-8", place=Place(line, 1)))
        return source
    if len(content) > _MAX_FILE_BYTES:
        source.flaws.append(Flaw((), "longer than 4 MiB"))
        return source
    read = read_toml if file.suffix == ".toml" else read_yaml
    read(text, source, Filling(source, environ, file.parent))
    source.tree = anchored(source.tree, file.parent)
    return source


def _mistakes(source: Source, known: Known) -> list[Mistake]:
    flaws = list(source.flaws)
    # A tree that could not be read to its end would be judged for what is missing from it.
    if source.tree is not None:
        # A value whose reference is broken was replaced by nothing, which would be wrong in its turn.
        told = {flaw.path for flaw in source.flaws if flaw.path}
        flaws += (flaw for flaw in _tree_flaws(source, known) if flaw.path not in told)
    flaws.sort(key=source.place)
    return list(dict.fromkeys(map(source.mistake, flaws)))


def _tree_flaws(source: Source, known: Known) -> Iterator[Flaw]:
    yield from _literal_keys(source)
    try:
        yield from _semantic_flaws(decode(completed(source.tree)), known)
    except msgspec.ValidationError:
        yield from _misfits(source.tree, known)


def _misfits(tree: object, known: Known) -> Iterator[Flaw]:
    """What does not fit the schema, and what is wrong in the rest."""
    # Imported here because the validator costs 80 ms and 15 MB, and a file without mistakes never needs it.
    from fastroute.config.shape import find_misfits

    misfits = list(find_misfits(tree))
    yield from misfits
    try:
        config = decode(completed(pruned(tree, [flaw.path for flaw in misfits])))
    except msgspec.ValidationError:
        # The validator let something through that the structs refuse, so there is nothing more to say about it.
        yield Flaw((), "does not fit the schema")
        return
    # A provider that was taken out is not missed.
    out = {name: Needs() for name in section(tree, "providers") if name not in config.providers}
    unclear = {path for flaw in misfits for path in (flaw.path, flaw.meant) if path is not None}
    for flaw in _semantic_flaws(config, {**known, **out}):
        if not any(_rests_on(flaw, path) for path in unclear):
            yield flaw


def _rests_on(flaw: Flaw, path: Path) -> bool:
    """Whether nothing can be said of `flaw` while nobody knows what is meant at `path`."""
    return _is_within(flaw.path, path) or any(
        _is_within(other, path) or _is_within(path, other) for other in flaw.relies_on
    )


def _is_within(path: Path, outer: Path) -> bool:
    return path[: len(outer)] == outer


def _semantic_flaws(config: Config, known: Known) -> list[Flaw]:
    flaws = find_flaws(config, known)
    for name, provider in config.providers.items():
        if provider.ca_file is not None and not os.access(provider.ca_file, os.R_OK):
            flaws.append(Flaw(("providers", name, "ca_file"), "this file cannot be read"))
        if provider.auth is not None:
            flaws += file_flaws(("providers", name), provider.auth)
    return flaws


def _literal_keys(source: Source) -> Iterator[Flaw]:
    for name, provider in section(source.tree, "providers").items():
        headers = section(provider, "headers").items()
        written: dict[Path, object] = {
            ("headers", name): value for name, value in headers if name.lower() in _KEY_HEADERS
        }
        written["key",] = child(provider, "key")
        auth = section(provider, "auth")
        written.update((("auth", name), auth.get(name)) for name in _AUTH_SECRETS)
        several = child(provider, "keys")
        if isinstance(several, list):
            written.update((("keys", index), value) for index, value in enumerate(cast("list[object]", several)))
        for path, value in written.items():
            if isinstance(value, str) and value and ("providers", name, *path) not in source.references:
                hint = "write ${VARIABLE} or ${file:PATH}"
                yield Flaw(("providers", name, *path), "a key is written out in the file", hint=hint, warning=True)
