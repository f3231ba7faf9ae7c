"""Every symptom of the troubleshooting page, produced for real and named by the doctor.

The log is what the function and its extension have printed, and the answers that the platform gave
in their place: Lambda writes the same words into the log.
"""

from __future__ import annotations

import json
import math
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme

from collectors import breaking
from collectors.ports import free_port
from docs.troubleshooting_page import COMPLAINTS
from extension.blackbox import NAME
from fifo import pipes
from sandbox.environment import Function, InvocationResult, LambdaEnvironment
from sandbox.launcher import write_extensions
from sandbox.receiver import Receiver
from spanpipe import cli
from spanpipe.doctor.findings import Level
from spanpipe.doctor.symptoms import SYMPTOMS
from tests.shells.test_doctor import PLAIN, installed, layer, written
from tests.whole.scenario import FOLDER
from tests.whole.test_environments import eventually

IDLE_S = 10.0
TIMEOUT_S = 20.0
"""A tenth of it is for an export: enough for an answer on a busy machine."""
QUICK = "exporter: {otlp_http: {timeout: 200}}\n"
FATES = "fate_function.handler"
OWN_FIFO = "from fifo import capture\n\n\n@capture\ndef handler(event, context):\n    return 1\n"
SLOW_INIT = "import time\n\ntime.sleep(3.1)\n\n\ndef handler(event, context):\n    return 1\n"


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, set[str]]:
    """The exit status, and the names of what is not well."""
    capsys.readouterr()
    status = cli.main(["doctor", *arguments, "--json"])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, {one["name"] for one in findings if one["level"] != "ok"}


@contextmanager
def address(url: str) -> Iterator[str]:
    """An endpoint where nothing has to be started."""
    yield url


@contextmanager
def of(collector: breaking.Collector, scheme: str = "http") -> Iterator[str]:
    with collector:
        yield f"{scheme}://127.0.0.1:{collector.port}/v1/traces"


@contextmanager
def receiving() -> Iterator[str]:
    with Receiver() as receiver:
        yield receiver.http_endpoint


def answering(status: str, body: bytes = b"", *headers: str) -> AbstractContextManager[str]:
    return of(breaking.answering(breaking.http_answer(status, body, *headers)))


def untrusted() -> AbstractContextManager[str]:
    """TLS by an authority that nobody here knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    collector = breaking.Collector(lambda connection, stopped: None, context)
    return of(collector, "https")


def nowhere() -> AbstractContextManager[str]:
    return address(f"http://127.0.0.1:{free_port()}/v1/traces")


Between = Callable[[LambdaEnvironment], object]


@dataclass(frozen=True)
class Case:
    """A function's life and what the doctor must name in its log, more or less nothing.

    `files` are a function of its own; `also` are further findings that come with it, here or not,
    as the timing falls. `before` and `between` change the environment.
    """

    endpoint: Callable[[], AbstractContextManager[str]]
    expected: set[str]
    config: str = ""
    events: tuple[Any, ...] = ({"do": "fine"},)
    handler: str = FATES
    environ: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    before: Between = lambda environment: None
    between: Between = lambda environment: None
    with_layer: bool = True
    reports: bool = False
    also: frozenset[str] = frozenset()


def hostile_fifo(environment: LambdaEnvironment) -> None:
    (Path(environment.directory) / pipes.RESULTS_NAME).write_text("")


def kill_extension(environment: LambdaEnvironment) -> None:
    """Once it has noted that the first invocation waits, which it does when the second comes."""
    assert environment.wait_idle(IDLE_S)
    noted, newest = Path(environment.directory) / NAME, environment.invocations[-1].request_id
    assert eventually(lambda: newest.encode() in noted.read_bytes())
    assert environment.kill("extension")


def stores_answer_there(environment: LambdaEnvironment) -> None:
    """AWS's services are where the collector is."""
    environ = environment.function.environ
    base = environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].removesuffix("/v1/traces")
    environ["AWS_ENDPOINT_URL"] = base


ROLE = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "of-nobody",
}
KEYED = "exporter: {otlp_http: {headers: [{name: key, value: '${secretsmanager:backend}'}]}}\n"
SIGNED = "auth: {sigv4: {service: xray}}\n"


