"""References in values: `${VAR}`, `${VAR:-default}`, `${file:PATH}`; `$$` is one dollar sign.

One rule: what a reference stands for appears in no message. One surprise: a value that is one reference and nothing
else becomes a number or a truth value where the schema wants one (`port: ${PORT}`), and stays text elsewhere, so a key
that happens to be digits stays a key.
"""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath

from fastroute.config.json_schema import takes_text
from fastroute.config.source import Flaw, Path, Source, shorten, whole

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<inside>[^{}]*)\}|(?P<open>\{))")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL | re.ASCII)
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(?P<fraction>\.[0-9]{1,18})?", re.ASCII)
_TRUTH = {"true": True, "false": False}

# A mounted secret is a line; a whole certificate chain is a few of these.
_MAX_FILE_BYTES = 64 * 1024


class Filling:
    """Fills references from an environment and from files beside the configuration."""

    def __init__(self, source: Source, environ: Mapping[str, str], folder: FilePath) -> None:
        self._source = source
        self._environ = environ
        self._folder = folder

    def fill(self, text: str, path: Path) -> str | int | float | bool:
        if "$" not in text:
            return text
        filled = _REFERENCE.sub(lambda match: self._one(match, path), text)
        only = _REFERENCE.fullmatch(text)
        if only is not None and only["inside"] is not None and not takes_text(path):
            return _typed(filled)
        return filled

    def _one(self, match: re.Match[str], path: Path) -> str:
        if match["dollar"]:
            return "$"
        if match["open"]:
            self._flaw(path, 'a "${" has no closing "}"', "write $$ for a dollar sign")
            return ""
        self._source.references[path] = match.string
        inside = match["inside"]
        found = self._read(inside[5:], path) if inside.startswith("file:") else self._look_up(inside, path)
        try:
            found.encode()
        except UnicodeEncodeError:
            self._flaw(path, f"what ${{{shorten(inside)}}} stands for is not UTF-8")
            return ""
        return found

    def _look_up(self, inside: str, path: Path) -> str:
        variable = _VARIABLE.fullmatch(inside)
        if variable is None:
            self._flaw(path, "not a reference", "write ${VAR}, ${VAR:-default} or ${file:PATH}; $$ for a dollar sign")
            return ""
        name, default = variable["name"], variable["default"]
        value = self._environ.get(name)
        # As in a shell, a default also stands for a variable that is empty.
        if default is not None and not value:
            return default
        if value is None:
            self._flaw(path, f"the variable {name} is not set", f"set it, or write ${{{name}:-default}}")
            return ""
        return value

    def _read(self, name: str, path: Path) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a file name"
            self._flaw(path, f'cannot read the file "{shorten(name)}"', reason)
            return ""
        if len(content) > _MAX_FILE_BYTES:
            self._flaw(path, f'the file "{shorten(name)}" is longer than 64 KiB')
            return ""
        # Editors and `kubectl create secret --from-file` leave a line end that is no part of the secret.
        return content.decode(errors="surrogateescape").rstrip("\r\n")

    def _flaw(self, path: Path, text: str, hint: str | None = None) -> None:
        self._source.flaws.append(Flaw(path, text, hint=hint))


def _typed(text: str) -> str | int | float | bool:
    if text in _TRUTH:
        return _TRUTH[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return whole(float(text)) if number["fraction"] else int(text)
