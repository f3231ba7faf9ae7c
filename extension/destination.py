"""Whether an exporter's settings can work: endpoint, headers and TLS, file and variables joined.

Checked once, after everything that may set them: what is wrong here would otherwise fail every
export. Each problem is told at the file's place or the variable that the value came from.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit

from exporter.settings import OTLP_GRPC, ExporterSettings, HeaderValue, SecretText
from exporter.values import replace
from extension.problems import Origin, Problem, shown
from extension.settings import ReceiverSettings

_HTTP_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2: a token."""
_GRPC_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+(?<!-bin)")
"""gRPC over HTTP/2, "Requests": other names are reserved or hold bytes."""
_HEADER_VALUE = re.compile(r"(?! )[ -~]*(?<! )")
"""What both carry: printable ASCII."""

_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What stands in a credential's scope."""

MAX_PORT = 65_535
MAX_SECRETS = 16
"""Each is a request to AWS, over and over."""
TRACES_PATH = "/v1/traces"
"""OTLP specification, "OTLP/HTTP Request"."""


def with_scheme(exporter: ExporterSettings) -> ExporterSettings:
    """A gRPC endpoint may be ``host:port``: then it is TLS unless `insecure` is set."""
    if exporter.protocol == OTLP_GRPC and "://" not in exporter.endpoint:
        scheme = "http" if exporter.tls.insecure else "https"
        exporter = replace(exporter, endpoint=f"{scheme}://{exporter.endpoint}")
    # It has had its effect: an endpoint always names its scheme from here on.
    return replace(exporter, tls=replace(exporter.tls, insecure=False))


def with_region(
    exporter: ExporterSettings, environ: Mapping[str, str], origins: dict[str, Origin]
) -> ExporterSettings:
    """What is signed for the function's own region, unless the file names one."""
    sigv4 = exporter.sigv4
    if sigv4 is None or sigv4.region:
        return exporter
    from extension.aws_endpoints import region_in

    region, variable = region_in(environ)
    if region:
        origins["auth.sigv4.region"] = variable
    return replace(exporter, sigv4=replace(sigv4, region=region))


def with_signal(exporter: ExporterSettings, signal: str) -> ExporterSettings:
    """`signal` goes beside traces, as OTLP lays its paths out, unless it has a URL of its own."""
    endpoint = exporter.endpoints.get(signal) or _beside(exporter.endpoint, f"/v1/{signal}")
    return with_endpoint(exporter, signal, endpoint)


def with_endpoint(
    exporter: ExporterSettings, signal: str, endpoint: str | None
) -> ExporterSettings:
    """`exporter` with a URL for `signal`; None: it has none."""
    endpoints = {**exporter.endpoints, **({signal: endpoint} if endpoint is not None else {})}
    return replace(exporter, endpoints=endpoints)


def _beside(endpoint: str, path: str) -> str | None:
    """The URL for another signal; None where that of traces does not end as OTLP's does."""
    parts = urlsplit(endpoint)
    if not parts.path.endswith(TRACES_PATH):
        return None
    return urlunsplit(parts._replace(path=parts.path.removesuffix(TRACES_PATH) + path))


def signal_problem(exporter: ExporterSettings, signal: str) -> str | None:
    """Why `signal`, which is asked for, has nowhere to go."""
    if exporter.protocol == OTLP_GRPC:
        return None
    endpoint = exporter.endpoints.get(signal)
    if endpoint is None:
        name = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
        return f"needs an endpoint that ends in {TRACES_PATH}, or {name}"
    return endpoint_problem(endpoint, exporter.protocol)


