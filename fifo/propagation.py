"""Trace context in and out: headers in, a `Context` out, and back; no I/O.

The function must know its parent while it runs, so it reads the headers itself; tests hold it
to the verdicts of OpenTelemetry's own propagators. Sources: W3C Trace Context and Baggage;
openzipkin/b3-propagation; AWS X-Ray developer guide, "Tracing header"; OpenTelemetry
specification, "Propagators Distribution".

A carrier is a mapping of lower-case header names to texts.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

TRACECONTEXT = "tracecontext"
BAGGAGE = "baggage"
XRAY = "xray"
XRAY_LAMBDA = "xray-lambda"
B3 = "b3"
B3_MULTI = "b3multi"
NAMES = (TRACECONTEXT, BAGGAGE, XRAY, XRAY_LAMBDA, B3, B3_MULTI)
"""In the order of their bits in the control FIFO; the place of a name never changes."""
DEFAULT = (TRACECONTEXT, BAGGAGE)
NONE = "none"

SAMPLED = 0x01

MAX_TRACEPARENT = 512
"""As in OpenTelemetry's propagator."""
MAX_TRACESTATE = 512
"""What W3C asks one to pass on at least; a longer one is left out."""
MAX_TRACESTATE_MEMBERS = 32
MAX_BAGGAGE = 8192
MAX_XRAY = 1024
"""Lambda's own are below 300 characters."""

_HEX = "0123456789abcdef"
_KEY = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-*/")
_OWS = " \t"

HEADERS = (
    *("traceparent", "tracestate", "baggage", "x-amzn-trace-id", "b3"),
    *("x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"),
)
"""All that `extract` may look at."""


