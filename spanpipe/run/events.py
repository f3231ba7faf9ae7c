"""What ``--event`` gives: JSON from the command line, files and standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spanpipe.errors import CommandError

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's own bound for a synchronous invocation."""


def read_events(given: list[str]) -> list[bytes]:
    """Every event as JSON bytes. Raises CommandError."""
    events: list[bytes] = []
    for text in given:
        if text == "-":
            events.append(_event(sys.stdin.read(), "standard input"))
        elif text.startswith("@"):
            path = text[1:]
            try:
                content = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(f"--event {text}: cannot be read: {error}") from error
            if path.endswith(".jsonl"):
                lines = enumerate(content.splitlines(), 1)
                events += [_event(line, f"{path}:{n}") for n, line in lines if line.strip()]
            else:
                events.append(_event(content, path))
        else:
            events.append(_event(text, "--event"))
    if not events:
        raise CommandError("--event: the file holds no event")
    return events


def _event(text: str, where: str) -> bytes:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{where}: no JSON: {error}") from error
    data = json.dumps(value).encode()
    if len(data) > MAX_EVENT_BYTES:
        raise CommandError(f"{where}: {len(data)} bytes, over Lambda's {MAX_EVENT_BYTES}")
    return data
