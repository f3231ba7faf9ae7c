"""OTLP over HTTP through the library's exporter, with its traps taken out.

The stock exporter takes redirects and partial success for success, retries on its own clock,
its timeout is one for each read, so that a body that drips outlives it, and it compresses as
slowly as it can. Here it only posts: our session judges the answer and fails in a way that it
does not retry, every socket is recorded, and at the deadline they are shut down under it.
"""

from __future__ import annotations

import gzip
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import requests
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http import Compression
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter.outcome import (
    FAULT,
    Authorization,
    KeyMissingError,
    Outcome,
    Verdict,
    shown_endpoint,
)
from exporter.settings import ExporterSettings
from exporter.signals import Signal, endpoint_of, http_exporter, signal_of
from exporter.values import replace

MAX_ANSWER_BYTES = 65_536
"""An answer is a few bytes of protobuf; more is not read."""

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
"""OTLP specification, "Retryable Response Codes"."""
SUCCESS_STATUSES = frozenset({200, 202})
"""OTLP says 200; Datadog's intake says 202, and what has arrived must not count as dropped."""
TOO_LARGE_STATUS = 413
DENIED_STATUSES = frozenset({401, 403})
"""A key may be rotating: what a wrong one refuses is kept."""
_SIGNED_HEADERS = ("Content-Type", "Content-Encoding")
"""Beside what signing adds: a proxy may change others."""

GZIP_LEVEL = 1
"""Of JSON a seventh more bytes than by the library's 9, in a quarter of the time or less."""
_GZIP = {"Content-Encoding": "gzip"}

