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
from spanpipe.wording import counted

MAX_SEEN_CHARACTERS = 300
"""Of a line that is shown."""
MAX_REASONS = 256
"""Names that are kept of ledgers' lines: a log is a stranger's."""
MAX_INIT_MS = 3_000
MAX_BILLED_ABOVE_MS = 200
"""More than `flush.hold_ms` allows, and than the platform's own share."""

_MARK = re.compile(r"spanpipe: (?:(debug|info|warning|error): |(shutdown [\w-]+: accepted ))")
_OF_LAMBDA = ("RequestId: ", "EXTENSION", "INIT_START", '"platform.')
"""One of them is in each line that the patterns below look for; most lines have none."""
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
_FAILED = re.compile(r'Status: (error|failure)|"status": ?"(error|failure)"')
_OF_WRITER = "; results go by file"
"""The end of what the writer says: the function has it, with the layer or without."""
_FIELDS = ("durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs")
_METRIC = re.compile(rf'"({"|".join(_FIELDS)})": ?([\d.]+)')
_SHUTDOWN = re.compile(r"shutdown ([\w-]+): (.*)")
_FIGURE = re.compile(r"\b(accepted|recovered|exported|printed|spooled|waiting|dropped) (\d{1,18})")
_COUNT = re.compile(r"\b(\w{1,64}) (\d{1,18})\b")
_UNCERTAIN = re.compile(r"uncertain (\d{1,18})")
_REASONS = re.compile(r"dropped \d+ \(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class _Report:
    """Lambda's report of one invocation, in its text form or as JSON."""

    duration_ms: float
    billed_ms: float
    size_mb: float
    used_mb: float
    init_ms: float


def _report(text: str) -> _Report | None:
    of_text = _REPORT.search(text)
    if of_text is not None:
        return _Report(*(_number(figure or "0") for figure in of_text.groups()))
    if '"platform.report"' not in text:
        return None
    figures = dict(_METRIC.findall(text))
    # Managed Instances report a duration alone.
    if not figures.keys() >= set(_FIELDS[:4]):
        return None
    return _Report(*(_number(figures.get(name, "0")) for name in _FIELDS))


def _number(figure: str) -> float:
    try:
        return float(figure)
    except ValueError:
        return 0.0  # "1.2.3": nothing that Lambda has written


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
    _reasons: dict[str, dict[str, int]] = field(default_factory=dict)
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
        if "resourceSpans" in plain and _PRINTED.search(plain):
            # Captured bodies are in it, which may say anything.
            self._note("spans_in_log", f"{len(text)} characters of OTLP JSON")
            return
        ours = list(_MARK.finditer(plain)) if "spanpipe: " in plain else []
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
            looked_at = counted(self.line_count, "line")
            yield found(SYMPTOMS[name], f"no line of the extension in {looked_at}")
        else:
            yield fine("layer", "the log has its extension")
        for name, seen in self._seen.items():
            yield found(SYMPTOMS[name], _told(seen))
        if self._left_in_spool:
            yield found(SYMPTOMS["left_in_spool"], counted(self._left_in_spool, "invocation"))
        if self._uncertain:
            yield found(SYMPTOMS["sent_perhaps_twice"], counted(self._uncertain, "invocation"))
        for name, counts in sorted(self._reasons.items()):
            if name in SYMPTOMS:
                yield found(SYMPTOMS[name], _dropped_and_noted(counts))
            else:
                # Of a release that is newer than this command.
                text = f"a reason that is not known here: {name}, {_dropped_and_noted(counts)}"
                yield found(SYMPTOMS["extension_warning"], text)
        if self._shutdowns:
            figures = ", ".join(f"{name} {count}" for name, count in self._figures.items())
            yield fine("ledger", f"{counted(self._shutdowns, 'shutdown')}: {figures}")

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
        name = signs.of_platform(text)
        if name is not None:
            self._note(name, text)
        if not any(word in text for word in _OF_LAMBDA):
            return
        self._has_ours = self._has_ours or _EXTENSION.search(text) is not None
        self._has_start = self._has_start or _START.search(text) is not None
        self._has_invocation = self._has_invocation or _INVOCATION.search(text) is not None
        report = _report(text)
        if report is None:
            return
        if report.used_mb >= report.size_mb and _FAILED.search(text):
            self._note("function_out_of_memory", text)
        if report.init_ms > MAX_INIT_MS:
            self._note("init_slow", text)
        if report.billed_ms - report.duration_ms - report.init_ms > MAX_BILLED_ABOVE_MS:
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
            if uncertain := _UNCERTAIN.fullmatch(other):
                self._uncertain += int(uncertain[1])
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
            if name not in self._reasons and len(self._reasons) >= MAX_REASONS:
                continue
            counts = self._reasons.setdefault(name, {})
            counts[what] = counts.get(what, 0) + int(count)


def _dropped_and_noted(counts: dict[str, int]) -> str:
    """``dropped: 3 invocations, 10 bytes; noted: 2``."""
    nouns = {"invocations": "invocation", "bytes": "byte"}
    listed = [counted(counts[what], noun) for what, noun in nouns.items() if what in counts]
    parts = [f"dropped: {', '.join(listed)}"] if listed else []
    if "noted" in counts:
        parts.append(f"noted: {counts['noted']}")
    return "; ".join(parts)


def _told(seen: _Seen) -> str:
    if seen.count == 1:
        return f"line {seen.line_number}: {seen.first}"
    return f"{seen.count} times, first in line {seen.line_number}: {seen.first}"
