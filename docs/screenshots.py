"""Takes the pictures in docs/, of run and view: ``python -m docs.screenshots``.

Wants Debian's chromium. What is shown are the five invocations of ``make demo``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from sandbox.receiver import Receiver
from spanpipe.view.server import Page

FOLDER = Path(__file__).parent
DEMO = ("examples.demo.handler", "--event", "@examples/demo.jsonl", "--timeout", "1")


TERMINAL_COLUMNS = 124


def main() -> None:
    """Write run.svg, view-light.png and view-dark.png."""
    _terminal()
    _page()


def _terminal() -> None:
    """What the command prints, as an image: without the functions' log, and with its colours."""
    command = [sys.executable, "-m", "spanpipe", "run", *DEMO]
    environ = {**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=TERMINAL_COLUMNS, file=nowhere)
        console.print(Text("$ make demo", style="bold"))
        console.print(Text.from_ansi(done.stdout.decode()), soft_wrap=True)
        console.save_svg(str(FOLDER / "run.svg"), title="spanpipe run")


def _page() -> None:
    with closing(Page(0)) as page, Receiver(page.take, keeps=False) as receiver:
        command = [sys.executable, "-m", "spanpipe", "run", *DEMO]
        subprocess.run([*command, "--endpoint", receiver.http_endpoint], check=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for scheme in ("light", "dark"):
                viewport = {"width": 1200, "height": 640}
                opened = browser.new_page(color_scheme=scheme, viewport=viewport)
                opened.goto(page.url)
                opened.locator("#rows .row", has_text="cold").click()
                opened.locator("#detail h2").wait_for()
                opened.mouse.move(0, 0)
                opened.screenshot(path=FOLDER / f"view-{scheme}.png")
            browser.close()


if __name__ == "__main__":
    main()
