"""Takes the pictures of `spanpipe view` in docs/: ``python -m docs.screenshots``.

Wants Debian's chromium. What is shown are the five invocations of ``make demo``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from playwright.sync_api import sync_playwright

from sandbox.receiver import Receiver
from spanpipe.view.server import Page

FOLDER = Path(__file__).parent
DEMO = ("examples.demo.handler", "--event", "@examples/demo.jsonl", "--timeout", "1")


def main() -> None:
    """Write view-light.png and view-dark.png."""
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