def refusing(code: str, message: str = "", status: str = "400 Bad Request") -> Any:
    """As AWS's services say no."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return lambda: answering(status, body)


LEFT = {"left_in_spool"}
KEPT_ANYHOW = frozenset({"left_in_spool", "sent_perhaps_twice"})
LIVES: dict[str, Case] = {
    "all is well": Case(receiving, set()),
    "the layer is absent": Case(receiving, {"layer_absent"}, with_layer=False),
    "nobody listens": Case(nowhere, {"collector_unreachable", *LEFT}),
    "no such name": Case(
        lambda: address("http://collector.invalid:4318/v1/traces"),
        {"collector_name_unknown", *LEFT},
        config=QUICK,
        also=KEPT_ANYHOW,
    ),
    "a certificate of nobody": Case(untrusted, {"collector_tls", *LEFT}),
    "401": Case(lambda: answering("401 Unauthorized"), {"collector_denies_key", *LEFT}),
    "404": Case(
        lambda: answering("404 Not Found"), {"collector_wrong_path", "refused_by_collector"}
    ),
    "302": Case(
        lambda: answering("302 Found", b"", "Location: /x"), {"collector_redirects", *LEFT}
    ),
    "413": Case(
        lambda: answering("413 Content Too Large"),
        {"collector_request_too_large", "refused_by_collector"},
    ),
    "429": Case(lambda: answering("429 Too Many Requests"), {"collector_throttles", *LEFT}),
    "503": Case(lambda: answering("503 Service Unavailable"), {"collector_fails", *LEFT}),
    "partial success": Case(
        lambda: answering("200 OK", breaking.partial_success(1, "no such tenant")),
        {"collector_rejects", "rejected_by_collector"},
    ),
    "hanging": Case(
        lambda: of(breaking.hanging()),
        {"collector_slow", "sent_perhaps_twice", *LEFT},
        config=QUICK,
    ),
    "hanging up": Case(
        lambda: of(breaking.resetting()),
        {"collector_hangs_up", "sent_perhaps_twice", *LEFT},
    ),
    "a secret that is not there": Case(
        refusing("ResourceNotFoundException"),
        {"secret_unusable", "secret_missing", *LEFT},
        config=KEYED,
        environ=ROLE,
        before=stores_answer_there,
    ),
    "a store that does not answer": Case(
        nowhere,
        {"secret_unreachable", "secret_missing", *LEFT},
        config=KEYED,
        environ=ROLE,
        before=stores_answer_there,
    ),
    "a role without the permission": Case(
        refusing("AccessDeniedException"),
        {"role_denied", "secret_missing", *LEFT},
        config=KEYED,
        environ=ROLE,
        before=stores_answer_there,
    ),
    "no credentials": Case(
        receiving,
        {"credentials_missing", "secret_missing", *LEFT},
        config=SIGNED,
        environ={"AWS_REGION": "eu-west-1"},
    ),
    "a signature of another region": Case(
        refusing("InvalidSignatureException", "Credential should be scoped", "403 Forbidden"),
        {"signature_refused", *LEFT},
        config=SIGNED,
        environ=ROLE,
    ),
    "a signature's time": Case(
        refusing("InvalidSignatureException", "Signature expired: a is now earlier than b"),
        {"clock_wrong", *LEFT},
        config=SIGNED,
        environ=ROLE,
    ),
    "printed": Case(
        nowhere,
        {"collector_unreachable", "spans_in_log"},
        config="fallback: stdout\n",
    ),
    "a broken configuration": Case(
        receiving, {"configuration_broken", "no_exporter"}, config="flush: {mode: sometimes}\n"
    ),
    "a file at the FIFO's path": Case(receiving, {"fifo_replaced"}, before=hostile_fifo),
    "a timeout": Case(
        receiving, {"function_timed_out"}, events=({"do": "hang"},), changes={"timeout_s": 1.0}
    ),
    "out of memory": Case(
        receiving,
        {"function_out_of_memory"},
        events=({"do": "memory"},),
        changes={"timeout_s": 20.0, "enforce_memory": True},
    ),
    "an exit": Case(receiving, {"function_exited"}, events=({"do": "_exit"},)),
    "a failed import": Case(receiving, {"init_failed"}, environ={"INIT_MODE": "import"}),
    "a killed extension": Case(
        receiving,
        {"extension_crashed", "extension_killed", "lost_extension_killed"},
        config="flush: {mode: next, max_age_ms: 600000}\n",
        events=({"do": "fine"}, {"do": "fine"}, {"do": "fine"}, {"do": "fine"}),
        between=kill_extension,
        # What is told of the invocation that ran has no body.
        also=frozenset({"payload_cut"}),
    ),
    "a fifo of its own": Case(
        receiving,
        {"fifo_shadowed"},
        handler="app.handler",
        files={"app.py": OWN_FIFO, "fifo.py": ""},
    ),
    "a large result": Case(
        receiving,
        {"payload_cut"},
        events=("x" * 100_000,),
        handler="captured_function.captured",
    ),
    "a stranger's request ID": Case(receiving, {"unknown_request"}, events=({"do": "unknown"},)),
    "a late message": Case(receiving, {"late"}, events=({"do": "late"}, {"do": "fine"})),
    "a result that comes twice": Case(receiving, {"duplicate"}, events=({"do": "twice"},)),
    "a slow init": Case(
        receiving,
        {"init_slow"},
        handler="app.handler",
        files={"app.py": SLOW_INIT},
        reports=True,
        # The first export is waited for, on a busy machine for longer than 200 ms.
        also=frozenset({"billed_longer"}),
    ),
    "a held environment": Case(
        lambda: of(breaking.hanging()),
        {"billed_longer", "collector_slow", "sent_perhaps_twice", *LEFT},
        config="exporter: {otlp_http: {timeout: 600}}\nflush: {mode: end}\n",
        changes={"timeout_s": 10.0},
        reports=True,
    ),
}


def report(result: InvocationResult, billed_s: float, init_s: float) -> str:
    """Lambda's line, with the figures that were measured here."""
    duration_ms = result.duration_s * 1000
    return (
        f"REPORT RequestId: {result.request_id}\tDuration: {duration_ms:.2f} ms\t"
        f"Billed Duration: {math.ceil(billed_s * 1000)} ms\tMemory Size: 128 MB\t"
        f"Max Memory Used: 64 MB\tInit Duration: {init_s * 1000:.2f} ms"
    )