def loop_problem(exporter: ExporterSettings, receiver: ReceiverSettings) -> str | None:
    """Why spans would come back to where they are sent from."""
    parts = urlsplit(exporter.endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if receiver.enabled and port == receiver.port and _is_loopback(parts.hostname or ""):
        return (
            f"listens at port {port}, where the exporter sends to: name the collector in "
            f"exporter.{exporter.protocol}.endpoint, or another port"
        )
    return None


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


def problems(exporter: ExporterSettings, origins: Mapping[str, Origin]) -> list[Problem]:
    """What is wrong with `exporter`; reads the files that TLS names."""
    root = f"exporter.{exporter.protocol}"
    found = [
        *((f"auth.sigv4{path}", text) for path, text in _signing_problems(exporter)),
        (f"{root}.endpoint", endpoint_problem(exporter.endpoint, exporter.protocol)),
        *((f"{root}.{path}", text) for path, text in _header_problems(exporter)),
        *((f"{root}.tls.{path}", text) for path, text in _tls_problems(exporter)),
    ]
    return [
        Problem(origins.get(path, "default"), shown(path), text) for path, text in found if text
    ]


_OF_SIGNATURE = re.compile(r"authorization|x-amz-(date|security-token|content-sha256)", re.I)


def _signing_problems(exporter: ExporterSettings) -> Iterator[tuple[str, str]]:
    sigv4 = exporter.sigv4
    if sigv4 is None:
        return
    from extension.aws_endpoints import is_region

    if exporter.protocol == OTLP_GRPC:
        yield ".service", "signs HTTP requests alone, and AWS takes no gRPC: use otlp_http"
    elif not sigv4.region:
        yield ".region", "needs a region: write one, or set AWS_REGION"
    elif not is_region(sigv4.region):
        yield ".region", f"is {shown(sigv4.region)!r}, must be a region's name, such as eu-west-1"
    if not _SERVICE.fullmatch(sigv4.service):
        yield ".service", f"is {shown(sigv4.service)!r}, must be a signing name, such as xray"
    if "@" in urlsplit(exporter.endpoint).netloc:
        yield ".service", "and a user in the endpoint exclude each other; keep one"
    for name in exporter.headers:
        if _OF_SIGNATURE.fullmatch(name):
            yield ".service", f"writes the header {shown(name)} itself; leave it out of headers"


def endpoint_problem(endpoint: str, protocol: str) -> str | None:
    """What is wrong with an endpoint, which is not repeated: it may hold credentials."""
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        return "holds a space or a character that a URL cannot hold"
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return "is no URL with a valid port"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be a URL that begins with http:// or https:// and names a host"
    if port == 0:
        return f"has port 0, must be from 1 to {MAX_PORT}"
    if protocol == OTLP_GRPC and (parts.path.strip("/") or parts.query or "@" in parts.netloc):
        return "for gRPC is scheme, host and port alone; with a path it is for otlp_http"
    return None


def _header_problems(exporter: ExporterSettings) -> Iterator[tuple[str, str]]:
    if len(exporter.secrets) > MAX_SECRETS:
        yield "headers", f"name {len(exporter.secrets)} secrets, must be at most {MAX_SECRETS}"
    for name, value in exporter.headers.items():
        path = f"headers.{name}"
        if exporter.protocol == OTLP_GRPC:
            if not _GRPC_NAME.fullmatch(name.lower()):
                yield path, "is no name that gRPC can carry: letters, digits, - _ ."
        elif not _HTTP_NAME.fullmatch(name):
            yield path, "is no header's name: letters, digits and - for most"
        if not can_be_header(value):
            yield path, "its value must be printable ASCII without a line break or outer spaces"


def can_be_header(value: HeaderValue) -> bool:
    """Whether it can be sent; of one with secrets in it, what is known."""
    if isinstance(value, SecretText):
        # Between what is outside, where no blank may stand, and a stand-in for each secret.
        value = value.filled(dict.fromkeys(value.references, "x"))
    return _HEADER_VALUE.fullmatch(value) is not None


def _tls_problems(exporter: ExporterSettings) -> Iterator[tuple[str, str]]:
    tls = exporter.tls
    if tls.cert_file and not tls.key_file:
        yield "cert_file", "needs key_file too"
    if tls.key_file and not tls.cert_file:
        yield "key_file", "needs cert_file too"
    if not exporter.endpoint.startswith("https://"):
        return  # nothing reads them
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(tls, name)
        if not path:
            continue
        try:
            # A FIFO of that name must not hold up the thread that reads.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    yield name, "is no regular file"
                else:
                    stream.read(1)
        except (OSError, ValueError) as error:
            yield name, f"cannot be read: {getattr(error, 'strerror', None) or error}"
