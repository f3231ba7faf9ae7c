"""What the bounds allow: the time and memory that the most of each thing takes.

A bound on bytes or counts is chosen by what it costs to work through as much; its reason stands
beside it in the code, and the figure here.

    python -m bench.bounds [--runs 30] [--quick] [--json FILE] [--results DIR]
"""

from __future__ import annotations

from collections.abc import Callable

from bench.measure import interleaved
from bench.otlp_lines import invocation, timed
from bench.processes import grown_mb
from bench.results import Report, arguments
from exporter.encoder import encode
from exporter.log_lines import LogLine
from exporter.logs import LogBuilder
from exporter.record import ChildSpan, Environment
from exporter.record_json import to_json
from exporter.redaction import Redactor
from exporter.settings import RequestLimits
from exporter.spans import SpanBuilder
from exporter.values import replace
from exporter.weight import weight_bytes
from extension.function_logs import LENT_LINES
from fifo import wire
from fifo.otlp_bytes import MAX_FIELDS, spans_in

SPANS = RequestLimits().max_spans
SPOOLED = 256
"""Records, as `extension/spool.py` reckons with."""
CHILDREN = 1_000
TWO_BYTES = b"\x18\x00"
"""The shortest field that protobuf has: number 3, a varint, 0."""
LINE = (
    b'{"time": "2022-10-12T00:03:50.000Z", "type": "function", "record": {"timestamp":'
    b' "2022-10-12T00:03:50.000Z", "level": "INFO", "message": "order 1234 taken", "logger":'
    b' "shop", "requestId": "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab"}}'
)
PARSED = "8 MiB of [], parsed"
SEEN = "262,144 span IDs remembered"
GROWN = {
    PARSED: (
        "import json\ntext = b'[' + b'[],' * (8 * 1024 * 1024 // 3) + b'0]'\n",
        "kept = json.loads(text)\n",
    ),
    SEEN: (
        "import os\nfrom spanpipe.batches import MAX_SEEN, _Seen\nseen = _Seen(MAX_SEEN)\n",
        "for _ in range(MAX_SEEN):\n    seen.is_new(os.urandom(24))\n",
    ),
}
"""What is made ready, and what memory is then taken by."""


def claims() -> bytes:
    """A file's longest body, which claims at its beginning that more long bodies begin there than
    are read through, none of which has its checksum."""
    length = wire.MAX_FILE_BODY_BYTES // 2
    head = bytearray(wire.encode_frame(2, 7, 1, b""))
    head[16:20] = length.to_bytes(4, "big")
    claimed = bytes(head) * (wire.MAX_REFUTED_BYTES // length + 1)
    return claimed + b"x" * (wire.MAX_FILE_BODY_BYTES - len(claimed))


def contestants() -> dict[str, Callable[[], float]]:
    """Each bound's most, by what it is."""
    fields, hostile = TWO_BYTES * MAX_FIELDS, claims()
    records = [invocation(n, b'{"a":1}') for n in range(1, SPANS + 1)]
    spans = SpanBuilder().spans(records)
    with_children = replace(
        records[0],
        children=tuple(
            ChildSpan(n.to_bytes(8, "big"), None, "query", n, n + 1) for n in range(1, CHILDREN + 1)
        ),
    )
    environment = Environment("shop", "7", region="eu-west-1", memory_mb=128, log_stream="s")
    lines = [LogLine(LINE, n, environment) for n in range(LENT_LINES)]
    builder = LogBuilder(SpanBuilder().resource, Redactor(), "1")
    return {
        f"{MAX_FIELDS:,} fields of an OTLP message walked": timed(lambda: spans_in(fields)),
        f"{wire.MAX_REFUTED_BYTES >> 20} MiB of bodies with a wrong checksum, read": timed(
            lambda: wire.Decoder(wire.MAX_FILE_BODY_BYTES).feed(hostile, settle=True)
        ),
        f"{SPANS:,} spans encoded": timed(lambda: encode(spans)),
        f"{LENT_LINES:,} log lines converted": timed(lambda: [*map(builder.record, lines)]),
        f"{SPOOLED} records written down": timed(lambda: to_json(records[:SPOOLED])),
        f"{CHILDREN:,} child spans written down": timed(lambda: to_json([with_children])),
    }


def child_bytes() -> int:
    """What one child span adds to its record's weight."""
    bare = invocation(1, b"")
    with_child = replace(bare, children=(ChildSpan(b"\1" * 8, None, "query", 1, 2),))
    return weight_bytes(with_child) - weight_bytes(bare)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    report = Report(
        "bounds",
        options,
        ("exporter", "extension/function_logs.py", "fifo", "spanpipe/batches.py"),
        "What a bound on bytes or counts allows: time and memory that the most of it takes.",
    )
    runs = options.runs or (3 if options.quick else 30)
    report.timings("time for the most", interleaved(contestants(), runs), "ms")
    report.table(
        "memory for the most", ["MB"], [(name, [grown_mb(*of)]) for name, of in GROWN.items()]
    )
    report.table("weight", ["bytes"], [("a child span without attributes", [child_bytes()])])
    report.finish()


if __name__ == "__main__":
    main()