def log_of(folder: Path, case: Case) -> list[str]:
    """What one life leaves in the log."""
    lines: list[str] = []
    code = written(folder / "function", case.files) if case.files else FOLDER
    extensions = folder / "none"
    extensions.mkdir()
    if case.with_layer:
        extensions = write_extensions(folder)
    with case.endpoint() as endpoint:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, **case.environ}
        if case.config:
            file = folder / "spanpipe.yaml"
            file.write_text(case.config)
            environ["SPANPIPE_CONFIG"] = str(file)
        function = Function(
            case.handler, str(code), environ=environ, **{"timeout_s": TIMEOUT_S, **case.changes}
        )
        environment = LambdaEnvironment(
            function, str(extensions), on_line=lambda name, line: lines.append(line)
        )
        with environment:
            case.before(environment)
            for number, event in enumerate(case.events):
                if number == 2:
                    case.between(environment)
                began_s = time.monotonic()
                result = environment.invoke(json.dumps(event).encode())
                if result.status != "returned":
                    lines.append(result.payload.decode())
                if case.reports:
                    init_s = time.monotonic() - began_s - result.duration_s
                    assert environment.wait_idle(IDLE_S)
                    lines.append(report(result, time.monotonic() - began_s, init_s))
            environment.shutdown()
    return lines


PRODUCED: set[str] = {name for case in LIVES.values() for name in case.expected}


