"""Log records that say which span they were written in."""

import logging

from fifo.api import here


class TraceFilter(logging.Filter):
    """Sets `trace_id`, `span_id` (hexadecimal) and `trace_flags` on every record; drops none.

    Add it to a handler: ``handler.addFilter(TraceFilter())``. 32, 16 and 2 hexadecimal digits;
    outside an invocation all three are empty. Never raises.
    Source of the names: OpenTelemetry specification, "Trace Context in non-OTLP Log Formats".
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the three to `record`; always True."""
        now = here()
        record.trace_id = "" if now is None else now.trace_id.hex()
        record.span_id = "" if now is None else now.span_id.hex()
        record.trace_flags = "" if now is None else f"{now.flags:02x}"
        return True
