"""Which symptom a text shows: patterns, the first that matches counts (pure)."""

from __future__ import annotations

import re

_Signs = tuple[tuple[re.Pattern[str], str], ...]


def _signs(*rows: tuple[str, str]) -> _Signs:
    return tuple((re.compile(pattern), name) for pattern, name in rows)


_OF_KEYS = _signs(
    (r"the signature's time is refused", "clock_wrong"),
    (r"the function's role does not allow it", "role_denied"),
    (r"the signature does not match|came without a signature", "signature_refused"),
    (
        r"the credentials have expired|the credentials are not known|credentials: "
        r"|AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "credentials_missing",
    ),
)
"""Of AWS's answers, to a fetch and to a signed export, and of what is missing here."""
_OF_SECRETS = _signs(
    (
        r"there is none of that name|no such key|so it has no keys|holds is no text|is empty"
        r"|no header can carry|has no text",
        "secret_unusable",
    ),
)
_OF_EXPORT = _signs(
    # A gRPC library says UNAVAILABLE of all that happens below it, so causes go first.
    (
        r"Name or service not known|name resolution|nodename nor servname|gaierror"
        r"|No address associated|DNS resolution failed|has no address",
        "collector_name_unknown",
    ),
    (
        r"ConnectionRefusedError|Connection refused|Network is unreachable|No route to host",
        "collector_unreachable",
    ),
    (
        r"SSL|CERTIFICATE_VERIFY|certificate|[Hh]andshake|WRONG_VERSION_NUMBER",
        "collector_tls",
    ),
    (r"but rejected \d+ of \d+", "collector_rejects"),
    (r"answered (401|403|UNAUTHENTICATED|PERMISSION_DENIED)\b", "collector_denies_key"),
    (r"answered (404|405|UNIMPLEMENTED)\b", "collector_wrong_path"),
    (
        r"answered 413\b|answered RESOURCE_EXHAUSTED: .{0,200}larger than max",
        "collector_request_too_large",
    ),
    (r"answered 3\d\d\b", "collector_redirects"),
    (r"answered (429|RESOURCE_EXHAUSTED)\b", "collector_throttles"),
    (r"not reached in time|[Cc]onnection timed out", "collector_not_reached_in_time"),
    (r"no answer in time|answered DEADLINE_EXCEEDED", "collector_slow"),
    (
        r"ConnectionResetError|RemoteDisconnected|Connection reset|BrokenPipeError|Socket closed"
        r"|IncompleteRead|BadStatusLine|ProtocolError|Connection aborted",
        "collector_hangs_up",
    ),
    (r"answered (5\d\d|UNAVAILABLE|INTERNAL|UNKNOWN)\b", "collector_fails"),
    (r"answered (4\d\d|[A-Z_]{5,})\b", "collector_refuses"),
    (r"^https?://\S+: ", "export_fault"),
)

_OF_OURS = _signs(
    (r"^no extension: ", "layer_absent"),
    (r"No space left on device", "disk_full"),
    (
        r"is no FIFO|is a symbolic link; remove it|belongs to user \d+, not to us"
        r"|is open to other users",
        "fifo_replaced",
    ),
    (r"cannot be made: ", "fifo_not_made"),
    (r"^internal fault|^internal: ", "extension_fault"),
    (r"^cannot register: ", "extension_not_registered"),
    (r"^AWS_LAMBDA_RUNTIME_API is not set", "extension_started_by_hand"),
    (r"^there is no Python 3\.", "extension_no_python"),
    (r"^the Extensions API at |^cannot connect to ", "extensions_api_gone"),
    (r"^the extension before this one was killed", "extension_killed"),
    (r"^no Telemetry API", "telemetry_absent"),
    (r"cannot be run; it is left out", "wrapper_missing"),
    (r"the function runs without spanpipe", "wrapper_failed"),
)
_OF_PROBLEM = re.compile(r"(\S+:\d+:\d+|(OTEL|SPANPIPE)_\w+|default): ")
_REFUSED = re.compile(r"answered 4\d\d\b.{0,80}: ")
_KEYS = "keys: "
_OF_LEVEL = {"error": "extension_error", "warning": "extension_warning"}

