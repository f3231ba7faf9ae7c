"""Several functions that call one another: an environment for each, URLs, and queues between.

Each function has a URL on loopback and one environment, as with a reserved concurrency of 1:
who finds it busy waits for the function's timeout and is then refused (429). Queues are at
``AWS_ENDPOINT_URL_SQS`` in SQS's own protocol; what is sent there comes to the function whose
event source the queue is.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from sandbox import function_url, sqs
from sandbox.closing import Closing
from sandbox.environment import Function, InvocationResult, LambdaEnvironment
from sandbox.faults import RUNTIME
from sandbox.function import RETURNED
from sandbox.http_server import LoopbackServer, QuietHandler
from sandbox.opt import Opt
from sandbox.processes import OnLine
from sandbox.queues import Message, Queues, lambda_event
from sandbox.state import Invocation

MAX_REQUEST_BYTES = 6 * 1024 * 1024
"""A function URL's own bound for a request."""
CLOSE_S = 5.0
"""How long an invocation whose runtime was killed may take to be over."""

URL_OF = "url_of"
QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable's value that is known only here: `kind` is `URL_OF` a function, or a `QUEUE`."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class EventSource:
    """A queue whose messages invoke a function, at most `batch_size` at once.

    `window_s`: how long a first message waits for others. `item_failures`: the function's
    ``batchItemFailures`` are heeded (``ReportBatchItemFailures``), else a batch fails whole.
    """

    queue: str
    batch_size: int = 10
    window_s: float = 0.0
    item_failures: bool = False


@dataclass(frozen=True, slots=True)
class Deployed:
    """One function of the application, and what it is told of the others."""

    function: Function
    references: Mapping[str, Reference] = field(default_factory=dict)
    source: EventSource | None = None
    opt: Opt | None = None
    """What its layers put there; its extensions are started then, and no others."""
    runtime_command: tuple[str, ...] | None = None
    """Of another language's runtime; None: Python's."""


OnInvoked = Callable[[str, InvocationResult, float], None]
"""Told of each invocation that is over: whose, its result, and when it began (Unix, seconds)."""


class Application(Closing):
    """`functions`, reachable until `close`. `on_invoked` is called from any thread."""

    def __init__(
        self,
        functions: Sequence[Deployed],
        extensions_directory: str,
        *,
        on_line: OnLine = lambda name, line: None,
        on_invoked: OnInvoked = lambda name, result, began_unix_s: None,
        telemetry: bool = False,
    ) -> None:
        sources = [(one.function.name, one.source) for one in functions if one.source]
        self.queues = Queues(source.queue for _, source in sources)
        self._on_line = on_line
        self._closing = threading.Event()
        endpoint = sqs.SqsEndpoint(self.queues, self.queue_url, _unix_ms)
        self._sqs = LoopbackServer(_sqs_handler(endpoint))
        self._servers = {
            one.function.name: LoopbackServer(_url_handler(self, one.function.name))
            for one in functions
        }
        self._seats = {
            one.function.name: _Seat(
                LambdaEnvironment(
                    self._told(one),
                    str(one.opt.extensions) if one.opt else extensions_directory,
                    opt=one.opt,
                    runtime_command=one.runtime_command,
                    on_line=_prefixed(on_line, one.function.name),
                    telemetry=telemetry,
                ),
                on_invoked,
                self._closing,
            )
            for one in functions
        }
        self._pollers = [
            threading.Thread(target=self._poll, args=pair, daemon=True) for pair in sources
        ]
        for poller in self._pollers:
            poller.start()

    def url_of(self, name: str) -> str:
        """The URL of function `name`, a slash at its end."""
        return f"http://{self._servers[name].address}/"

    def queue_url(self, name: str) -> str:
        """The URL of queue `name`, as SQS would give it."""
        return f"http://{self._sqs.address}/123456789012/{name}"

    def invoke(
        self, name: str, event: bytes, trace_header: str | None = None
    ) -> InvocationResult | None:
        """Invoke function `name`; None where it stayed busy for its whole timeout."""
        return self._seats[name].invoke(event, trace_header)

    def wait_idle(self) -> None:
        """Until no message waits or is worked on."""
        self.queues.wait_idle()

    def shutdown(self) -> None:
        """End every environment as Lambda does in quiet times, once nobody is in it."""
        for seat in self._seats.values():
            seat.shutdown()

    def invocations_of(self, name: str) -> list[Invocation]:
        """Those of function `name` so far, as the platform saw them."""
        return list(self._seats[name].environment.invocations)

    def stop(self) -> None:
        """End what runs now, and begin nothing any more; from any thread."""
        self._closing.set()
        self.queues.close()
        for seat in self._seats.values():
            seat.environment.kill(RUNTIME)

    def close(self) -> None:
        """End everything, whatever still runs."""
        self._closing.set()
        self.queues.close()
        for seat in self._seats.values():
            seat.close()
        for poller in self._pollers:
            poller.join()
        for server in (self._sqs, *self._servers.values()):
            server.close()

    def _told(self, one: Deployed) -> Function:
        """The function with the addresses in its variables, and credentials that are none."""
        look_up = {URL_OF: self.url_of, QUEUE: self.queue_url}
        environ = {
            "AWS_ENDPOINT_URL_SQS": f"http://{self._sqs.address}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            **one.function.environ,
            **{name: look_up[ref.kind](ref.name) for name, ref in one.references.items()},
        }
        return dataclasses.replace(one.function, environ=environ)

    def _poll(self, name: str, source: EventSource) -> None:
        function = self._seats[name].environment.function
        arn = f"arn:aws:sqs:{function.region}:{function.account_id}:{source.queue}"
        while True:
            batch = self.queues.take(source.queue, source.batch_size, source.window_s, _unix_ms)
            if not batch:
                return
            event = json.dumps(lambda_event(batch, arn, function.region)).encode()
            try:
                result = self.invoke(name, event)
            except BaseException:
                self.queues.close()  # nobody would settle the batch: who waits must not for ever
                raise
            failed = failed_ids(batch, result, source.item_failures)
            self.queues.settle(source.queue, batch, failed)


