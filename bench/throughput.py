"""Results through FIFO, span and OTLP: how many a second on one core, and how it all grows.

The real extension has one core to itself; the function's writer, the Extensions API and the
collector have the other. CPU time and memory are the extension's. See bench/BASELINES.md.

    python -m bench.throughput [--invocations 20000] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from bench.driven import Driven
from bench.measure import percentile
from bench.otlp_lines import invocation as finished
from bench.processes import main_thread_cpu_s, memory_mb, reset_peak
from bench.progress import Progress
from bench.redaction import body
from bench.results import Report, arguments
from chaos.ledger_line import parse
from collectors.apart import Collector
from exporter.encoder import encode
from exporter.spans import SpanBuilder
from fifo.writer import Invocation, Writer
from sandbox.faults import Answer

Work = Callable[[Writer, Invocation], None]
SMALL = {"ok": True, "order": 1234, "text": "x" * 160}
"""200 B as JSON."""
BATCH = 512
"""As many as are due by default."""
PAYLOADS = {
    "200 B": 200,
    "2 KiB": 2048,
    "32 KiB": 32_768,
    "256 KiB": 262_144,
    "1 MiB": 1024 * 1024,
    "6 MiB": 6_000_000,
}
"""The last is under Lambda's own 6 MiB, so that it is not cut."""
CHILDREN = (0, 1, 10, 100, 1000)
QUIET_S = 1.5
"""Without a span: no batch is on its way any more. On a Managed Instance the extension looks for
what has ended once a second where nothing else wakes it."""
PACE_S = 1 / 400
"""Between invocations of the long life; back to back is told of before."""
RATE, EXPONENT = 0.5, 1.1
STEADY_MB, FLAT_MB, PEAK_MB = 40, 1, 160
"""The last is for results of 6 MiB: stated here, by what a body is copied at the most."""
LARGE: dict[str, Any] = {
    "capture": {"max_body_bytes": 6_291_456},
    "limits": {"max_request_bytes": 67_108_864},
}


def say(value: object) -> Work:
    """A result and nothing else."""
    return lambda writer, invocation: writer.result(invocation, value)


def say_with_children(count: int) -> Work:
    """So many child spans before the result."""

    def work(writer: Writer, invocation: Invocation) -> None:
        now = time.time_ns()
        for _ in range(count):
            span_id = writer.identifiers.of_span()
            writer.span(invocation, span_id, None, now, "query", {"db.rows": 3}, None)
        writer.result(invocation, SMALL)

    return work


def cores() -> tuple[int | None, set[int]]:
    """The extension's core, and what is left for the others."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], set(usable[1:])) if len(usable) > 1 else (None, set(usable))


@contextlib.contextmanager
def driven(
    config: Mapping[str, Any], *, managed: bool = False
) -> Iterator[tuple[Driven, Collector]]:
    """The extension, its imports done, and a collector; this process stays on the other core."""
    before = os.sched_getaffinity(0)
    own, others = cores()
    os.sched_setaffinity(0, others)
    receiver = Collector(Answer())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as folder,
            Driven(Path(folder), receiver.endpoint, config, own, managed=managed) as extension,
        ):
            (extension.invoke_unasked if managed else extension.invoke)(say(SMALL))
            extension.settle()
            yield extension, receiver
    finally:
        receiver.close()
        os.sched_setaffinity(0, before)


def exported(report: Report, extension: Driven, receiver: Collector, expected: int) -> float:
    """End it; the part of `expected` spans that came: under 1 is loss, over 1 came twice."""
    ledgers = [line for line in extension.shut_down() if parse(line) is not None]
    count = receiver.span_count()
    if count != expected or not ledgers:
        told = f"`{ledgers[0]}`" if ledgers else "the extension said nothing"
        report.note(f"Of {expected:,} spans {count:,} came: {told}.")
    return count / expected


def convert(pipe: Any, seconds: float, *, ours: bool) -> None:
    """Spans a second of conversion alone, in a process on the extension's core."""
    own, _ = cores()
    if own is not None:
        os.sched_setaffinity(0, {own})
    text = json.dumps(SMALL).encode()
    records = [finished(number, text) for number in range(1, BATCH + 1)]
    builder = SpanBuilder()
    spans = builder.spans(records)

    def rebuilt() -> list[ReadableSpan]:
        return [
            ReadableSpan(
                name=one.name,
                context=one.context,
                parent=one.parent,
                resource=one.resource,
                attributes=dict(one.attributes or {}),
                events=one.events,
                links=one.links,
                kind=one.kind,
                status=one.status,
                start_time=one.start_time,
                end_time=one.end_time,
                instrumentation_scope=one.instrumentation_scope,
            )
            for one in spans
        ]

    taken: list[float] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s or len(taken) < 3:
        began_s = time.perf_counter()
        if ours:
            encode(builder.spans(records))
        else:
            encode_spans(rebuilt()).SerializeToString()
        taken.append(time.perf_counter() - began_s)
    pipe.send(BATCH / percentile(taken, 0.5))