# The library logs each failure in its own words; ours are in the outcome.
_silent = logging.getLogger("spanpipe.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class _JudgedError(Exception):
    """Carries an outcome out of the library, which retries no error of a kind it cannot know."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class _Wires:
    """The sockets in use, so that another thread can end what is going on in them.

    A duplicate of each descriptor is kept: TLS takes the first one over, and shutting down
    either shuts down the connection. At the deadline a thread of its own does; it is kept, since
    to begin one takes a fifth of what a request does.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._watchdog: threading.Thread | None = None
        self._is_watched = False
        self._wakes_s = math.inf
        self._duplicates: dict[int, socket.socket] = {}
        self._cut = False
        self.connected = False
        self.sent = False
        self.until_s = 0.0

    def begin(self, until_s: float) -> None:
        with self._lock:
            self._cut = False
            self.connected = False
            self.sent = False
            self.until_s = until_s
            self._is_watched = True
            if self._watchdog is None:
                self._watchdog = threading.Thread(
                    target=self._watch, name="spanpipe-deadline", daemon=True
                )
                self._watchdog.start()
            elif until_s < self._wakes_s:
                self._lock.notify()

    def end(self) -> None:
        """The request is over before its deadline, at which the thread may still wake up."""
        with self._lock:
            self._is_watched = False

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._watchdog = None
            self._lock.notify()

    def cut(self) -> None:
        with self._lock:
            self._shut_down()

    def _shut_down(self) -> None:
        self._cut = True
        for duplicate in self._duplicates.values():
            try:
                duplicate.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not connected, or not any more

    def _watch(self) -> None:
        with self._lock:
            while threading.current_thread() is self._watchdog:
                if self._is_watched and time.monotonic() >= self.until_s:
                    self._shut_down()
                    self._is_watched = False
                self._wakes_s = self.until_s if self._is_watched else math.inf
                self._lock.wait(self._wakes_s - time.monotonic() if self._is_watched else None)

    @property
    def is_cut(self) -> bool:
        return self._cut

    def left_s(self) -> float:
        """Until the deadline; raises TimeoutError after it, or once cut."""
        left_s = self.until_s - time.monotonic()
        if self._cut or left_s <= 0:
            raise TimeoutError("the time for this export is over")
        return left_s

    def record(self, key: int, connected: socket.socket) -> None:
        with self._lock:
            self._close(key)
            self._duplicates[key] = connected.dup()
            self.connected = True

    def forget(self, key: int) -> None:
        with self._lock:
            self._close(key)

    def _close(self, key: int) -> None:
        duplicate = self._duplicates.pop(key, None)
        if duplicate is not None:
            duplicate.close()


def _connect(wires: _Wires, key: int, host: str, port: int) -> socket.socket:
    """A connected socket within the time that is left, over all addresses together."""
    last: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        left_s = wires.left_s()
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(left_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wires.record(key, made)
            made.connect(address)
        except OSError as error:
            made.close()
            wires.forget(key)
            last = error
        else:
            return made
    raise last or OSError(f"{host} has no address")


class _Recorded:
    """What both kinds of connection do alike; mixed into urllib3's."""

    wires: ClassVar[_Wires]

    def _new_conn(self: Any) -> socket.socket:
        return _connect(self.wires, id(self), self._dns_host, self.port)

    def send(self: Any, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.wires.left_s()
        self.wires.sent = True
        super().send(data)  # type: ignore[misc]

    def close(self: Any) -> None:
        self.wires.forget(id(self))
        super().close()  # type: ignore[misc]


class _Adapter(HTTPAdapter):
    """Pools whose connections are recorded, behind a proxy too; no retries of its own."""

    def __init__(self, wires: _Wires) -> None:
        plain = type("PlainConnection", (_Recorded, HTTPConnection), {"wires": wires})
        tls = type("TlsConnection", (_Recorded, HTTPSConnection), {"wires": wires})
        self._pool_classes = {
            "http": type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("TlsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager


class _Session(requests.Session):
    """Turns every end of a request into an outcome."""

    def __init__(
        self,
        wires: _Wires,
        endpoint: str,
        signal: Signal,
        authorization: Authorization | None,
    ) -> None:
        super().__init__()
        self.outcome: Outcome | None = None
        self.item_count = 0
        self._signal = signal
        self._wires = wires
        self._endpoint = shown_endpoint(endpoint)
        self._authorization = authorization
        adapter = _Adapter(wires)
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        # Proxies come from the environment; a .netrc must not replace the user's headers.
        if "@" not in endpoint:
            self.auth = self._authorized
        self.hooks["response"] = [self._judge]

    def _authorized(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called with the request as it will be sent, its body compressed."""
        if self._authorization is None:
            return request
        body = request.body or b""
        request.headers.update(
            self._authorization.signature(
                request.method or "",
                request.url or "",
                {name: value for name in _SIGNED_HEADERS if (value := request.headers.get(name))},
                body.encode() if isinstance(body, str) else body,
            )
        )
        return request

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if self.verify is not True:
            # Else $REQUESTS_CA_BUNDLE would replace the session's own file.
            kwargs.setdefault("verify", self.verify)
        try:
            return super().request(*args, **kwargs)
        except _JudgedError as judged:
            self.outcome = judged.outcome
            raise
        except Exception as error:
            # Whatever requests, urllib3 or TLS raises is a verdict on this try, and told as one.
            self.outcome = self._failed(error)
            raise _JudgedError(self.outcome) from error

    def _failed(self, error: Exception) -> Outcome:
        cause = _innermost(error)
        if self._wires.is_cut or isinstance(cause, TimeoutError):
            reason = "no answer in time" if self._wires.sent else "not reached in time"
        else:
            text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
            reason = f"{type(cause).__name__}: {text}" if text else type(cause).__name__
        return Outcome(
            Verdict.RETRYABLE,
            self.item_count,
            f"{self._endpoint}: {reason}",
            uncertain=self._wires.sent,
        )

    def _judge(self, response: requests.Response, **_: Any) -> None:
        body = response.raw.read(MAX_ANSWER_BYTES, decode_content=True) or b""
        if self._wires.is_cut:
            # http.client takes the end of a cut connection for the end of the headers.
            raise TimeoutError("cut off inside the answer")
        status = response.status_code
        named = f"{self._endpoint} answered {status} {response.reason or ''}".rstrip()
        if status in SUCCESS_STATUSES:
            rejected, message = self._partial_success(body)
            if rejected:
                raise self._judged(
                    Verdict.PARTIAL,
                    f"{named} but rejected {rejected} of {self.item_count} "
                    f"{self._signal.unit}: {message}",
                    rejected_count=rejected,
                    status=str(status),
                )
            self.outcome = Outcome(Verdict.ACCEPTED, self.item_count, named, status=str(status))
            if len(body) >= MAX_ANSWER_BYTES:
                response.close()
            return
        retry_after_s = None
        verdict = Verdict.REFUSED
        reason = self._reason(response, body)
        if reason or status in DENIED_STATUSES:
            verdict = Verdict.RETRYABLE
            named += reason and f": {reason}"
            if self._authorization is not None:
                self._authorization.refused()
        elif status in RETRYABLE_STATUSES:
            verdict = Verdict.RETRYABLE
            retry_after_s = _seconds(response.headers.get("Retry-After"))
        elif 300 <= status < 400:
            verdict = Verdict.RETRYABLE
            named += ", a redirect, which OTLP does not follow: set the final URL as endpoint"
        response.close()
        raise self._judged(
            verdict,
            named,
            status=str(status),
            retry_after_s=retry_after_s,
            too_large=status == TOO_LARGE_STATUS,
        )

    def _reason(self, response: requests.Response, body: bytes) -> str:
        if self._authorization is None or not 400 <= response.status_code < 500:
            return ""
        return self._authorization.reason(response.status_code, body, response.headers)

    def _partial_success(self, body: bytes) -> tuple[int, str]:
        """What was rejected and the collector's words; (0, "") for what is no protobuf."""
        try:
            partial = self._signal.answer.FromString(body).partial_success
        except DecodeError:
            return 0, ""
        return getattr(partial, self._signal.rejected), partial.error_message

    def _judged(self, verdict: Verdict, detail: str, **values: Any) -> _JudgedError:
        return _JudgedError(Outcome(verdict, self.item_count, detail, **values))


class HttpSender:
    """`exporter.delivery.Sender` over HTTP/1.1 with protobuf bodies."""

    def __init__(
        self, settings: ExporterSettings, signal: str, authorization: Authorization | None = None
    ) -> None:
        self._settings = settings
        self._zips = settings.compression == "gzip"
        self._signal = signal_of(signal)
        self._exporter_class = http_exporter(signal)
        self._endpoint = endpoint_of(settings, signal)
        self._authorization = authorization
        self._wires = _Wires()
        self._session = _Session(self._wires, self._endpoint, self._signal, authorization)

    def send(self, items: Any, count: int, timeout_s: float) -> Outcome:
        """See `Sender.send`."""
        return self._send(lambda: self._signal.encode(items), count, timeout_s)

    def send_request(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        """See `Sender.send_request`."""
        return self._send(lambda: request, count, timeout_s)

    def _send(self, encoded: Callable[[], bytes], count: int, timeout_s: float) -> Outcome:
        began_s = time.monotonic()
        until_s = began_s + timeout_s
        self._wires.begin(until_s)
        try:
            body = encoded()
            if self._zips:
                body = gzip.compress(body, GZIP_LEVEL)
            outcome = self._try(body, count, until_s)
            if outcome.status is None and not self._wires.connected and not self._wires.is_cut:
                # The kept connection had died, as they do in a freeze: once more, on a new one.
                died = outcome
                outcome = self._try(body, count, until_s)
                outcome = replace(outcome, uncertain=outcome.uncertain or died.uncertain)
        except KeyMissingError as error:
            detail = f"{shown_endpoint(self._endpoint)}: nothing was sent: {error}"
            outcome = Outcome(Verdict.RETRYABLE, count, detail)
        except Exception as error:  # noqa: BLE001 - a fault of the library is an outcome too
            outcome = self._fault(count, error)
        finally:
            self._wires.end()
        return replace(outcome, duration_s=time.monotonic() - began_s)

    def abort(self) -> None:
        """See `Sender.abort`."""
        self._wires.cut()

    def close(self) -> None:
        """See `Sender.close`."""
        self._session.close()
        self._wires.close()

    def _try(self, body: bytes, count: int, until_s: float) -> Outcome:
        session = self._session
        session.outcome = None
        session.item_count = count
        # Its client, since its own `export` takes no more than the SDK's objects.
        self._exporter(max(0.001, until_s - time.monotonic()))._client.export(body)
        if session.outcome is None:
            return self._fault(count, RuntimeError("the library sent nothing"))
        return session.outcome

    def _exporter(self, timeout_s: float) -> Any:
        # Made anew for each flush, as its timeout cannot be changed; it opens nothing.
        settings = self._settings
        authorization = self._authorization
        headers = settings.headers if authorization is None else authorization.headers()
        exporter = self._exporter_class(
            endpoint=self._endpoint,
            certificate_file=settings.tls.ca_file,
            client_key_file=settings.tls.key_file,
            client_certificate_file=settings.tls.cert_file,
            headers={**_GZIP, **headers} if self._zips else dict(headers),
            timeout=timeout_s,
            compression=Compression.NoCompression,
            session=self._session,
        )
        exporter._client._logger = _silent  # it takes none from outside
        return exporter

    def _fault(self, count: int, error: Exception) -> Outcome:
        endpoint = shown_endpoint(self._endpoint)
        detail = f"{endpoint}: {type(error).__name__}: {error}"
        return Outcome(Verdict.REFUSED, count, detail, status=FAULT)


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None  # a date: the pause of our own serves


def _innermost(error: BaseException) -> BaseException:
    """The cause that says something: libraries wrap it several times."""
    for _ in range(8):
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
