"""A function's log: lines in, findings out (pure). It remembers a count for each symptom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from extension.log import MAX_LINE_CHARACTERS
from extension.problems import shown
from spanpipe.doctor import signs
from spanpipe.doctor.findings import Finding, fine, found
from spanpipe.doctor.symptoms import SYMPTOMS

MAX_SEEN_CHARACTERS = 300
"""Of a line that is shown."""
MAX_INIT_MS = 3_000
MAX_BILLED_ABOVE_MS = 200
"""More than `flush.hold_ms` allows, and than the platform's own share."""

_MARK = re.compile(r"spanpipe: (?:(debug|info|warning|error): |(shutdown [\w-]+: accepted ))")
_EXTENSION = re.compile(
    r'EXTENSION\s+Name: spanpipe\b|"type": ?"platform\.extension".{0,400}"name": ?"spanpipe"'
)
_START = re.compile(r'INIT_START Runtime Version|"type": ?"platform\.initStart"')
_INVOCATION = re.compile(r'\b(?:START|REPORT) RequestId: |"type": ?"platform\.(?:start|report)"')
_PRINTED = re.compile(r'\{[ ]*"resourceSpans"[ ]*:')
_REPORT = re.compile(
    r"REPORT RequestId: .{0,200}?\bDuration: ([\d.]+) ms\s+Billed Duration: ([\d.]+) ms"
    r"\s+Memory Size: (\d+) MB\s+Max Memory Used: (\d+) MB(?:\s+Init Duration: ([\d.]+) ms)?"
)
_OF_WRITER = "; results go by file"
"""The end of what the writer says: the function has it, with the layer or without."""
_SHUTDOWN = re.compile(r"shutdown ([\w-]+): (.*)")
_FIGURE = re.compile(r"\b(accepted|recovered|exported|printed|spooled|waiting|dropped) (\d+)")
_COUNT = re.compile(r"(\w+) (\d+)")
_REASONS = re.compile(r"dropped \d+ \(([^()]*)\)")


@dataclass(slots=True)
class _Seen:
    """Of one symptom: how often, and the first time."""

    first: str
    line_number: int
    count: int = 1


