"""OpenTelemetry's ``${VAR}`` in a scalar of the configuration file.

Source: OpenTelemetry specification, "Configuration Data Model", "Environment variable
substitution". One deviation: there a variable that is unset and has no default is replaced by
nothing, here it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extension.problems import shown

_REFERENCE = re.compile(r"\$\{([^}\n]*)\}")
_INSIDE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?")


class SubstitutionError(Exception):
    """A reference that cannot be replaced; the message says what to do."""


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each reference replaced once, and each ``$$`` by ``$``.

    An escape ends what a reference may span, and what was put in is not looked at again.
    Raises SubstitutionError.
    """

    def replace(match: re.Match[str]) -> str:
        inside = _INSIDE.fullmatch(match.group(1))
        if inside is None:
            raise SubstitutionError(
                f"{shown(match.group())} is no valid substitution; write ${{NAME}}, "
                "${NAME:-a default}, or $$ for a dollar sign"
            )
        name, default = inside.groups()
        value = environ.get(name) or default
        if value is None and name not in environ:
            raise SubstitutionError(
                f"the environment variable {name} is not set; set it, or write "
                f"${{{name}:-a default}}"
            )
        return value or ""

    return "$".join(_REFERENCE.sub(replace, part) for part in text.split("$$"))
