"""Runs one target: ``python -m fuzz.run TARGET --seconds N``.

With atheris (coverage-guided, the extra `fuzz`) where it is installed, else with the mutator of
our own. New inputs and crashes are left in ``.cache/fuzz/TARGET``, and nothing elsewhere. The
exit status is 1 where anything was found.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from pathlib import Path

from fuzz import corpus
from fuzz.meter import Meter
from fuzz.mutate import MAX_BYTES, Mutator

HANG_S = 60
"""What atheris takes for a hang, by the clock on the wall."""
MAX_RSS_MB = 1_024


def main(arguments: list[str]) -> int:
    """Run; 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument("target", choices=corpus.TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="of the random choices; 1 by default")
    parser.add_argument("--engine", choices=("auto", "atheris", "own"), default="auto")
    options = parser.parse_args(arguments)
    folder = corpus.ROOT / ".cache" / "fuzz" / options.target
    (folder / "new").mkdir(parents=True, exist_ok=True)
    if options.engine != "own":
        try:
            import atheris  # noqa: F401 - whether it is there
        except ImportError:
            if options.engine == "atheris":
                raise
        else:
            return _with_atheris(options, folder)
    meter = Meter(corpus.check_of(options.target), folder, options.seconds)
    kept = [path.read_bytes() for path in corpus.files(options.target)]
    for data in kept:
        meter(data)
    mutator = Mutator(kept, options.seed)
    while not meter.over:
        meter(mutator.next())
    print(meter.summary(options.target, f"own mutator, seed {options.seed}"), flush=True)
    return int(bool(meter.findings))


def _with_atheris(options: argparse.Namespace, folder: Path) -> int:
    import atheris

    # The encoder is the library's, and slow enough without instruments.
    with atheris.instrument_imports(include=["fifo", "extension", "exporter"]):
        check = corpus.check_of(options.target)
    meter = Meter(check, folder, options.seconds)

    def one_input(data: bytes) -> None:
        meter(data)
        if meter.over:
            print(meter.summary(options.target, f"atheris, seed {options.seed}"), flush=True)
            # libFuzzer does not give control back, so what is to be removed is removed now.
            atexit._run_exitfuncs()
            os._exit(int(bool(meter.findings)))

    libfuzzer = [
        sys.argv[0],
        str(folder / "new"),
        str(corpus.FOLDER / options.target),
        f"-max_len={MAX_BYTES}",
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={MAX_RSS_MB}",
        f"-seed={options.seed}",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
    ]
    atheris.Setup(libfuzzer, one_input)
    atheris.Fuzz()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
