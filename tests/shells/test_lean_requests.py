"""`requests` without what no answer here needs, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from exporter.lean_requests import requests
print(*(name in sys.modules for name in ("charset_normalizer", "simplejson", "idna.core")))
print(requests.Request("GET", "http://bücher.example/traces").prepare().url)
import charset_normalizer, idna, idna.core
print(idna.encode("bücher.example").decode(), idna.core.check_label.__name__)
"""


def test_what_is_seldom_needed_is_there_when_it_is() -> None:
    """Neither guesses nor tables are loaded; a host that is not ASCII is told as it must be."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "False False False",
            "http://xn--bcher-kva.example/traces",
            "xn--bcher-kva.example check_label",
        ],
        "",
    )