@dataclass(slots=True)
class LogReading:
    """One log. `line` takes its lines in order, `findings` says what they show."""

    line_count: int = 0
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    _figures: dict[str, int] = field(default_factory=dict)
    _shutdowns: int = 0
    _uncertain: int = 0
    _left_in_spool: int = 0
    _writer_alone: str = ""
    _has_ours: bool = False
    _has_start: bool = False
    _has_invocation: bool = False

    def line(self, text: str) -> None:
        """The next line, or the next piece of one that is very long."""
        self.line_count += 1
        # Levels of strings in strings: what matters here has no backslash of its own.
        plain = text.replace("\\t", "\t").replace("\\n", "\n").replace("\\", "")
        if _PRINTED.search(plain):
            # Captured bodies are in it, which may say anything.
            self._note("spans_in_log", f"{len(text)} characters of OTLP JSON")
            return
        ours = list(_MARK.finditer(plain))
        for index, mark in enumerate(ours):
            end = ours[index + 1].start() if index + 1 < len(ours) else len(plain)
            rest = plain[mark.end() : end].partition("\n")[0]
            if mark[2]:
                self._has_ours = True
                self._ledger(mark[2] + rest)
            else:
                self._said(mark[1], rest[:MAX_LINE_CHARACTERS].rstrip('"}, \r'))
        if not ours:
            self._platform(plain.strip())

    def findings(self) -> Iterator[Finding]:
        """The layer first, then what was seen, in order, then the ledger's reasons."""
        if self._writer_alone:
            # Where the extension speaks as well, it is there and has no FIFO.
            name = "fifo_not_made" if self._has_ours else "layer_absent"
            yield found(SYMPTOMS[name], self._writer_alone)
        elif not self._has_ours:
            hidden = self._has_invocation and not self._has_start
            name = "layer_unseen" if hidden else "layer_absent"
            yield found(SYMPTOMS[name], f"no line of the extension in {self.line_count} lines")
        else:
            yield fine("layer", "the extension speaks in the log")
        for name, seen in self._seen.items():
            yield found(SYMPTOMS[name], _told(seen))
        if self._left_in_spool:
            yield found(SYMPTOMS["left_in_spool"], f"{self._left_in_spool} invocations")
        if self._uncertain:
            yield found(SYMPTOMS["sent_perhaps_twice"], f"{self._uncertain} invocations")
        for (name, what), count in sorted(self._reasons.items()):
            symptom = SYMPTOMS.get(name)
            if symptom is None:
                # Of a release that is newer than this command.
                yield found(SYMPTOMS["extension_warning"], f"{what}: {name} {count}")
            else:
                yield found(symptom, f"{what}: {name} {count}")
        if self._shutdowns:
            figures = ", ".join(f"{name} {count}" for name, count in self._figures.items())
            yield fine("ledger", f"at {self._shutdowns} shutdowns: {figures}")

    def _said(self, level: str, text: str) -> None:
        name = signs.of_line(level, text)
        if name == "layer_absent":
            # The writer's, in the function.
            self._writer_alone = self._writer_alone or shown(text, MAX_SEEN_CHARACTERS)
            return
        self._has_ours = self._has_ours or not text.endswith(_OF_WRITER)
        if name is not None:
            self._note(name, text)

    def _note(self, name: str, text: str) -> None:
        seen = self._seen.get(name)
        if seen is not None:
            seen.count += 1
        else:
            first = shown(" ".join(text.split()), MAX_SEEN_CHARACTERS)
            self._seen[name] = _Seen(first, self.line_count)

    def _platform(self, text: str) -> None:
        self._has_ours = self._has_ours or _EXTENSION.search(text) is not None
        self._has_start = self._has_start or _START.search(text) is not None
        self._has_invocation = self._has_invocation or _INVOCATION.search(text) is not None
        name = signs.of_platform(text)
        if name is not None:
            self._note(name, text)
        report = _REPORT.search(text)
        if report is None:
            return
        duration_ms, billed_ms = float(report[1]), float(report[2])
        init_ms = float(report[5] or 0)
        if int(report[4]) >= int(report[3]):
            self._note("function_out_of_memory", text)
        if init_ms > MAX_INIT_MS:
            self._note("init_slow", text)
        if billed_ms - duration_ms - init_ms > MAX_BILLED_ABOVE_MS:
            self._note("billed_longer", text)

    def _ledger(self, text: str) -> None:
        """``shutdown REASON: accepted … ; uncertain N; noted: …; body bytes: …``."""
        parsed = _SHUTDOWN.match(text)
        if parsed is None:
            return
        reason, law = parsed[1].lower(), parsed[2]
        self._shutdowns += 1
        invocations, *others = law.split("; ")
        figures = {name: int(count) for name, count in _FIGURE.findall(invocations)}
        for name, count in figures.items():
            self._figures[name] = self._figures.get(name, 0) + count
        if reason == "spindown":
            self._left_in_spool += figures.get("spooled", 0)
        self._dropped("invocations", invocations)
        for other in others:
            head, _, rest = other.partition(": ")
            if other.startswith("uncertain "):
                self._uncertain += int(_COUNT.findall(other)[0][1])
            elif head == "noted":
                self._add("noted", rest)
            elif head == "body bytes":
                self._dropped("bytes", rest)

    def _dropped(self, what: str, law: str) -> None:
        listed = _REASONS.search(law)
        if listed is not None:
            self._add(what, listed[1])

    def _add(self, what: str, listed: str) -> None:
        for name, count in _COUNT.findall(listed):
            key = (name, what)
            self._reasons[key] = self._reasons.get(key, 0) + int(count)


def _told(seen: _Seen) -> str:
    if seen.count == 1:
        return f"line {seen.line_number}: {seen.first}"
    return f"{seen.count} times, first in line {seen.line_number}: {seen.first}"
