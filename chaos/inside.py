"""One experiment in a process of its own, perhaps in namespaces: its result goes to a file.

python -m chaos.inside EXPERIMENT --json FILE --count N --seed S NAME...
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos import hold, memory, row, shutdown
from chaos.plan import SkippedError

EXPERIMENTS: Mapping[str, Callable[[list[str], int, int, Path], dict[str, Any]]] = {
    "row": row.run,
    "hold": hold.run,
    "shutdown": shutdown.run,
    "memory": memory.run,
}


def main() -> None:
    """Run it; a fault that cannot be made here gives a result with `skipped`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--json", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spanpipe-chaos-") as folder:
        run = EXPERIMENTS[options.experiment]
        try:
            result = run(options.names, options.count, options.seed, Path(folder))
        except SkippedError as error:
            result = {"name": " + ".join(options.names), "skipped": str(error), "failures": []}
    Path(options.json).write_text(json.dumps(result))
    sys.stdout.flush()
    # A thread may still sit in a collector that never ends.
    os._exit(0)


if __name__ == "__main__":
    main()
