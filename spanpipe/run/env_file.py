"""``--env-file``: NAME=VALUE lines as python-dotenv reads them, with every mistake named.

Comments, an ``export`` before the name, quotes with escapes, and quoted values over several lines
are known. ``${NAME}`` is not replaced, as in Docker's files of this kind.
"""

from __future__ import annotations

import io
import re

from dotenv.parser import parse_stream

from extension.config import text_of
from extension.problems import SourceError
from spanpipe.errors import CommandError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_env_file(file: str) -> dict[str, str]:
    """The variables in `file`. Raises CommandError."""
    try:
        text = text_of(file)
    except SourceError as error:
        raise CommandError(f"--env-file {error}") from error
    return parse(text, file)


def parse(text: str, file: str) -> dict[str, str]:
    """The variables in `text`; the last of a name counts. Raises CommandError with every mistake.

    What a line holds is not shown: it may be a secret.
    """
    found: dict[str, str] = {}
    problems = []
    for binding in parse_stream(io.StringIO(text.removeprefix("\ufeff"))):
        written = binding.original.string
        blank = written[: len(written) - len(written.lstrip())]
        place = f"{file}:{binding.original.line + blank.count(chr(10))}"
        if binding.error:
            problems.append(
                f"{place}: cannot be read; write NAME=VALUE, and a value with blanks, # or "
                "quotes in it in quotes"
            )
        elif binding.key is None:
            continue
        elif not _NAME.fullmatch(binding.key):
            problems.append(
                f"{place}: what is before the = is no variable's name: a letter or _, then "
                "letters, digits and _"
            )
        elif binding.value is None:
            problems.append(f"{place}: there is no =; write NAME=VALUE, and # before a comment")
        elif "\0" in binding.value:
            problems.append(f"{place}: the value holds a NUL, which no variable can")
        else:
            found[binding.key] = binding.value
    if problems:
        raise CommandError("\n".join(problems))
    return found