@pytest.mark.parametrize("name", LIVES)
def test_a_life_and_what_its_log_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The doctor names what was done to the function, and nothing else."""
    case = LIVES[name]
    log = tmp_path / "log"
    log.write_text("\n".join(log_of(tmp_path, case)) + "\nend\n")
    status, told = doctor(capsys, str(log))
    assert told - case.also == case.expected - case.also, log.read_text()
    problems = [one for one in told if SYMPTOMS[one].level is Level.PROBLEM]
    assert status == (1 if problems else 0)


OF_FOLDERS = {
    "handler_not_captured": ({"app.py": PLAIN}, "app.handler"),
    "handler_missing": ({"app.py": PLAIN}, "app.other"),
    "spanpipe_shadowed": (
        {"app.py": OWN_FIFO.replace("fifo", "spanpipe"), "spanpipe.py": ""},
        "app.handler",
    ),
    "fifo_shadowed": ({"app.py": OWN_FIFO, "fifo.py": ""}, "app.handler"),
}


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_a_functions_folder_before_it_is_deployed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What would be seen of it in Lambda too late."""
    files, handler = OF_FOLDERS[name]
    folder = written(tmp_path, files)
    assert doctor(capsys, str(folder), "--handler", handler) == (1, {name})


def test_a_layer_that_cannot_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its bit the environment's own kernel refuses it; the doctor says so beforehand."""
    folder = layer(tmp_path)
    (folder / "extensions" / "spanpipe").chmod(0o644)
    function = Function(FATES, str(FOLDER), timeout_s=5.0)
    with (
        pytest.raises(PermissionError),
        LambdaEnvironment(function, str(folder / "extensions")) as environment,
    ):
        environment.invoke(b'{"do": "fine"}')
    assert doctor(capsys, str(folder)) == (1, {"layer_not_executable"})


def test_a_layer_for_another_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No Python, and a Python that it has no byte code for."""
    folder = str(layer(tmp_path))
    assert doctor(capsys, folder, "--runtime", "nodejs22.x") == (1, {"layer_runtime_unfit"})
    assert doctor(capsys, folder, "--runtime", "python3.14") == (0, {"layer_no_byte_code"})


FULL = """\
import os


def handler(event, context):
    with open(os.environ["SPANPIPE_DIR"] + "/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            return "full"
"""


def test_a_disk_that_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The function fills a `/tmp` of 1 MiB, and the spool finds no room; `run` tells the log."""
    code, small = written(tmp_path / "code", {"app.py": FULL}), tmp_path / "tmp"
    small.mkdir()
    command = [sys.executable, "-m", "spanpipe", "run", "app.handler", "--endpoint"]
    command += [f"http://127.0.0.1:{free_port()}/v1/traces"]
    mounted = 'mount -t tmpfs -o size=1m none "$TMPDIR" && exec "$@"'
    unshared = ["unshare", *(["-r"] if os.geteuid() else []), "-m", "sh", "-c"]
    environ = {**os.environ, "TMPDIR": str(small)}
    if subprocess.run([*unshared, 'mount -t tmpfs none "$TMPDIR"'], env=environ).returncode:  # noqa: PLW1510
        pytest.skip("mounts are not allowed here")
    done = subprocess.run(
        [*unshared, mounted, "sh", *command],
        cwd=code,
        env=environ,
        capture_output=True,
        check=False,
    )
    log = tmp_path / "log"
    log.write_bytes(done.stderr)
    assert doctor(capsys, str(log)) == (
        1,
        {"collector_unreachable", "disk_full", "spool_full", "details_dropped"},
    ), log.read_text()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own, with a collector whose answers are an hour late."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPANPIPE_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_clock_that_is_an_hour_off(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The collector's own date tells."""
    date = formatdate(time.time() - 3600, usegmt=True)
    with answering("200 OK", b"", f"Date: {date}") as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        assert doctor(capsys) == (1, {"clock_wrong"})


def test_packages_of_another_version_and_none(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is asked for and what is installed, as the installer has left it."""
    installed(here, "requests", "2.31.0")
    wanted = ("requests>=2.32", "none-such>=1; extra == 'local'")
    installed(here, "spanpipe", "0.1.0", *wanted)
    with receiving() as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        assert doctor(capsys) == (1, {"packages_unfit", "local_missing"})


def test_every_symptom_of_the_page_is_produced_here() -> None:
    """None is described that nobody has seen."""
    described = {name for one in COMPLAINTS for name in one.findings}
    of_layers = {"layer_not_executable", "layer_runtime_unfit", "layer_no_byte_code"}
    of_here = {"clock_wrong", "packages_unfit", "local_missing", "disk_full", "spool_full"}
    assert described - PRODUCED - set(OF_FOLDERS) - of_layers - of_here == set()
