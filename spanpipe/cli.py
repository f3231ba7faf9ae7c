"""The command ``spanpipe``: only finds the sub-command and turns its errors into lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from spanpipe import check, json_schema, send
from spanpipe.doctor import command as doctor
from spanpipe.errors import CommandError
from spanpipe.layer import command as layer
from spanpipe.run import command as run
from spanpipe.view import command as view

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="spanpipe", description="One span for each Lambda invocation: try it here, check it."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run.add_parser(commands)
    check.add_parser(commands)
    send.add_parser(commands)
    view.add_parser(commands)
    doctor.add_parser(commands)
    layer.add_parser(commands)
    json_schema.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        status: int = options.main(options)
    except CommandError as error:
        for line in str(error).splitlines():
            print(f"spanpipe {options.command}: {line}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        print("spanpipe: interrupted", file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    return status