class _Seat:
    """One environment and who may use it."""

    def __init__(
        self, environment: LambdaEnvironment, on_invoked: OnInvoked, closing: threading.Event
    ) -> None:
        self.environment = environment
        self._on_invoked = on_invoked
        self._closing = closing
        self._free = threading.Lock()

    def invoke(self, event: bytes, trace_header: str | None) -> InvocationResult | None:
        environment = self.environment
        if not self._free.acquire(timeout=environment.function.timeout_s):
            return None
        try:
            if self._closing.is_set():
                return None
            result = environment.invoke(event, trace_header)
            began_unix_s = environment.invocations[-1].began_unix_s
        finally:
            self._free.release()
        self._on_invoked(environment.function.name, result, began_unix_s)
        return result

    def shutdown(self) -> None:
        # A caller may have gone away before the answer.
        with self._free:
            self.environment.shutdown()

    def close(self) -> None:
        idle = self._free.acquire(blocking=False)
        if not idle:
            self.environment.kill(RUNTIME)
            idle = self._free.acquire(timeout=CLOSE_S)
        try:
            self.environment.close(patient=False)
        finally:
            if idle:
                self._free.release()


def failed_ids(
    batch: list[Message], result: InvocationResult | None, item_failures: bool
) -> set[str]:
    """The messages of `batch` that come again, by ID. Source: "Handling errors for an SQS event
    source in Lambda": what cannot be understood fails the batch whole."""
    everything = {message.message_id for message in batch}
    if result is None or result.status != RETURNED:
        return everything
    if not item_failures:
        return set()
    answer = json.loads(result.payload)
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return set()
    found = {str(one.get("itemIdentifier")) for one in failures if isinstance(one, dict)}
    return found if found <= everything and len(found) == len(failures) else everything


class _Handler(QuietHandler):
    def body(self) -> bytes | None:
        """The request's; None where it is too long, or of a length that is not told."""
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            return None
        if self.headers.get("Transfer-Encoding"):
            return None
        return self.rfile.read(int(length))

    def send(self, response: function_url.Response) -> None:
        """Answer."""
        own = ("content-length", "transfer-encoding", "connection")
        headers = [(name, value) for name, value in response.headers if name.lower() not in own]
        self.reply(response.status, response.body, headers)

    def refuse(self) -> None:
        """A body that is not read: the connection cannot go on."""
        self.close_connection = True
        self.send(function_url.Response(413, [], b""))


def _url_handler(application: Application, name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        def serve(self) -> None:
            body = self.body()
            if body is None:
                self.refuse()
                return
            event = function_url.event_of(
                self.command, self.path, self.headers.items(), body, time.time()
            )
            trace_header = self.headers.get("X-Amzn-Trace-Id")
            result = application.invoke(name, json.dumps(event).encode(), trace_header)
            if result is None:
                self.send(function_url.THROTTLED)
            elif result.status != RETURNED:
                self.send(function_url.ERROR)
            else:
                self.send(function_url.response_of(result.payload))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    return Handler


def _sqs_handler(endpoint: sqs.SqsEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        def do_POST(self) -> None:
            body = self.body()
            if body is None:
                self.refuse()
                return
            target = self.headers.get("X-Amz-Target") or ""
            status, answer = endpoint.answer(target, self.headers.get("X-Amzn-Trace-Id"), body)
            self.send(function_url.Response(status, [("Content-Type", sqs.CONTENT_TYPE)], answer))

    return Handler


def _prefixed(on_line: OnLine, name: str) -> OnLine:
    """Lines of several functions: whose they are comes first."""

    def told(process: str, line: str) -> None:
        on_line(name if process == "function" else f"{name} {process}", line)

    return told


def _unix_ms() -> int:
    return int(time.time() * 1000)