def conversion_rate(seconds: float, *, ours: bool) -> float:
    """Of a process of its own."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=convert, args=(there, seconds), kwargs={"ours": ours})
    process.start()
    rate: float = here.recv()
    process.join()
    return rate


class Through(NamedTuple):
    """What results cost from FIFO to accepted: the rate, CPU of all threads, of the loop's; what
    part of the spans came."""

    rate: float
    cpu_s: float
    loop_s: float
    came: float


def through(report: Report, count: int, *, managed: bool) -> Through:
    """`count` results of 200 B: one after the other, or as on a Managed Instance."""
    config = {} if managed else {"flush": {"mode": "next"}}
    with driven(config, managed=managed) as (extension, receiver):
        invoke = extension.invoke_unasked if managed else extension.invoke
        cpu_s, loop_s = extension.cpu_s, main_thread_cpu_s(extension.pid)
        began_s = time.monotonic()
        for _ in range(count):
            invoke(say(SMALL))
        arrived, last_s = arrivals(receiver) if managed else (0, 0.0)
        loop_s = main_thread_cpu_s(extension.pid) - loop_s
        worker_s = extension.cpu_s - cpu_s - loop_s
        came = exported(report, extension, receiver, count + 1)
        if managed:
            # The last few wait for a batch of their own, or for SHUTDOWN.
            rate, converted = arrived / (last_s - began_s), arrived
        else:
            rate, converted = count / (time.monotonic() - began_s), count
        return Through(rate, loop_s / count + worker_s / converted, loop_s / count, came)


def arrivals(receiver: Collector) -> tuple[int, float]:
    """How many spans have come once none has for a while, and when the last came."""
    count, last_s = receiver.span_count(), time.monotonic()
    while time.monotonic() - last_s < QUIET_S:
        time.sleep(0.01)
        found = receiver.span_count()
        if found != count:
            count, last_s = found, time.monotonic()
    return count, last_s


def small_results(report: Report, count: int, seconds: float, rounds: int) -> None:
    """The rate end to end, against conversion alone, in turn."""
    plain: list[float] = []
    converted: list[float] = []
    asked: list[Through] = []
    unasked: list[Through] = []
    for _ in range(rounds):
        plain.append(conversion_rate(seconds, ours=False))
        converted.append(conversion_rate(seconds, ours=True))
        asked.append(through(report, count, managed=False))
        unasked.append(through(report, count, managed=True))
    floor, own = percentile(plain, 0.5), percentile(converted, 0.5)

    def row(name: str, runs: Sequence[Through]) -> tuple[str, list[Any]]:
        rate = percentile([one.rate for one in runs], 0.5)
        cpu = percentile([one.cpu_s for one in runs], 0.5) * 1e6
        loop = percentile([one.loop_s for one in runs], 0.5) * 1e6
        return name, [rate, rate / floor, cpu, loop, cpu - loop]

    with_events = row("FIFO to accepted, an event for each", asked)
    without = row("FIFO to accepted, a Managed Instance: no events", unasked)
    report.table(
        f"results of 200 B on one core, {count:,} invocations, median of {rounds}",
        ["spans/s", "× the first", "CPU µs a span", "of it the loop's", "the worker's"],
        [
            ("ReadableSpan + encode_spans alone", [floor, 1.0, 1e6 / floor, None, None]),
            ("our conversion and encoding alone", [own, own / floor, 1e6 / own, None, None]),
            with_events,
            without,
        ],
    )
    text = "small results end to end over ReadableSpan + encode_spans"
    report.target(text, with_events[1][1], RATE, at_least=True)
    report.target(f"{text}, a Managed Instance", without[1][1], RATE, at_least=True)
    came = min(one.came for one in (*asked, *unasked))
    report.target("spans that came, back to back", came, 1.0, at_least=True)


class Grown(NamedTuple):
    """`work` of this size, so often; `spans` of each."""

    size: int
    work: Work
    count: int
    spans: int = 1


def growth(
    report: Report,
    title: str,
    config: Mapping[str, Any],
    works: Mapping[str, Grown],
) -> dict[str, float]:
    """CPU time by size, fitted; peak memory of each.

    In mode `end` an invocation's span is accepted before the next event is asked for, so that
    each one's cost is its own.
    """
    cpu: list[tuple[float, float]] = []
    rows: list[tuple[str, list[Any]]] = []
    peaks: dict[str, float] = {}
    progress = Progress(f"growth with {title}", sum(one.count for one in works.values()))
    with driven({**config, "flush": {"mode": "end"}}) as (extension, receiver):
        for name, one in works.items():
            extension.invoke(one.work)
            reset_peak(extension.pid)
            cpu_s, began_s = extension.cpu_s, time.monotonic()
            for _ in range(one.count):
                extension.invoke(one.work)
                progress.step()
            lasted_s = time.monotonic() - began_s
            used_s = (extension.cpu_s - cpu_s) / one.count
            peaks[name] = memory_mb(extension.pid, "VmHWM")
            cpu.append((one.size, used_s))
            rows.append((name, [one.count, used_s * 1e3, one.count / lasted_s, peaks[name]]))
        spans = 1 + sum((one.count + 1) * one.spans for one in works.values())
        exported(report, extension, receiver, spans)
    columns = ["n", "CPU ms an invocation", "invocations/s", "peak RSS MB"]
    report.table(f"growth with {title}, mode end", columns, rows)
    report.target(f"CPU time, exponent of {title}", exponent(cpu), EXPONENT, "")
    return peaks


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Of cost by size: least squares on logarithms where the cost is over twice the smallest's."""
    least = min(cost for _, cost in points)
    kept = [(math.log(size), math.log(cost)) for size, cost in points if cost > 2 * least and size]
    if len(kept) < 2:
        kept = [(math.log(size), math.log(cost)) for size, cost in points if size]
    mean_x = sum(x for x, _ in kept) / len(kept)
    mean_y = sum(y for _, y in kept) / len(kept)
    above = sum((x - mean_x) * (y - mean_y) for x, y in kept)
    return above / sum((x - mean_x) ** 2 for x, _ in kept)


