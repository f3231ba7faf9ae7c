"""``spanpipe run --functions``: YAML in, functions and triggers out, every error at once.

    functions:
      checkout:                       # its name in Lambda; the first is the one to invoke
        handler: checkout.handler
        directory: .                  # of its code, seen from the file
        timeout: 10                   # seconds
        memory: 128                   # MB
        environment:
          STOCK_URL: {url_of: stock}  # that function's own URL
          QUEUE_URL: {queue: orders}
          CURRENCY: EUR
      worker:
        handler: worker.handler
        queue: {name: orders, batch_size: 2, window_s: 1, item_failures: true}

`handler` alone must be there. A queue is there because a function takes from it, one function
for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from extension.problems import Place, Problem, SourceError, shown
from extension.schema import Reading, Section
from extension.yaml_source import Node, read
from sandbox.application import QUEUE, URL_OF, EventSource, Reference

MAX_FUNCTIONS = 32
"""Each has an environment: two processes."""
MAX_TIMEOUT_S = 900.0
MAX_MEMORY_MB = 10_240
MAX_BATCH_SIZE = 10_000
MAX_WINDOW_S = 300.0
"""Lambda's own bounds, as the one for the timeout."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class FunctionsFileError(Exception):
    """The file cannot be used; its text has a line for each mistake, in the file's order."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One function as the file has it; `timeout_s` and `memory_mb` None where it does not say."""

    name: str
    handler: str
    directory: Path
    timeout_s: float | None
    memory_mb: int | None
    environ: Mapping[str, str]
    references: Mapping[str, Reference]
    source: EventSource | None
    layers: tuple[Path, ...] = ()
    """Folders with a layer's content, a template's own."""


def parse(text: str, file: str, environ: Mapping[str, str]) -> list[Entry]:
    """The functions in `text`, with ``${VAR}`` from `environ`. Raises FunctionsFileError.

    `file` is how the errors name it, and where folders are seen from.
    """
    reading = Reading()
    try:
        root = read(text, file, environ, reading.problems)
    except SourceError as error:
        raise FunctionsFileError(str(error)) from error
    top = Section(root, "", reading)
    functions = top.section("functions")
    top.finish()
    places = functions.key_places()
    if not places:
        reading.wrong(root, "functions", "must name a function at least")
    if len(places) > MAX_FUNCTIONS:
        reading.wrong(root, "functions", f"names {len(places)}, {MAX_FUNCTIONS} at most")
        places = []
    folder = Path(file).resolve().parent
    entries = []
    for name, place in places:
        path = functions.path(shown(name))
        if not _NAME.fullmatch(name):
            text = "is no function's name: 1 to 64 letters, digits, - and _"
            reading.problems.append(Problem(place, path, text))
        section = functions.section(name)
        entry = _entry(name, section, folder, reading)
        if not entry.handler:
            text = "must be there: module.function, as in Lambda"
            reading.problems.append(Problem(place, f"{path}.handler", text))
        entries.append(entry)
    _check(dict(zip(places, entries, strict=True)), functions, reading)
    if reading.problems:
        problems = sorted(reading.problems, key=lambda problem: problem.where)
        raise FunctionsFileError("\n".join(map(str, problems)))
    return entries


def _entry(name: str, section: Section, folder: Path, reading: Reading) -> Entry:
    directory = section.text("directory", ".") or "."
    environ, references = _environment(section.section("environment"), reading)
    source = _source(section.section("queue"), section.node("queue"), reading)
    entry = Entry(
        name=name,
        handler=section.text("handler", None) or "",
        directory=folder / directory,
        timeout_s=section.number("timeout", 0.0, 0.1, MAX_TIMEOUT_S) or None,
        memory_mb=section.integer("memory", 0, 128, MAX_MEMORY_MB) or None,
        environ=environ,
        references=references,
        source=source,
    )
    section.finish()
    return entry


def _environment(section: Section, reading: Reading) -> tuple[dict[str, str], dict[str, Reference]]:
    environ: dict[str, str] = {}
    references: dict[str, Reference] = {}
    for name, place in section.key_places():
        if not _VARIABLE.fullmatch(name):
            text = "is no variable's name: a letter, then letters, digits and _"
            reading.problems.append(Problem(place, section.path(shown(name)), text))
        value = section.node(name)
        if value is None:
            environ[name] = ""
        elif isinstance(value.value, dict):
            inner = section.section(name)
            found = [
                Reference(kind, other)
                for kind in (URL_OF, QUEUE)
                if (other := inner.text(kind, None)) is not None
            ]
            inner.finish()
            if len(found) == 1:
                references[name] = found[0]
            else:
                section.wrong_key(name, f"needs one of {URL_OF}: and {QUEUE}:")
        else:
            environ[name] = section.text(name, "") or ""
    return environ, references


def _source(section: Section, node: Node | None, reading: Reading) -> EventSource | None:
    if node is None:
        return None
    name = section.text("name", None) or ""
    if not _QUEUE_NAME.fullmatch(name):
        text = "must be there: 1 to 80 letters, digits, - and _ (no FIFO queue)"
        reading.wrong(node, section.path("name"), text)
    source = EventSource(
        queue=name,
        batch_size=section.integer("batch_size", 10, 1, MAX_BATCH_SIZE),
        window_s=section.number("window_s", 0.0, 0.0, MAX_WINDOW_S),
        item_failures=section.boolean("item_failures", False),
    )
    section.finish()
    return source


def _check(
    entries: Mapping[tuple[str, Place], Entry], functions: Section, reading: Reading
) -> None:
    """What one function says of the others."""
    takers: dict[str, str] = {}
    for (name, place), entry in entries.items():
        if entry.source is not None:
            taker = takers.setdefault(entry.source.queue, name)
            if taker != name:
                text = f"{entry.source.queue} is taken by {taker} already"
                path = functions.path(f"{shown(name)}.queue.name")
                reading.problems.append(Problem(place, path, text))
    known = {URL_OF: {entry.name for entry in entries.values()}, QUEUE: set(takers)}
    what = {URL_OF: "no function has the name", QUEUE: "no function takes from the queue"}
    for (name, place), entry in entries.items():
        for variable, reference in entry.references.items():
            if reference.name not in known[reference.kind]:
                path = functions.path(f"{shown(name)}.environment.{variable}")
                text = f"{what[reference.kind]} {shown(reference.name)}"
                reading.problems.append(Problem(place, path, text))