class Context:
    """A span somewhere else: `trace_id` 16 bytes, `span_id` 8, flags and tracestate."""

    __slots__ = ("flags", "span_id", "trace_id", "tracestate")

    def __init__(self, trace_id: bytes, span_id: bytes, flags: int, tracestate: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.tracestate = tracestate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (
            (self.trace_id, self.span_id, self.flags, self.tracestate)
            == (other.trace_id, other.span_id, other.flags, other.tracestate)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Context({traceparent(self.trace_id, self.span_id, self.flags)}, {self.tracestate})"


def names_in(text: str) -> "tuple[tuple[str, ...], str]":
    """(Known names in a list as ``OTEL_PROPAGATORS`` writes it, the first unknown one or "").

    ``none`` among them: no propagator at all, as the specification says.
    """
    found: list[str] = []
    unknown = ""
    given = [part.strip() for part in text.split(",")]
    if NONE in given:
        return (), ""
    for name in given:
        if name in NAMES:
            if name not in found:
                found.append(name)
        elif name and not unknown:
            unknown = name
    return tuple(found), unknown


# Context in


def extract(names: "Sequence[str]", carrier: "Mapping[str, str]") -> "Context | None":
    """The span that `carrier` names. Of several formats the last that names one counts.

    That is how a composite propagator of OpenTelemetry reads.
    """
    found = None
    for name in names:
        reader = _READERS.get(name)
        if reader is not None:
            found = reader(carrier) or found
    return found


def of_tracecontext(carrier: "Mapping[str, str]") -> "Context | None":
    """What ``traceparent`` and ``tracestate`` name."""
    header = carrier.get("traceparent")
    if not header or len(header) > MAX_TRACEPARENT:
        return None
    parts = header.strip(_OWS).split("-", 4)
    if len(parts) < 4 or (len(parts) == 5 and parts[0] == "00"):
        return None
    version, trace_text, span_text, flags_text = parts[:4]
    if version == "ff" or not (_is_hex(version, 2) and _is_hex(flags_text, 2)):
        return None
    ids = _ids(trace_text, span_text)
    if ids is None:
        return None
    return Context(*ids, int(flags_text, 16), valid_tracestate(carrier.get("tracestate", "")))


def of_b3(carrier: "Mapping[str, str]") -> "Context | None":
    """What ``b3``, else the headers ``x-b3-…`` name."""
    single = carrier.get("b3")
    flags = ""
    if single:
        if len(single) > MAX_TRACEPARENT:
            return None
        parts = single.split("-", 4)
        if not 2 <= len(parts) <= 4:
            return None
        trace_text, span_text = parts[0], parts[1]
        sampled = parts[2] if len(parts) > 2 else "1"
    else:
        trace_text = carrier.get("x-b3-traceid", "")
        span_text = carrier.get("x-b3-spanid", "")
        sampled = carrier.get("x-b3-sampled", "0")
        flags = carrier.get("x-b3-flags", "")
    if len(trace_text) == 16:
        trace_text = "0" * 16 + trace_text
    ids = _ids(trace_text.lower(), span_text.lower())
    if ids is None:
        return None
    return Context(*ids, SAMPLED if sampled in ("1", "True", "true", "d") or flags == "1" else 0)


def of_xray(carrier: "Mapping[str, str]") -> "Context | None":
    """What ``x-amzn-trace-id`` names."""
    return xray_context(carrier.get("x-amzn-trace-id", ""))


def xray_context(header: str) -> "Context | None":
    """The span that an X-Ray header names; its parts come in any order, unknown ones beside."""
    if not header or len(header) > MAX_XRAY:
        return None
    trace_text = span_text = sampled = ""
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not equals:
            if name:
                return None
        elif name == "Root":
            trace_text = value
        elif name == "Parent":
            span_text = value
        elif name == "Sampled":
            sampled = value
    if len(trace_text) != 35 or trace_text[:2] != "1-" or trace_text[10] != "-":
        return None
    ids = _ids((trace_text[2:10] + trace_text[11:]).lower(), span_text.lower())
    return None if ids is None else Context(*ids, SAMPLED if sampled == "1" else 0)


_READERS = {
    TRACECONTEXT: of_tracecontext,
    XRAY: of_xray,
    XRAY_LAMBDA: of_xray,
    B3: of_b3,
    B3_MULTI: of_b3,
}


def baggage_in(carrier: "Mapping[str, str]") -> str:
    """The baggage to pass on, as it came; "" where there is none or it is no header's text."""
    text = carrier.get("baggage", "")
    if not text or len(text) > MAX_BAGGAGE or not (text.isascii() and text.isprintable()):
        return ""
    return text


def _is_hex(text: str, count: int) -> bool:
    return len(text) == count and not text.strip(_HEX)


def _ids(trace_text: str, span_text: str) -> "tuple[bytes, bytes] | None":
    if not (_is_hex(trace_text, 32) and _is_hex(span_text, 16)):
        return None
    trace_id, span_id = bytes.fromhex(trace_text), bytes.fromhex(span_text)
    return (trace_id, span_id) if trace_id.strip(b"\0") and span_id.strip(b"\0") else None


def valid_tracestate(text: str) -> str:
    """`text` without blanks; "" where one of its members is none: then W3C drops it whole."""
    if not text or len(text) > MAX_TRACESTATE:
        return ""
    members: dict[str, str] = {}
    for part in text.split(","):
        member = part.strip(_OWS)
        if not member:
            continue
        key, equals, value = member.partition("=")
        if not equals or key in members or not _is_member(key, value):
            return ""
        members[key] = value
    if len(members) > MAX_TRACESTATE_MEMBERS:
        return ""
    return ",".join([f"{key}={value}" for key, value in members.items()])


def tracestate_cut(names: "Sequence[str]", carrier: "Mapping[str, str]") -> int:
    """Characters of a tracestate that is over the bound, and so is left out whole; else 0."""
    count = len(carrier.get("tracestate", ""))
    return count if count > MAX_TRACESTATE and TRACECONTEXT in names else 0


def _is_member(key: str, value: str) -> bool:
    if not (0 < len(value) <= 256 and value.isascii() and value.isprintable()):
        return False
    if "=" in value or value[-1] == " ":
        return False
    tenant, at, system = key.partition("@")
    if at:
        return (
            0 < len(tenant) <= 241
            and 0 < len(system) <= 14
            and _KEY.issuperset(tenant)
            and _KEY.issuperset(system)
            and tenant[0] not in "_-*/"
            and "a" <= system[0] <= "z"
        )
    return 0 < len(key) <= 256 and _KEY.issuperset(key) and "a" <= key[0] <= "z"


# Context out


def traceparent(trace_id: bytes, span_id: bytes, flags: int) -> str:
    """``00-…``, of version 0, whose only flags are ``sampled`` and ``random``."""
    return f"00-{trace_id.hex()}-{span_id.hex()}-{flags & 0x03:02x}"


def inject(
    names: "Sequence[str]",
    headers: "MutableMapping[str, str]",
    here: Context,
    baggage: str = "",
) -> None:
    """Set the headers that `names` write, for the span `here`."""
    sampled = "1" if here.flags & SAMPLED else "0"
    for name in names:
        if name == TRACECONTEXT:
            headers["traceparent"] = traceparent(here.trace_id, here.span_id, here.flags)
            if here.tracestate:
                headers["tracestate"] = here.tracestate
        elif name == BAGGAGE:
            if baggage:
                headers["baggage"] = baggage
        elif name in (XRAY, XRAY_LAMBDA):
            root = here.trace_id.hex()
            headers["X-Amzn-Trace-Id"] = (
                f"Root=1-{root[:8]}-{root[8:]};Parent={here.span_id.hex()};Sampled={sampled}"
            )
        elif name == B3:
            headers["b3"] = f"{here.trace_id.hex()}-{here.span_id.hex()}-{sampled}"
        elif name == B3_MULTI:
            headers["x-b3-traceid"] = here.trace_id.hex()
            headers["x-b3-spanid"] = here.span_id.hex()
            headers["x-b3-sampled"] = sampled
