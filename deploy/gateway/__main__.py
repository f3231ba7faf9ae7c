"""``python -m deploy.gateway FILE``: build the Collector for these configurations."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.gateway.build import BuildError, build


def main() -> int:
    """The exit status: 0 where the program is there, 1 where not."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.gateway",
        description="Build the OpenTelemetry Collector that deploy/gateway's files are for, from "
        "the Go module proxy. It takes minutes.",
    )
    parser.add_argument("file", type=Path, help="where the program goes")
    program = parser.parse_args().file
    try:
        build(program)
    except (BuildError, OSError) as error:
        print(f"deploy.gateway: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    print(f"{program}: {program.stat().st_size / 1e6:.0f} MB")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
