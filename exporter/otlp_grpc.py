"""OTLP over gRPC on a kept channel: the library's encoder and its generated stub.

Not the library's exporter: it hides partial success, and retries past every deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from exporter.outcome import (
    FAULT,
    Authorization,
    KeyMissingError,
    Outcome,
    Verdict,
    shown_endpoint,
)
from exporter.settings import ExporterSettings, TlsSettings
from exporter.signals import endpoint_of, signal_of

DENIED_CODES = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""A key may be rotating, as with 401 and 403 over HTTP."""
RETRYABLE_CODES = DENIED_CODES | frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""OTLP specification, "Failures" of OTLP/gRPC, and the two for credentials."""
UNCERTAIN_CODES = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
"""No answer came, and the request may have been read."""

_TOO_LARGE = "larger than max"
"""In every gRPC implementation's words; the code alone also means "slow down"."""

DEFAULT_PORT = 4317
_COMPRESSIONS = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}
_OPTIONS = (
    # A new channel connects at once, where a shared connection would wait for gRPC's back-off.
    ("grpc.use_local_subchannel_pool", 1),
)


class GrpcSender:
    """`exporter.delivery.Sender` over gRPC."""

    def __init__(
        self, settings: ExporterSettings, signal: str, authorization: Authorization | None = None
    ) -> None:
        self._signal = signal_of(signal)
        self._endpoint = shown_endpoint(endpoint_of(settings, signal))
        self._authorization = authorization
        self._compression = _COMPRESSIONS[settings.compression]
        self._settings = settings
        self._lock = threading.Lock()
        self._call: Any = None
        self._aborted = False
        self._channel: Any = None

    def send(self, items: Any, count: int, timeout_s: float) -> Outcome:
        """See `Sender.send`."""
        return self._send(lambda: self._signal.encode(items), count, timeout_s)

    def send_request(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        """See `Sender.send_request`."""
        return self._send(lambda: request, count, timeout_s)

    def _send(self, encoded: Callable[[], bytes], count: int, timeout_s: float) -> Outcome:
        began_s = time.monotonic()
        try:
            with self._lock:
                self._aborted = False
            metadata = self._metadata()
            request = encoded()
            if self._channel is None:
                self._channel = _open_channel(self._settings)
            export = self._channel.unary_unary(
                self._signal.grpc_method, response_deserializer=self._signal.answer.FromString
            )
            call = export.future(
                request,
                timeout=max(0.001, timeout_s - (time.monotonic() - began_s)),
                metadata=metadata,
                compression=self._compression,
            )
            with self._lock:
                self._call = call
                if self._aborted:
                    call.cancel()
            answer = call.result()
        except grpc.FutureCancelledError:
            return Outcome(
                Verdict.RETRYABLE,
                count,
                f"{self._endpoint}: no answer in time",
                status="CANCELLED",
                uncertain=True,
                duration_s=time.monotonic() - began_s,
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                # When to try again is decided elsewhere, and then the next try connects anew.
                self.close()
            return self._failed(error, count, time.monotonic() - began_s)
        except KeyMissingError as error:
            detail = f"{self._endpoint}: nothing was sent: {error}"
            return Outcome(Verdict.RETRYABLE, count, detail)
        except Exception as error:  # noqa: BLE001 - bad files, a fault of the library
            detail = f"{self._endpoint}: {type(error).__name__}: {error}"
            return Outcome(Verdict.REFUSED, count, detail, status=FAULT)
        finally:
            with self._lock:
                self._call = None
        return self._answered(answer, count, time.monotonic() - began_s)

    def abort(self) -> None:
        """See `Sender.abort`."""
        with self._lock:
            self._aborted = True
            call = self._call
        if call is not None:
            call.cancel()

    def close(self) -> None:
        """See `Sender.close`."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _metadata(self) -> tuple[tuple[str, Any], ...]:
        authorization = self._authorization
        headers = self._settings.headers if authorization is None else authorization.headers()
        return tuple((key.lower(), value) for key, value in headers.items())

    def _answered(self, answer: Any, count: int, duration_s: float) -> Outcome:
        rejected = getattr(answer.partial_success, self._signal.rejected)
        if not rejected:
            return Outcome(
                Verdict.ACCEPTED,
                count,
                f"{self._endpoint} answered OK",
                status="OK",
                duration_s=duration_s,
            )
        message = answer.partial_success.error_message
        return Outcome(
            Verdict.PARTIAL,
            count,
            f"{self._endpoint} answered OK but rejected {rejected} of {count} "
            f"{self._signal.unit}: {message}",
            rejected_count=rejected,
            status="OK",
            duration_s=duration_s,
        )

    def _failed(self, error: grpc.RpcError, count: int, duration_s: float) -> Outcome:
        code: grpc.StatusCode = error.code()
        if code in DENIED_CODES and self._authorization is not None:
            self._authorization.refused()
        detail = (error.details() or "").strip()
        too_large = code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in detail
        retryable = code in RETRYABLE_CODES and not too_large
        return Outcome(
            Verdict.RETRYABLE if retryable else Verdict.REFUSED,
            count,
            f"{self._endpoint} answered {code.name}: {detail}",
            status=code.name,
            uncertain=code in UNCERTAIN_CODES,
            duration_s=duration_s,
            too_large=too_large,
        )


def _open_channel(settings: ExporterSettings) -> Any:
    parts = urlsplit(settings.endpoint)
    host = parts.hostname or "localhost"
    if ":" in host:
        host = f"[{host}]"
    target = f"{host}:{parts.port or DEFAULT_PORT}"
    if parts.scheme == "http":
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, _credentials(settings.tls), options=_OPTIONS)


def _credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca_file),
        private_key=_read(tls.key_file),
        certificate_chain=_read(tls.cert_file),
    )


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
