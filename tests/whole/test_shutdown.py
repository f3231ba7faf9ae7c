"""SHUTDOWN with spans waiting: over 100 ms before its deadline, whatever the collector does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors import breaking
from collectors.ports import free_port
from sandbox.receiver import Receiver
from tests.whole.fetch import cannot
from tests.whole.shutdown_driver import INVOCATIONS, shut_down

HTTP = "http/protobuf"
GRPC = "grpc"
EXIT_BEFORE_DEADLINE_S = 0.100
EXIT_LIMIT_S = 1.900
ALL_EXPORTED = f"accepted {INVOCATIONS} = exported {INVOCATIONS} + waiting 0 + dropped 0"
NONE_EXPORTED = (
    f"accepted {INVOCATIONS} = exported 0 + waiting 0 + spooled {INVOCATIONS} + dropped 0"
)
ROOT = Path(__file__).resolve().parents[2]


def check(result: dict[str, Any], ledger: str) -> None:
    """In time, by itself, and with the ledger's line."""
    assert (result["status"], result["killed"]) == (0, False), result
    assert result["before_deadline_s"] > EXIT_BEFORE_DEADLINE_S, result
    assert result["after_s"] <= EXIT_LIMIT_S, result
    last = re.sub(r"; (uncertain \d+|body bytes: .*)", "", result["lines"][-1])
    assert last == f"spanpipe: shutdown spindown: {ledger}", result


def url(port: int, protocol: str) -> str:
    return f"http://127.0.0.1:{port}" + ("/v1/traces" if protocol == HTTP else "")


@contextmanager
def bad_collector(name: str, protocol: str) -> Iterator[str]:
    """The endpoint of one."""
    if name == "refused":
        yield url(free_port(), protocol)
    elif name == "unanswered SYN":
        with breaking.FullBacklog() as full:
            yield url(full.port, protocol)
    else:
        makers = {
            "hanging": breaking.hanging,
            "dripping": lambda: breaking.dripping(breaking.OK),
            "503": lambda: breaking.answering(breaking.http_answer("503 Busy")),
            "302": lambda: breaking.answering(
                breaking.http_answer("302 Found", b"", "Location: http://127.0.0.1:1/")
            ),
        }
        with makers[name]() as collector:
            yield url(collector.port, protocol)


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_everything_leaves_when_the_collector_is_up(tmp_path: Path, protocol: str) -> None:
    """With a collector that answers, all spans have left and the ledger says so."""
    with Receiver(grpc=protocol == GRPC) as receiver:
        endpoint = receiver.http_endpoint if protocol == HTTP else receiver.grpc_endpoint
        check(shut_down(endpoint, protocol, tmp_path), ALL_EXPORTED)
        servers = [span for span in receiver.spans() if span.kind == 2]
        assert len(servers) == INVOCATIONS


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        *((name, HTTP) for name in ("refused", "hanging", "dripping", "503", "302")),
        ("unanswered SYN", HTTP),
        ("refused", GRPC),
        ("hanging", GRPC),
        ("unanswered SYN", GRPC),
    ],
)
def test_it_leaves_in_time_and_says_what_was_not_exported(
    tmp_path: Path, name: str, protocol: str
) -> None:
    """With every bad collector the extension leaves in time and names what was lost."""
    with bad_collector(name, protocol) as endpoint:
        check(shut_down(endpoint, protocol, tmp_path), NONE_EXPORTED)


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_silent_name_server_does_not_hold_it(tmp_path: Path, protocol: str) -> None:
    """Name resolution, which obeys no timeout, is left behind with the process."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        cannot("unshare (util-linux) and ip (iproute2) are needed for a network namespace")
    options = ["-m", "-n"] if os.geteuid() == 0 else ["-r", "-m", "-n"]
    if subprocess.run([str(unshare), *options, "true"], check=False).returncode:
        cannot("network namespaces are not to be had here")
    endpoint = "http://collector.example:4318/v1/traces"
    if protocol == GRPC:
        endpoint = "http://collector.example:4317"
    done = subprocess.run(
        [
            str(unshare),
            *options,
            sys.executable,
            "-m",
            "tests.whole.shutdown_driver",
            endpoint,
            protocol,
            "--silent-name-server",
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result.pop("asked_for_names")
    check(result, NONE_EXPORTED)
