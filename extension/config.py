"""The configuration in force: file, then environment, each value with where it came from."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from exporter.settings import ExporterSettings, RequestLimits
from exporter.signals import LOGS, METRICS
from exporter.values import dataclass, replace
from extension import destination, otel_environment
from extension.early_config import FILE_NAME, TASK_ROOT, own_file
from extension.problems import Origin, Place, Problem, SourceError
from extension.schema import SECRET_PATHS, Reading, read_settings
from extension.settings import Settings
from extension.yaml_source import MAX_FILE_BYTES, Node, read

__all__ = ["FILE_NAME", "TASK_ROOT", "LoadedConfig", "default_path", "find", "load", "text_of"]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """What was found.

    Where `errors` is not empty, `settings` are the defaults without an exporter: everything
    is captured and counted, and nothing is sent anywhere on the strength of half a file.
    `origins` has key paths with a place in the file or a variable's name; what is in neither
    is a default. The errors of the file come in its order, then those of the variables.
    """

    settings: Settings
    file: str | None
    origins: Mapping[str, Origin]
    errors: tuple[Problem, ...]


def default_path() -> str | None:
    """The file that the layer ships: beside this package, or in a checkout above it."""
    here = Path(__file__).resolve().parent
    for path in (here / "config.yaml", here.parent / "config.yaml"):
        if path.is_file():
            return str(path)
    return None


def find(environ: Mapping[str, str], task_root: str = TASK_ROOT) -> str | None:
    """``$SPANPIPE_CONFIG``, else ``spanpipe.yaml`` in the function's package, else ours."""
    return own_file(environ, task_root) or default_path()


def load(
    environ: Mapping[str, str], path: str | None = None, task_root: str = TASK_ROOT
) -> LoadedConfig:
    """The configuration in `path`, else in the file that `find` finds. Never raises."""
    file = path or find(environ, task_root)
    reading = Reading()
    settings = Settings(exporter=None)
    try:
        settings = read_settings(_root(file, environ, reading.problems), reading)
    except SourceError as error:
        reading.problems.append(error.problem)
    origins = dict(reading.origins)
    settings, of_variables = otel_environment.apply(settings, environ, origins)
    errors = reading.problems + of_variables
    if settings.exporter is not None:
        exporter = destination.with_scheme(settings.exporter)
        exporter = destination.with_region(exporter, environ, origins)
        errors += destination.problems(exporter, origins)
        loop = None if errors else destination.loop_problem(exporter, settings.receiver)
        if loop:
            where = origins.get("receiver.otlp_http.enabled", "default")
            errors.append(Problem(where, "receiver.otlp_http", loop))
        for signal, wanted in (
            (METRICS, settings.signals.metrics),
            (LOGS, settings.signals.logs),
        ):
            if not wanted:
                continue
            exporter = exporter if errors else destination.with_signal(exporter, signal)
            nowhere = None if errors else destination.signal_problem(exporter, signal)
            if nowhere:
                where = origins.get(f"signals.{signal}", "default")
                errors.append(Problem(where, f"signals.{signal}", nowhere))
        limits = _limits(settings.limits, exporter, origins)
        settings = replace(settings, exporter=exporter, limits=limits)
    if errors:
        settings = Settings(exporter=None, enabled=settings.enabled, log_level=settings.log_level)
    return LoadedConfig(settings, file, origins, tuple(sorted(errors, key=_order)))


def _limits(
    given: RequestLimits, exporter: ExporterSettings, origins: dict[str, Origin]
) -> RequestLimits:
    """What the service takes less of is told where the service is named."""
    if exporter.sigv4 is None:
        return given
    from exporter.service_limits import within

    limits = within(given, exporter.sigv4)
    for key, name in (
        ("max_request_bytes", "max_bytes"),
        ("max_request_spans", "max_spans"),
        ("max_span_bytes", "max_span_bytes"),
    ):
        if getattr(limits, name) < getattr(given, name):
            origins[f"limits.{key}"] = origins["auth.sigv4.service"]
    return limits


def _order(problem: Problem) -> tuple[bool, Origin]:
    """Places before variables, each in their order."""
    return not isinstance(problem.where, Place), problem.where


def _root(file: str | None, environ: Mapping[str, str], problems: list[Problem]) -> Node:
    if file is None:
        return Node(Place("default", 1, 1), {}, {})
    return read(text_of(file), file, environ, problems, SECRET_PATHS)


def text_of(file: str) -> str:
    """What a YAML file holds, bounded. Raises SourceError."""
    data = _content(file)
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(file, f"is over {MAX_FILE_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before) - before.rfind(b"\n")
        place = Place(file, before.count(b"\n") + 1, column)
        raise SourceError(Problem(place, "", "is not UTF-8; save the file as UTF-8")) from error


def _content(file: str) -> bytes:
    try:
        # A FIFO of that name must not hold up the thread that reads.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _unreadable(file, "is no regular file")
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _unreadable(file, f"cannot be read: {error}") from error


def _unreadable(file: str, text: str) -> SourceError:
    return SourceError(Problem(file, "", text))