def lifetime(report: Report, count: int) -> None:
    """CPU time and memory over a long life with small results, at a pace that leaves some time."""
    points = sorted({max(1, count // part) for part in (100, 10, 4, 2, 1)})
    rows: list[tuple[str, list[Any]]] = []
    resident: list[float] = []
    progress = Progress("a long life", count)
    with driven({"flush": {"mode": "next"}}) as (extension, receiver):
        rows.append(("idle", [0, None, memory_mb(extension.pid), None]))
        done, cpu_s, due_s = 0, extension.cpu_s, time.monotonic()
        for point in points:
            for _ in range(point - done):
                due_s = max(due_s, time.monotonic() - PACE_S) + PACE_S
                time.sleep(max(0.0, due_s - time.monotonic()))
                extension.invoke(say(SMALL))
                progress.step()
            used_s = extension.cpu_s - cpu_s
            resident.append(memory_mb(extension.pid))
            peak = memory_mb(extension.pid, "VmHWM")
            cost = used_s / (point - done) * 1e6
            rows.append((f"{point:,} invocations", [point, cost, resident[-1], peak]))
            done, cpu_s = point, extension.cpu_s
        came = exported(report, extension, receiver, count + 1)
    report.table(
        f"a long life in mode next, small results, {1 / PACE_S:.0f} a second at most",
        ["invocations", "CPU µs an invocation", "RSS MB", "peak RSS MB"],
        rows,
    )
    report.target("spans that came, of a long life", came, 1.0, at_least=True)
    report.target("RSS steady with HTTP export", resident[-1], STEADY_MB, "MB")
    grown = resident[-1] - resident[1]
    report.target(f"RSS growth from {points[1]:,} to {count:,} invocations", grown, FLAT_MB, "MB")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--invocations", type=int, help="of the long life: 100000 take over four minutes"
    )
    options = parser.parse_args()
    quick = options.quick
    part = 8 if quick else 1
    report = Report(
        "throughput",
        options,
        ("fifo", "extension", "exporter"),
        "The real extension on a core of its own, driven as fast as it asks for events. CPU time "
        "and memory are the extension's.",
    )
    small_results(report, 1000 if quick else 10_000, 0.3 if quick else 3.0, 1 if quick else 3)
    by_payload = {
        name: Grown(size, say(json.loads(body(size))), max(3, min(200, 10_000_000 // size) // part))
        for name, size in PAYLOADS.items()
    }
    peaks = growth(report, "payload", LARGE, by_payload)
    report.target("peak RSS with 6 MiB results", peaks["6 MiB"], PEAK_MB, "MB")
    by_children = {
        f"{count:,}": Grown(
            count, say_with_children(count), max(3, 4000 // (count + 20) // part), count + 1
        )
        for count in CHILDREN
    }
    growth(report, "child spans", {}, by_children)
    lifetime(report, options.invocations or (2000 if quick else 20_000))
    report.finish()


if __name__ == "__main__":
    main()
