"""`spanpipe view`: real OTLP in, the page driven in headless Chromium."""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exporter.otlp_json import to_json
from tests.core.test_view_store import request, span

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_S = 30
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs Debian's chromium"
)


@dataclass
class Viewer:
    """A running command, and where it listens."""

    process: subprocess.Popen[str]
    url: str
    traces: str = ""

    def send(self, *spans: Span, function: str = "shop") -> None:
        body = request(*spans, function=function).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        assert requests.post(self.traces, body, headers=headers, timeout=WAIT_S).status_code == 200


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spanpipe", "view", "--page-port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_after(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).split()[0]
    raise AssertionError(f"{word} was not printed")


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)
    return process.returncode


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    """The command with ports of its own."""
    process = started("--http-port", "0", "--grpc-port", "0")
    try:
        traces = line_after(process, "OTLP/HTTP")
        yield Viewer(process, line_after(process, "page"), traces)
    finally:
        ended(process)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright."""
    assert CHROMIUM is not None, "CI needs Debian's chromium: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, viewer: Viewer) -> Iterator[Any]:
    """The page, open; nothing may be complained of in its console."""
    with browser.new_context(color_scheme="light") as context:
        opened = context.new_page()
        complaints: list[str] = []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(viewer.url)
        yield opened
        assert complaints == []


def invocation(trace: int, number: int, fate: str = "returned", **attributes: Any) -> Span:
    failed = fate != "returned"
    return span(
        trace,
        number,
        name="shop",
        attributes={
            "spanpipe.fate": fate,
            "faas.invocation_id": f"request-{number}",
            **({"error.type": "KeyError"} if failed else {}),
            **attributes,
        },
        **({"status": Status(code=Status.STATUS_CODE_ERROR)} if failed else {}),
    )


@needs_chromium
def test_invocations_arrive_while_it_is_open_and_can_be_filtered(page: Any, viewer: Viewer) -> None:
    """Newest first; text, fate and duration narrow the list; the counts say so."""
    from playwright.sync_api import expect

    expect(page.locator("#empty")).to_be_visible()
    viewer.send(invocation(1, 1))
    expect(page.locator("#counts")).to_have_text("1 invocation, 1 span")
    viewer.send(invocation(2, 2, "raised"))
    expect(page.locator("#rows .row span:last-child")).to_have_text(["KeyError", "request-1"])
    viewer.send(invocation(3, 3, **{"faas.coldstart": True}))
    expect(page.locator("#counts")).to_have_text("3 invocations, 3 spans")
    for text, left in (
        ("fate:raised", ["KeyError"]),
        ("cold", ["request-3"]),
        ("REQUEST-1", ["request-1"]),
        ("slower:5000", []),
        ("", ["request-3", "KeyError", "request-1"]),
    ):
        page.fill("#filter", text)
        expect(page.locator("#rows .row span:last-child")).to_have_text(left)


@needs_chromium
def test_a_trace_is_a_waterfall_across_functions(page: Any, viewer: Viewer) -> None:
    """Bars by time, children indented, redacted parts marked, and a link that opens it again."""
    from playwright.sync_api import expect

    body = '{"card": "[REDACTED]", "total": 7}'
    first = invocation(7, 1, **{"spanpipe.result.body": body})
    first.end_time_unix_nano = 11 * 1_000_000_000
    viewer.send(first, span(7, 2, 1, name="query", kind=Span.SPAN_KIND_INTERNAL))
    viewer.send(span(7, 6, 2, name="worker"), function="worker")
    page.locator("#rows .row", has_text="request-1").click()
    rows = page.locator("#waterfall .row")
    expect(rows).to_have_count(3)
    assert [row.split("\n")[:2] for row in rows.all_inner_texts()] == [
        ["shop", "shop"],
        ["query", "shop"],
        ["worker", "worker"],
    ]
    bars = [
        page.eval_on_selector(
            f"#waterfall [data-index='{index}'] i", "e => [e.style.left, e.style.width]"
        )
        for index in range(3)
    ]
    assert bars == [["0%", "100%"], ["10%", "10%"], ["50%", "10%"]]
    assert page.locator("#detail mark").all_inner_texts() == ["[REDACTED]"]
    link = page.locator("#link").get_attribute("href")
    again = page.context.new_page()
    again.goto(viewer.url + link)
    expect(again.locator("#waterfall .row")).to_have_count(3)


@needs_chromium
def test_it_is_used_by_keyboard_alone(page: Any, viewer: Viewer) -> None:
    """Filter, choose, open, walk the spans, close, change the theme."""
    from playwright.sync_api import expect

    viewer.send(invocation(1, 1), invocation(2, 2, "raised"))
    expect(page.locator("#rows .row")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("request-1")
    expect(page.locator("#rows .row")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text("shop")
    assert page.evaluate("location.hash") == f"#trace={1:032x}&span={1:016x}"
    page.keyboard.press("Escape")
    expect(page.locator("#trace")).to_be_hidden()
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (before, after) == ("rgb(255, 255, 255)", "rgb(17, 21, 28)")


@needs_chromium
def test_dark_is_what_the_system_says_and_is_remembered(browser: Any, viewer: Viewer) -> None:
    """Dark by preference; the button's choice outlives a reload."""
    colour = "getComputedStyle(document.body).backgroundColor"
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        page.goto(viewer.url)
        dark = page.evaluate(colour)
        page.click("#theme")
        light = page.evaluate(colour)
        page.reload()
        assert (dark, light, page.evaluate(colour)) == (
            "rgb(17, 21, 28)",
            "rgb(255, 255, 255)",
            "rgb(255, 255, 255)",
        )


