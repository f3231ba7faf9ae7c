"""Everything that is measured, one part after the other, and the page that is made of it.

    python -m bench [PART …] [--quick] [--results DIR]

A missed target is told and is no failure; a part that breaks is, after the others have run. In a
hurry (`--quick`) results and page go to `.cache/bench`: they are not to be quoted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from bench import keep, page
from bench.results import RESULTS, ROOT

OWN = (
    "startup",
    "transports",
    "invocations",
    "throughput",
    "cost",
    "timeliness",
    "imports",
    "layer",
    "otlp_lines",
    "bounds",
)
PARTS = (*OWN, *keep.PARTS)
HURRIED = ROOT / ".cache" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", metavar="DIR")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    results = options.results or str(HURRIED / "results" if options.quick else RESULTS)
    began_s = time.monotonic()
    broken = []
    for part in options.parts or PARTS:
        print(f"\n== {part} ==", flush=True)
        module = [f"bench.{part}"] if part in OWN else ["bench.keep", part]
        command = [sys.executable, "-m", *module, "--results", results]
        command += ["--quick"] if options.quick else []
        at_s = time.monotonic()
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            broken.append(part)
        print(f"== {part}: {time.monotonic() - at_s:.0f} s ==", flush=True)
    written = [] if not options.quick else ["--output", str(HURRIED / "benchmarks.md")]
    page.main(["--results", results, *written])
    print(f"bench: {time.monotonic() - began_s:.0f} s in all; {', '.join(broken) or 'none'} broken")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
