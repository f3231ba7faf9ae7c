"""What `/next` is held for after the function's end, where nothing is due.

A handler without a writer, as fast as a handler can be, in the sandbox: with the Telemetry API
and without, in each flush mode, and with an extension that only asks, in turn. What is told is
Lambda's PostRuntimeExtensionsDuration: from the runtime's `/invocation/next` to the last
extension's `/event/next`. The design's bound is 1 ms p99.

python -m bench.held [--runs 1500] [--warm-up 500] [--pause-ms 0] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import interleaved, machine, table, write_json
from extension.settings import MAX_WAITING
from sandbox.environment import Function, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver

FLOOR = "asks only"
HANDLER = "def handler(event, context):\n    return {}\n"
IDLE_S = 10.0
ASKS_ONLY = """\
#!{python}
import http.client, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2020-01-01/extension"
names = {{"Lambda-Extension-Name": "asks"}}
api.request("POST", base + "/register", '{{"events": ["INVOKE", "SHUTDOWN"]}}', names)
answer = api.getresponse()
answer.read()
header = {{"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}}
while True:
    api.request("GET", base + "/event/next", headers=header)
    if b"SHUTDOWN" in api.getresponse().read():
        break
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1500)
    parser.add_argument("--warm-up", type=int, default=500)
    parser.add_argument("--pause-ms", type=float, default=0, help="between invocations")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.runs + options.warm_up >= MAX_WAITING:
        parser.error(
            f"--runs and --warm-up together: fewer than {MAX_WAITING:,}, or a batch is due"
        )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "plain.py").write_text(HANDLER)
        receiver = stack.enter_context(Receiver())
        contestants: dict[str, Callable[[], float]] = {
            FLOOR: stack.enter_context(_floor(folder, options.pause_ms))
        }
        for mode in ("next", "auto"):
            for telemetry in (False, True):
                name = f"{mode}, {'with' if telemetry else 'no'} Telemetry API"
                contestants[name] = stack.enter_context(
                    _ours(folder, receiver, mode, telemetry, options.pause_ms)
                )
        seconds = interleaved(contestants, options.runs, options.warm_up)
    print(machine())
    print(f"after the function's end, {options.runs} invocations each:")
    print(table(seconds, 1e-3, "ms", FLOOR))
    if options.json:
        write_json(options.json, seconds)


@contextmanager
def _floor(folder: Path, pause_ms: float) -> Iterator[Callable[[], float]]:
    extensions = folder / "floor"
    extensions.mkdir()
    program = extensions / "asks"
    program.write_text(ASKS_ONLY.format(python=sys.executable))
    program.chmod(0o755)
    with LambdaEnvironment(Function("plain.handler", str(folder)), str(extensions)) as env:
        yield lambda: _held_s(env, pause_ms)


@contextmanager
def _ours(
    folder: Path, receiver: Receiver, mode: str, telemetry: bool, pause_ms: float
) -> Iterator[Callable[[], float]]:
    own = folder / f"{mode}-{telemetry}"
    own.mkdir()
    config = own / "spanpipe.yaml"
    # A batch is due when it is full alone, and is not in this run: nothing due is what is measured.
    # So runs and warm-up together are fewer than may wait in memory.
    config.write_text(
        f"flush: {{mode: {mode}, max_age_ms: 600000, max_spans: {MAX_WAITING}, "
        "max_bytes: 16777216}\n"
    )
    environ = {
        "SPANPIPE_CONFIG": str(config),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.http_endpoint,
    }
    function = Function("plain.handler", str(folder), environ=environ)
    with LambdaEnvironment(function, str(write_extensions(own)), telemetry=telemetry) as env:
        yield lambda: _held_s(env, pause_ms)


def _held_s(env: LambdaEnvironment, pause_ms: float) -> float:
    result = env.invoke(b"{}")
    assert env.wait_idle(IDLE_S)
    held_s = env.invocations[result.ordinal - 1].post_runtime_extensions_s
    assert held_s is not None
    if pause_ms:
        time.sleep(pause_ms / 1000)
    return held_s


if __name__ == "__main__":
    main()
