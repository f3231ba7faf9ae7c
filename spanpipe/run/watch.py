"""``--watch``: runs again and again, one for each change of the code."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, watch

from spanpipe.errors import CommandError
from spanpipe.run.screen import Screen
from spanpipe.run.session import Session

SUFFIXES = frozenset({".py", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".so"})
"""Of code and what it reads at its start. A function that writes a log beside its code is not run
again for that."""
IGNORED = frozenset({"__pycache__", ".git", ".venv", "node_modules", ".mypy_cache", ".ruff_cache"})
OURS = ("spanpipe-run-", "spanpipe-sandbox-")
"""Where `TMPDIR` is among the code."""
LOOK_MS = 100
"""How often a watching thread looks whether it is to end."""
MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Work:
    """One run, ready to begin. `files` are watched beside the session's folders."""

    session: Session
    screen: Screen
    events: list[bytes]
    count: int
    files: list[Path]


def watched(work: Work, make: Callable[[], Work], once: Callable[[Work], int]) -> int:
    """Run `work`, and what `make` gives after each change; the last status, at Ctrl-C.

    A change ends the run that it comes into. What cannot be run then is told, and the next change
    waited for.
    """
    watcher = Watcher(work)
    status = None
    try:
        while True:
            watcher.begin(work.session)
            status = None
            status = once(work)
            if not work.session.stopped.is_set():
                work.screen.note(f"waiting for a change in {watcher.named}   (Ctrl-C ends it)")
            work = _next(work, watcher, make)
            if not watcher.covers(work):
                watcher.close()
                watcher = Watcher(work)
    except KeyboardInterrupt:
        if status is None:
            raise
        return status
    finally:
        watcher.close()


def _next(work: Work, watcher: Watcher, make: Callable[[], Work]) -> Work:
    """What is to be run after the next change that leaves something to run."""
    while True:
        work.screen.note(f"changed: {watcher.wait()}; running again")
        try:
            return make()
        except CommandError as error:
            for line in str(error).splitlines():
                print(f"spanpipe run: {line}", file=sys.stderr, flush=True)


class Watcher:
    """Threads that watch the folders and files of one `Work`; ready when this is made."""

    def __init__(self, work: Work) -> None:
        self._folders = sorted(set(work.session.folders))
        self._files = frozenset(work.files)
        self._changed = threading.Event()
        self._names: list[str] = []
        self._error: Exception | None = None
        self._session: Session | None = None
        self._lock = threading.Lock()
        self._ending = threading.Event()
        parents = sorted({file.parent for file in self._files})
        several = [(self._folders, True), (parents, False)]
        self._threads = [_Thread(self, *one) for one in several if one[0]]
        for thread in self._threads:
            thread.ready.wait()

    @property
    def named(self) -> str:
        """The folders."""
        return ", ".join(map(str, self._folders))

    def covers(self, work: Work) -> bool:
        """Whether it watches what `work` wants watched."""
        same_files = self._files == frozenset(work.files)
        return same_files and self._folders == sorted(set(work.session.folders))

    def begin(self, session: Session) -> None:
        """What the next change ends."""
        with self._lock:
            self._session = session
            waits = self._changed.is_set()
        if waits:
            session.stopped.set()

    def wait(self) -> str:
        """Until something has changed: what that was. Raises CommandError."""
        self._changed.wait()
        with self._lock:
            self._changed.clear()
            names, self._names = list(dict.fromkeys(self._names)), []
        if self._error is not None:
            raise CommandError(f"--watch: {self._error}") from self._error
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return ", ".join(names[:MAX_NAMED]) + more

    def close(self) -> None:
        """End the threads."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def heed(self, change: Change, path: str) -> bool:
        """Whether `path` is one of ours: called by `watchfiles` from its threads."""
        found = Path(path)
        if found in self._files:
            return True
        for folder in self._folders:
            if found.is_relative_to(folder):
                parts = found.relative_to(folder).parts
                ours = any(part.startswith(OURS) for part in parts)
                return found.suffix in SUFFIXES and not ours and not IGNORED.intersection(parts)
        return False

    def look(self, paths: list[Path], recursive: bool, ready: threading.Event) -> None:
        """One thread's life."""
        try:
            for changes in watch(
                *paths,
                watch_filter=self.heed,
                stop_event=self._ending,
                recursive=recursive,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                ready.set()
                if changes:
                    self._tell(sorted(Path(path).name for _, path in changes))
        except (OSError, RuntimeError) as error:
            self._error = error
            self._tell([])
        finally:
            ready.set()

    def _tell(self, names: Iterable[str]) -> None:
        with self._lock:
            self._names += names
            self._changed.set()
            session = self._session
        if session is not None:
            session.stop()


class _Thread(threading.Thread):
    def __init__(self, watcher: Watcher, paths: list[Path], recursive: bool) -> None:
        super().__init__(daemon=True, name="spanpipe-watch")
        self.ready = threading.Event()
        self._arguments = (watcher, paths, recursive)
        self.start()

    def run(self) -> None:
        """Watch until the watcher ends."""
        watcher, paths, recursive = self._arguments
        watcher.look(paths, recursive, self.ready)
