"""The corpus: one folder of small files for each target, no more than add coverage.

``python -m fuzz.corpus TARGET [FOLDER]`` chooses anew among what is kept, the target's seeds and
the candidates in FOLDER. Files are named after what they hold; crashes are always kept.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "corpus"
TARGETS = (
    *("frames", "lines", "files", "configuration", "events", "responses", "spool"),
    *("requests", "callers"),
)

MAX_FILES = 60
MAX_FILE_BYTES = 4_095
_MAX_REPLAY_S = 0.05
"""`make test` replays all of them."""
_MEASURED = ("fifo", "extension", "exporter")
_CRASH = "crash-"

Check = Callable[[bytes], None]
Line = tuple[str, int, int]


def check_of(target: str) -> Check:
    """What `target` asserts of any bytes."""
    check: Check = importlib.import_module(f"fuzz.{target}").check
    return check


def files(target: str) -> list[Path]:
    """The corpus of `target`, in order."""
    return sorted((FOLDER / target).glob("*"))


def candidates(target: str, folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """(name, input): what is kept, seeds, and what a fuzzer found."""
    for path in files(target):
        yield re.sub("-[0-9a-f]{6}$", "", path.name), path.read_bytes()
    yield from importlib.import_module(f"fuzz.{target}").seeds()
    if folder is not None and folder.is_dir():
        for path in sorted(folder.iterdir()):
            yield "found", path.read_bytes()


def covered(check: Check, data: bytes) -> frozenset[Line]:
    """The lines of ours that `data` reaches, each with the line before it."""
    reached: set[Line] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_folders):
            return None
        before = 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            reached.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return line

        return line(frame, event, argument)

    sys.settrace(trace)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return frozenset(reached)


_folders = tuple(str(ROOT / package) for package in _MEASURED)


def chosen(target: str, folder: Path | None) -> dict[str, bytes]:
    """Names and contents: the crashes, then always what adds most lines for its size."""
    check = check_of(target)
    kept: dict[str, bytes] = {}
    measured: list[tuple[str, bytes, frozenset[Line]]] = []
    seen: set[bytes] = set()
    for name, data in candidates(target, folder):
        if len(data) > MAX_FILE_BYTES or data in seen:
            continue
        seen.add(data)
        began_s = time.process_time()
        check(data)
        if name.startswith(_CRASH):
            kept[_named(name, data)] = data
        elif time.process_time() - began_s < _MAX_REPLAY_S:
            measured.append((name, data, covered(check, data)))
    reached: set[Line] = set()
    while measured and len(kept) < MAX_FILES:
        best = max(measured, key=lambda one: (len(one[2] - reached), -len(one[1])))
        if not best[2] - reached:
            break
        reached |= best[2]
        measured.remove(best)
        kept[_named(best[0], best[1])] = best[1]
    return kept


def _named(name: str, data: bytes) -> str:
    return f"{name}-{hashlib.sha256(data).hexdigest()[:6]}"


def main(arguments: list[str]) -> None:
    """Choose and write."""
    target = arguments[0]
    kept = chosen(target, Path(arguments[1]) if len(arguments) > 1 else None)
    folder = FOLDER / target
    folder.mkdir(parents=True, exist_ok=True)
    for path in files(target):
        if path.name not in kept:
            path.unlink()
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    print(f"{target}: {len(kept)} files, {sum(map(len, kept.values()))} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
