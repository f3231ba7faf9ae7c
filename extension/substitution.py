"""OpenTelemetry's ``${VAR}`` in a scalar of the configuration file, and AWS's stores of secrets.

Source: OpenTelemetry specification, "Configuration Data Model", "Environment variable
substitution". Deviations: there a variable that is unset and has no default is replaced by
nothing, here it is an error; and ``${secretsmanager:NAME#key}`` and ``${ssm:NAME}`` are sources of
our own, which are not replaced here but found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.settings import PARAMETER_STORE, SECRETS_MANAGER, SecretReference
from extension.problems import shown

_OPEN, _CLOSE = "${", "}"
_INSIDE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?")
_STORES = (f"{SECRETS_MANAGER}:", f"{PARAMETER_STORE}:")
_SECRET = re.compile(r"(secretsmanager):([A-Za-z0-9/_+=.@:-]{1,2048})(?:#([^#]{1,512}))?")
_PARAMETER = re.compile(r"(ssm):([A-Za-z0-9/_.:-]{1,2048})")
"""A name or an ARN, as the services' own references allow them; of a parameter ``:version`` or
``:label`` too."""


class SubstitutionError(Exception):
    """A reference that cannot be replaced; the message says what to do."""


Part = str | SecretReference


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """As `parts_of`, for a place where no secret may stand. Raises SubstitutionError."""
    parts = parts_of(text, environ)
    secrets = [str(part) for part in parts if isinstance(part, SecretReference)]
    if secrets:
        raise SubstitutionError(
            f"{shown(f'${{{secrets[0]}}}')} may stand in the value of a header alone"
        )
    return "".join(map(str, parts))


def parts_of(text: str, environ: Mapping[str, str]) -> tuple[Part, ...]:
    """`text` with each variable replaced once, each ``$$`` by ``$``, and its secrets apart.

    An escape ends what a reference may span, and what was put in is not looked at again.
    Texts that follow each other are one, and none is empty. Raises SubstitutionError.
    """
    whole: list[Part] = []
    for index, part in enumerate(text.split("$$")):
        for found in (["$"] if index else []) + _replaced(part, environ):
            if not found:
                continue
            if whole and isinstance(whole[-1], str) and isinstance(found, str):
                whole[-1] += found
            else:
                whole.append(found)
    return tuple(whole)


def _replaced(text: str, environ: Mapping[str, str]) -> list[Part]:
    """`text`, which holds no escape. A reference ends in its line, or is none."""
    parts: list[Part] = []
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
    return parts


def _value(reference: str, environ: Mapping[str, str]) -> Part:
    if reference.startswith(_STORES):
        return _secret(reference)
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


def _secret(reference: str) -> SecretReference:
    found = _SECRET.fullmatch(reference) or _PARAMETER.fullmatch(reference)
    if found is None:
        raise SubstitutionError(
            f"{shown(f'${{{reference}}}')} is no name of a secret; write "
            "${secretsmanager:NAME#key}, ${secretsmanager:NAME} or ${ssm:/path}"
        )
    return SecretReference(*(part or "" for part in found.groups()))
