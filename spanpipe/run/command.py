"""``spanpipe run``: the user's own functions in the sandbox, with the real extension."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanpipe.errors import CommandError
from spanpipe.run.events import read_events
from spanpipe.view.command import PAGE_PORT

if TYPE_CHECKING:
    from spanpipe.run.session import Session
    from spanpipe.run.watch import Work

NEEDED = ("awslambdaric", "rich", "dotenv", "watchfiles")
"""Of the extra `local`."""
WATERFALL, JSON = "waterfall", "json"
MAX_WATERFALLS = 20
"""Invocations whose spans are drawn unasked: with more the rows are what is looked for."""


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run a function here, as Lambda would, and show its spans",
        description="Run a Python handler in a local execution environment with the real "
        "extension, and show each invocation's span as it arrives.",
        epilog="Example: spanpipe run app.handler --event '{\"id\": 1}' --count 3",
    )
    parser.add_argument(
        "handler",
        nargs="?",
        help="module.function, as in Lambda; with --functions or --template the name of a function",
    )
    parser.add_argument(
        "--functions",
        metavar="FILE",
        help="several functions that call one another, as YAML (see examples/shop): "
        "the first is invoked, and the traces are shown as trees",
    )
    parser.add_argument(
        "--template",
        metavar="FILE",
        help="the Python functions of a SAM or CloudFormation template, or of a cdk.out folder",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template, in place of its default; may be repeated",
    )
    parser.add_argument(
        "--event",
        action="append",
        metavar="JSON|@FILE|-",
        help="an event; @FILE reads it, @FILE.jsonl one a line, - standard input; may be repeated",
    )
    parser.add_argument("--count", type=int, help="invocations in all; the events are repeated")
    parser.add_argument("--timeout", type=float, default=3.0, help="the function's, seconds (3)")
    parser.add_argument("--memory", type=int, default=128, help="the function's, MB (128)")
    parser.add_argument("--directory", help="the folder of the function's code (.)")
    parser.add_argument("--config", help="a configuration file for the extension")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--env-file",
        action="append",
        default=[],
        metavar="FILE",
        help="variables, a NAME=VALUE in each line; --env goes before it; may be repeated",
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="DIR",
        help="a layer, unpacked: what it has is at /opt for the function and its extensions; "
        "a built one of ours takes the place of the extension here; may be repeated",
    )
    parser.add_argument(
        "--wrap", action="store_true", help="capture an undecorated handler, by the layer's wrapper"
    )
    parser.add_argument("--endpoint", help="send the spans to this OTLP endpoint instead")
    parser.add_argument(
        "--faults", metavar="FILE", help="what is to go wrong, as YAML (see examples/faults.yaml)"
    )
    parser.add_argument(
        "--output",
        choices=(WATERFALL, "table", JSON),
        help="waterfall: each invocation and what is below it, the default for up to "
        f"{MAX_WATERFALLS}; table: invocations alone; json: OTLP JSON lines",
    )
    parser.add_argument(
        "--view",
        action="store_true",
        help="show the spans in a page too, as `spanpipe view` does, until Ctrl-C",
    )
    parser.add_argument(
        "--page-port",
        type=int,
        metavar="PORT",
        help=f"of that page; {PAGE_PORT}, or any that is free",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="run again whenever the code changes, or a file that is named here, until Ctrl-C",
    )
    parser.set_defaults(main=run)


def run(options: argparse.Namespace) -> int:
    """Run; 0 where every invocation gave exactly one invocation span, 1 where not."""
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise CommandError(f"{package} is not installed: pip install 'spanpipe[local]'")
    from spanpipe.run.viewing import opened_page, stay
    from spanpipe.run.watch import watched

    _check(options)
    # Mistakes are told before anything is opened.
    work = _work(options)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with ExitStack() as stack:
        page = stack.enter_context(opened_page(options, work.screen)) if options.view else None
        if options.watch:
            return watched(work, lambda: _work(options), lambda one: _once(one, page))
        status = _once(work, page)
        if page is not None:
            stay(page, work.screen)
        return status


def _check(options: argparse.Namespace) -> None:
    """What does not go together. Raises CommandError."""
    if options.view and options.endpoint is not None:
        raise CommandError("--view shows what comes here; leave it or --endpoint out")
    if options.page_port is not None and not options.view:
        raise CommandError("--page-port is of the page that --view opens; add --view")
    if options.watch and "-" in (options.event or []):
        raise CommandError("--watch cannot read standard input again; use --event @FILE")
    if options.functions is not None and options.template is not None:
        raise CommandError("--functions and --template say the same; leave one of them out")
    if options.parameter and options.template is None:
        raise CommandError("--parameter is of the template that --template names; add it")
    several = "--functions" if options.functions is not None else "--template"
    if options.functions is not None or options.template is not None:
        for name in ("directory", "faults"):
            if getattr(options, name) is not None:
                raise CommandError(f"--{name} is for one function; leave it or {several} out")


def _work(options: argparse.Namespace) -> Work:
    """Everything that is to be done, read and checked. Raises CommandError."""
    from spanpipe.run.screen import Screen
    from spanpipe.run.several import SeveralSession, entries_of, template_entries
    from spanpipe.run.single import SingleSession
    from spanpipe.run.watch import Work

    events = read_events(options.event or ["{}"])
    count = len(events) if options.count is None else options.count
    if count < 1 or options.timeout <= 0 or options.memory < 1:
        raise CommandError("--count, --timeout and --memory must be above 0")
    screen = Screen(options.output or (WATERFALL if count <= MAX_WATERFALLS else "table"))
    session: Session
    if options.functions is not None:
        session = SeveralSession(options, screen, options.functions, entries_of(options.functions))
    elif options.template is not None:
        functions = template_entries(options)
        session = SeveralSession(options, screen, options.template, functions)
    else:
        session = SingleSession(options, screen)
    return Work(session, screen, events, count, _named_files(options))


def _named_files(options: argparse.Namespace) -> list[Path]:
    """What the command line names beside the code."""
    named = [one[1:] for one in options.event or [] if one.startswith("@")]
    named += [
        *options.env_file,
        options.functions,
        options.template,
        options.faults,
        options.config,
    ]
    return [Path(one).resolve() for one in named if one is not None]


def _once(work: Work, page: Any) -> int:
    session = work.session
    session.page = page
    try:
        with tempfile.TemporaryDirectory(prefix="spanpipe-run-") as folder:
            return session.run(work.events, work.count, Path(folder))
    finally:
        session.finished()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
