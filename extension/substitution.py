"""OpenTelemetry's ``${VAR}`` in a scalar of the configuration file.

Source: OpenTelemetry specification, "Configuration Data Model", "Environment variable
substitution". One deviation: there a variable that is unset and has no default is replaced by
nothing, here it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extension.problems import shown

_OPEN, _CLOSE = "${", "}"
_INSIDE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?")


class SubstitutionError(Exception):
    """A reference that cannot be replaced; the message says what to do."""


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each reference replaced once, and each ``$$`` by ``$``.

    An escape ends what a reference may span, and what was put in is not looked at again.
    Raises SubstitutionError.
    """

    return "$".join(_replaced(part, environ) for part in text.split("$$"))


def _replaced(text: str, environ: Mapping[str, str]) -> str:
    """`text`, which holds no escape. A reference ends in its line, or is none."""
    parts: list[str] = []
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        # Not a pattern: that would look for the end of each of many beginnings anew.
        newline = text.find("\n", start)
        line_end = newline if newline >= 0 else len(text)
        end = text.find(_CLOSE, start, line_end)
        if end < 0:
            parts.append(text[position:line_end])
            position = line_end
            continue
        parts.append(text[position:start])
        parts.append(_value(text[start + len(_OPEN) : end], environ))
        position = end + len(_CLOSE)
    parts.append(text[position:])
    return "".join(parts)


def _value(reference: str, environ: Mapping[str, str]) -> str:
    inside = _INSIDE.fullmatch(reference)
    if inside is None:
        raise SubstitutionError(
            f"{shown(f'${{{reference}}}')} is no valid substitution; write ${{NAME}}, "
            "${NAME:-a default}, or $$ for a dollar sign"
        )
    name, default = inside.groups()
    value = environ.get(name) or default
    if value is None and name not in environ:
        raise SubstitutionError(
            f"the environment variable {shown(name)} is not set; set it, or write "
            f"${{{shown(name)}:-a default}}"
        )
    return value or ""
