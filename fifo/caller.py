"""Who invoked the function: an event's headers and trigger, as START tells of them; no I/O."""

from fifo import messages, propagation, triggers
from fifo.bounded_json import attributes_field
from fifo.fields import encode_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def parent_of(
    names: "Sequence[str]", found: triggers.Found, xray_header: str
) -> "propagation.Context | None":
    """The span that the propagators `names` find; the runtime's X-Ray header is one carrier."""
    if xray_header and (propagation.XRAY in names or propagation.XRAY_LAMBDA in names):
        found.carrier.setdefault("x-amzn-trace-id", xray_header)
    return propagation.extract(names, found.carrier) if found.carrier else None


def context_fields(
    names: "Sequence[str]", found: triggers.Found, parent: "propagation.Context | None"
) -> bytes:
    """What START says of the caller; nothing where nobody has said anything."""
    fields = b""
    if parent is not None:
        text = propagation.traceparent(parent.trace_id, parent.span_id, parent.flags)
        fields = encode_field(messages.TAG_PARENT, text)
        fields += encode_field(messages.TAG_TRACESTATE, parent.tracestate)
    cut = propagation.tracestate_cut(names, found.carrier) if parent is not None else 0
    if found.trigger == triggers.OTHER and not cut and not found.carriers:
        return fields
    attributes: dict[str, object] = {"faas.trigger": found.trigger, **found.attributes}
    if cut:
        attributes["spanpipe.tracestate.cut"] = cut
    if found.cut_count:
        attributes["spanpipe.links.cut"] = found.cut_count
    if found.carriers:
        links = []
        for carrier in found.carriers:
            link = propagation.extract(names, carrier)
            if link is None:
                link = propagation.of_xray(carrier)
            if link is not None:
                links.append(propagation.traceparent(link.trace_id, link.span_id, link.flags))
        fields += encode_field(messages.TAG_LINKS, " ".join(links))
    fields += encode_field(messages.TAG_SPAN_NAME, found.name)
    return fields + attributes_field(attributes, messages.TAG_TRIGGER_ATTRIBUTES)