@needs_chromium
def test_hostile_spans_are_shown_as_text(page: Any, viewer: Viewer) -> None:
    """Markup in names, attributes and events stays text; nothing is run or fetched."""
    from playwright.sync_api import expect

    hostile = (
        "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    )
    one = span(1, 1, name=hostile, attributes={hostile: hostile, "spanpipe.fate": hostile})
    one.events.add(name=hostile)
    viewer.send(one, function=hostile)
    page.locator("#rows .row").click()
    expect(page.locator("#detail h2")).to_have_text(hostile)
    assert hostile in page.locator("#detail").inner_text()
    assert (page.title(), page.locator("img, #detail script").count()) == ("spanpipe", 0)


@needs_chromium
def test_ten_thousand_spans_do_not_stall_it(page: Any, viewer: Viewer) -> None:
    """In the list and in one trace: only what is seen is in the document, the end is reachable."""
    from playwright.sync_api import expect

    viewer.send(*(invocation(number, number) for number in range(1, 10_001)))
    expect(page.locator("#counts")).to_have_text("10000 invocations, 10000 spans")
    expect(page.locator("#rows .row").first).to_contain_text("request-10000")
    assert page.locator("#rows .row").count() < 100
    page.focus("#rows")
    page.keyboard.press("End")
    expect(page.locator("#rows .row").last).to_contain_text("request-1")
    internal = Span.SPAN_KIND_INTERNAL
    children = (span(1, 20_000 + number, 1, kind=internal) for number in range(10_000))
    viewer.send(*children)
    page.keyboard.press("Enter")
    expect(page.locator("#span-count")).to_contain_text("10001 spans")
    assert page.locator("#waterfall .row").count() < 100
    page.focus("#waterfall")
    page.keyboard.press("End")
    expect(page.locator("#detail h2")).to_have_text("span 29999")


def get(url: str, host: str) -> tuple[int, dict[str, str]]:
    address = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    connection.request("GET", "/", headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_another_site_cannot_read_it(viewer: Viewer) -> None:
    """A foreign Host is refused, no origin is let in, and nothing but its own files may run."""
    status, headers = get(viewer.url, "localhost:1")
    assert (status, get(viewer.url, "evil.example")[0]) == (200, 400)
    assert "access-control-allow-origin" not in headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy


def test_a_log_is_shown(tmp_path: Path) -> None:
    """OTLP JSON lines among others, plain or gzip; damaged ones are named."""
    line = to_json(request(invocation(1, 1), span(1, 2, 1)))
    log = tmp_path / "function.log.gz"
    log.write_bytes(gzip.compress(f"START\n{line}\n{line[:100]}\nEND\n".encode()))
    process = started(str(log))
    try:
        url = line_after(process, "page")
        found = requests.get(f"{url}traces/{1:032x}", timeout=WAIT_S).json()
        assert [one["name"] for one in found] == ["shop", "span 2"]
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT_S)
    assert errors.splitlines()[0].startswith(f"{log}:3: cut off or damaged")


def taken_port() -> Any:
    import socket

    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    found.listen()
    return found


@pytest.mark.parametrize("name", ["http", "grpc", "page"])
def test_a_port_that_is_taken_is_named(name: str) -> None:
    """One line that says which option, and what to do."""
    with taken_port() as taken:
        port = taken.getsockname()[1]
        ports = {"http": 0, "grpc": 0, "page": 0, name: port}
        done = subprocess.run(
            [sys.executable, "-m", "spanpipe", "view"]
            + [text for one, value in ports.items() for text in (f"--{one}-port", str(value))],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("spanpipe view: ")]
    assert (done.returncode, f"--{name}-port {port}: " in line) == (2, True)
    assert line.endswith("another one, or 0 for any that is free")


@pytest.mark.parametrize("text", ["no line of ours\n", None])
def test_a_file_without_spans_is_an_error(tmp_path: Path, text: str | None) -> None:
    """So is one that is not there."""
    log = tmp_path / "function.log"
    if text is not None:
        log.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "spanpipe", "view", "--page-port", "0", str(log)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr.startswith(f"spanpipe view: {log}: ")) == (2, True)