OF_PLATFORM = _signs(
    (r"Runtime\.OutOfMemory", "function_out_of_memory"),
    (r"Extension\.Crash", "extension_crashed"),
    (
        r"EXTENSION\s+Name: spanpipe\s+State: LaunchError.{0,100}Error Type: PermissionDenied"
        r'|"name": ?"spanpipe".{0,200}"errorType": ?"PermissionDenied"'
        r"|fork/exec /opt/extensions/spanpipe: permission denied",
        "extension_not_executable",
    ),
    (
        r"EXTENSION\s+Name: spanpipe\s+State: LaunchError"
        r'|"name": ?"spanpipe".{0,100}"state": ?"LaunchError"'
        r"|fork/exec /opt/extensions/spanpipe: ",
        "extension_not_launched",
    ),
    (r"No module named '?(fifo|spanpipe)\b", "fifo_not_found"),
    (
        r"cannot import name '\w+' from '?fifo\b|module 'fifo' has no attribute"
        r"|cannot import name '\w+' from 'spanpipe' \(/opt/python/",
        "fifo_shadowed",
    ),
    (
        r"cannot import name '\w+' from '?spanpipe\b|module 'spanpipe' has no attribute",
        "spanpipe_shadowed",
    ),
    (
        r"INIT_REPORT .{0,200}Status: (timeout|error)|Runtime\.(ImportModule|HandlerNotFound)"
        r'|"type": ?"platform\.initReport".{0,400}"status": ?"(timeout|error|failure)"'
        r"|init did not succeed",
        "init_failed",
    ),
    (
        r"Task timed out after \d+\.\d\d seconds"
        r'|"type": ?"platform\.report".{0,400}"status": ?"timeout"',
        "function_timed_out",
    ),
    (r"Runtime\.ExitError|Runtime exited (with|without)", "function_exited"),
    (r"No space left on device", "disk_full"),
    (r"ResponseSizeTooLarge|Response payload size exceeded", "response_too_large"),
)
"""What Lambda and its runtime print. No pattern repeats without a bound: a log is a stranger's."""
_HINTS = (
    "Runtime",
    "Extension",
    "EXTENSION",
    "Error",
    "INIT_REPORT",
    "initReport",
    "fork/exec",
    "No module",
    "cannot import",
    "has no attribute",
    "timed out",
    "timeout",
    "No space",
    "ResponseSize",
    "Response payload",
    "init did not",
)
"""One of them is in every text that a pattern of `OF_PLATFORM` matches; most lines have none."""


def of_export(detail: str) -> str:
    """The symptom that an export's `Outcome.detail` shows."""
    return _of_answer(detail) or _first(_OF_EXPORT, detail) or "collector_refuses"


def of_keys(text: str) -> str:
    """The symptom that a line of what is missing, after ``keys: ``, shows."""
    return _first(_OF_KEYS, text) or _first(_OF_SECRETS, text) or "secret_unreachable"


def _of_answer(detail: str) -> str | None:
    """What AWS says of a signed export."""
    return _first(_OF_KEYS, detail) if _REFUSED.search(detail) else None


def of_line(level: str, text: str) -> str | None:
    """The symptom that the extension's line ``spanpipe: LEVEL: TEXT`` shows; None: it is none."""
    if text.startswith(_KEYS):
        return of_keys(text) if level == "warning" else None
    name = _first(_OF_OURS, text)
    if name is None and level == "error" and _OF_PROBLEM.match(text):
        name = "configuration_broken"
    if name is None and level == "warning":
        name = _of_answer(text) or _first(_OF_EXPORT, text)
    return name or _OF_LEVEL.get(level)


def of_platform(text: str) -> str | None:
    """The symptom that a line of Lambda's or of its runtime shows."""
    return _first(OF_PLATFORM, text) if any(hint in text for hint in _HINTS) else None


def _first(signs: _Signs, text: str) -> str | None:
    return next((name for pattern, name in signs if pattern.search(text)), None)
