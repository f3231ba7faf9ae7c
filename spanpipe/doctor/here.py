"""The environment at hand: configuration, endpoint, clock, FIFOs, packages."""

from __future__ import annotations

import os
import platform
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path

from exporter.outcome import Verdict, shown_endpoint
from exporter.settings import OTLP_GRPC, ExporterSettings
from extension.problems import shown
from fifo import pipes
from spanpipe.configured import KeysMissingError, in_force, open_with_keys
from spanpipe.doctor import signs
from spanpipe.doctor.findings import Finding, fine, found
from spanpipe.doctor.package import configuration_findings
from spanpipe.doctor.symptoms import SYMPTOMS

MAX_SKEW_S = 30.0
"""Backends order spans by time, and sort out what lies far off; a date has whole seconds."""
_CLOCK_TIMEOUT_S = 5.0
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*)(?:;\s*(.*))?")
_LIMIT = re.compile(r"(>=|<)\s*([\d.]+)")


def here_findings(environ: Mapping[str, str], file: str | None) -> Iterator[Finding]:
    """All checks of this environment, one after the other."""
    yield from configuration_findings(environ, Path.cwd(), file)
    config = in_force(environ, file)
    if config.settings.exporter is not None:
        yield from endpoint_findings(config.settings.exporter, environ)
    yield from fifo_findings(pipes.directory_of(environ))
    yield from package_versions()


def endpoint_findings(settings: ExporterSettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Secrets and credentials, an empty request to the endpoint, and the date of its answers."""
    try:
        opened = open_with_keys(settings, environ)
    except KeysMissingError as error:
        for problem in error.problems:
            yield found(SYMPTOMS[signs.of_keys(problem)], shown(problem, 300))
        return
    if settings.needs_keys:
        yield fine("keys", "secrets and credentials are there")
    with closing(opened) as sender:
        outcome = sender.send([], 0, settings.timeout_ms / 1000)
    if outcome.verdict is Verdict.ACCEPTED:
        yield fine("endpoint", f"{outcome.detail} in {outcome.duration_s * 1000:.0f} ms")
    else:
        yield found(SYMPTOMS[signs.of_export(outcome.detail)], shown(outcome.detail, 300))
    if outcome.status is not None:
        yield _clock(settings)


def _clock(settings: ExporterSettings) -> Finding:
    if settings.protocol == OTLP_GRPC:
        return fine("clock", "not checked: answers over gRPC have no date")
    began_s = time.time()
    date = _date_of(settings)
    if date is None:
        return fine("clock", f"not checked: {shown_endpoint(settings.endpoint)} tells no date")
    # The answer was made at some moment of the exchange, and its second was cut.
    ours_s = (began_s + time.time()) / 2
    ahead_s = ours_s - date
    if abs(ahead_s) > MAX_SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        seen = f"ours is {abs(ahead_s):.0f} s {way} that of {shown_endpoint(settings.endpoint)}"
        return found(SYMPTOMS["clock_wrong"], seen)
    return fine("clock", "differs from the collector's by less than 30 s")


def _date_of(settings: ExporterSettings) -> float | None:
    """The Date header of any answer, in Unix seconds. RFC 9110, section 6.6.1."""
    import requests

    tls = settings.tls
    certificate = (tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
    try:
        # Without the headers: any answer has a date, and no key need travel for it.
        answer = requests.head(
            settings.endpoint,
            timeout=_CLOCK_TIMEOUT_S,
            allow_redirects=False,
            verify=tls.ca_file or True,
            cert=certificate,
            headers={"Connection": "close"},
        )
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (requests.RequestException, KeyError, ValueError, TypeError):
        return None


def fifo_findings(directory: str) -> Iterator[Finding]:
    """The pair's paths, looked at and not opened: a reader more would take messages."""
    for name in (pipes.RESULTS_NAME, pipes.CONTROL_NAME):
        path = f"{directory}/{name}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            yield fine("fifo", f"{path} is not there: the extension makes it")
            continue
        except OSError as error:
            yield found(SYMPTOMS["fifo_not_made"], f"{path}: {error.strerror}")
            continue
        wrong = _wrong(status)
        if wrong:
            yield found(SYMPTOMS["fifo_replaced"], f"{path}: {wrong}")
        else:
            yield fine("fifo", f"{path} is a FIFO of ours, mode 0600")


def _wrong(status: os.stat_result) -> str:
    """Why `fifo.pipes` would not use it; "" where it would."""
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISFIFO(status.st_mode):
        return "is no FIFO"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to us"
    if status.st_mode & 0o077:
        return f"is open to other users (mode {stat.S_IMODE(status.st_mode):04o}, not 0600)"
    return ""


def package_versions() -> Iterator[Finding]:
    """The versions that are installed against those that spanpipe asks for."""
    try:
        wanted = metadata.requires("spanpipe") or []
    except metadata.PackageNotFoundError:
        yield found(SYMPTOMS["packages_unfit"], "spanpipe itself is not installed")
        return
    unfit: list[str] = []
    absent: list[str] = []
    for text in wanted:
        parsed = _REQUIREMENT.match(text)
        marker = (parsed[3] or "") if parsed else ""
        if parsed is None or (marker and "local" not in marker):
            continue
        try:
            version = metadata.version(parsed[1])
        except metadata.PackageNotFoundError:
            (absent if marker else unfit).append(f"{parsed[1]} is not installed")
            continue
        if not fits(version, parsed[2]):
            unfit.append(f"{parsed[1]} {version} is not {parsed[2].strip()}")
    if unfit:
        yield found(SYMPTOMS["packages_unfit"], "; ".join(unfit))
    else:
        yield fine("packages", f"fit, on Python {platform.python_version()}")
    if absent:
        yield found(SYMPTOMS["local_missing"], "; ".join(absent))


def fits(version: str, specifier: str) -> bool:
    """Whether a release is within ``>=A,<B``, the only limits that pyproject.toml uses."""
    release = _release(version)
    for operator, limit in _LIMIT.findall(specifier):
        if (release >= _release(limit)) != (operator == ">="):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    digits = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in digits[0].split(".")] if digits else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
