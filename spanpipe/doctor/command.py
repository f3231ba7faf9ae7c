"""``spanpipe doctor``: finds out what to look at, and prints what was found."""

from __future__ import annotations

import argparse
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spanpipe.doctor.findings import Finding, Level
from spanpipe.doctor.here import here_findings
from spanpipe.doctor.layer import ARCHITECTURES, is_layer, layer_findings
from spanpipe.doctor.log import LogReading
from spanpipe.doctor.package import WRAPPER_VARIABLE, package_findings
from spanpipe.errors import CommandError
from spanpipe.send import opened

OK_STATUS = 0
PROBLEM_STATUS = 1
MAX_LINE_CHARACTERS = 1024 * 1024
"""A longer line is looked at in pieces."""
_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="say what is wrong here, with a function's folder, a layer, or in a log",
        description="Without an argument: this environment, and whether the endpoint answers. "
        "With a folder: a function's package, or an unpacked layer. With a file or -: a "
        "function's log. Each finding says what it means and the one thing to do. Exit status "
        "0: no problem, 1: problems, 2: wrong input.",
        epilog="Example: aws logs tail /aws/lambda/shop --since 1h | spanpipe doctor -",
    )
    parser.add_argument("what", nargs="?", help="a log, plain or gzip (- is stdin), or a folder")
    parser.add_argument("--config", help="a configuration file; else the one that is found")
    parser.add_argument("--handler", help="of a function's folder: module.function")
    parser.add_argument(
        "--wrap",
        action="store_true",
        help=f"the function has {WRAPPER_VARIABLE}=/opt/spanpipe/wrap",
    )
    parser.add_argument("--runtime", help="that a layer is for, such as python3.13")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="that a layer is for")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(main=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Look and print; 0 where there is no problem, 1 where there is, 2 for input of no use."""
    worst = OK_STATUS
    printer = _print_json if options.json else _Printer()
    for finding in _findings(options):
        printer(finding)
        if finding.level is Level.PROBLEM:
            worst = PROBLEM_STATUS
    return worst


def _findings(options: argparse.Namespace) -> Iterable[Finding]:
    what: str | None = options.what
    environ = dict(os.environ)
    if options.wrap:
        environ[WRAPPER_VARIABLE] = "/opt/spanpipe/wrap"
    if options.config is not None:
        if not Path(options.config).is_file():
            raise CommandError(f"--config {options.config}: there is no such file")
        environ["SPANPIPE_CONFIG"] = options.config
    folder = None if what in (None, "-") else Path(str(what))
    is_folder = folder is not None and folder.is_dir()
    of_layer = is_folder and is_layer(Path(str(what)))
    _only(options, ("handler", "wrap"), is_folder and not of_layer, "a function's folder")
    _only(options, ("runtime", "architecture"), of_layer, "an unpacked layer")
    if what is None:
        return here_findings(environ, options.config)
    if folder is None or not is_folder:
        return _log_findings(str(what))
    if of_layer:
        return layer_findings(folder, options.runtime, options.architecture)
    return package_findings(folder, environ, options.handler)


def _only(options: argparse.Namespace, names: tuple[str, ...], fits: bool, of_what: str) -> None:
    for name in names:
        if getattr(options, name) and not fits:
            raise CommandError(f"--{name} is for {of_what}, and {options.what or 'this'} is none")


def _log_findings(path: str) -> Iterator[Finding]:
    name = "standard input" if path == "-" else path
    reading = LogReading()
    try:
        with opened(path) as stream:
            while text := stream.readline(MAX_LINE_CHARACTERS):
                reading.line(text)
    except CommandError as error:
        raise CommandError(f"{name}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{name}: cannot be read: {error}") from error
    if not reading.line_count:
        raise CommandError(f"{name}: is empty")
    yield from reading.findings()


def _print_json(finding: Finding) -> None:
    value = {
        "level": finding.level.value,
        "name": finding.name,
        "says": finding.says,
        "seen": finding.seen,
        "means": finding.means,
        "todo": finding.todo,
    }
    print(json.dumps(value, ensure_ascii=False), flush=True)


class _Printer:
    """One line for each check; below it, where there is something to do, what and why."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(
            file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def __call__(self, finding: Finding) -> None:
        from rich.text import Text

        line = Text()
        line.append(f"{finding.level.value:7}", style=_STYLES[finding.level])
        line.append(f"  {finding.name}", style="bold")
        says = "" if finding.says == finding.name else f" {finding.says}:"
        line.append(f":{says} {finding.seen}")
        self._console.print(line)
        if finding.todo:
            self._console.print(Text(f"         means: {finding.means}"))
            self._console.print(Text(f"         do:    {finding.todo}"))
