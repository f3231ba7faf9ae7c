"""The collectors of the table: each makes itself the endpoint of a plan."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import trustme

from chaos.plan import GRPC, Plan
from collectors import breaking
from collectors.answering import OK, Answer, AnsweringCollector, Decide, GrpcCollector
from collectors.ports import free_port
from collectors.proxy import Proxy
from sandbox.environment import LambdaEnvironment
from tests.whole.shutdown_driver import be_a_silent_name_server

SLOW_S = 0.3
MAX_BODY_BYTES = 2_000
"""Of the collector that answers 413: a batch of a few invocations is over it, one is not."""
GONE_OF = 6
"""A collector that goes and comes back is gone for as many invocations as it is there."""

Make = Callable[[Plan], None]


def url(port: int, scheme: str = "http") -> str:
    """Of traces over HTTP."""
    return f"{scheme}://127.0.0.1:{port}/v1/traces"


def _answering(decide: Decide) -> Make:
    def make(plan: Plan) -> None:
        collector = plan.stack.enter_context(AnsweringCollector(decide))
        plan.arrivals = collector.arrivals.counts
        plan.export_to(url(collector.port))

    return make


def _always(answer: Answer) -> Make:
    return _answering(lambda number, size: answer)


def _breaking(open_collector: Callable[[], Any], protocol: str | None = None) -> Make:
    def make(plan: Plan) -> None:
        collector = plan.stack.enter_context(open_collector())
        _export_to_port(plan, collector.port, protocol)

    return make


def _refused(protocol: str | None = None) -> Make:
    return lambda plan: _export_to_port(plan, free_port(), protocol)


def _export_to_port(plan: Plan, port: int, protocol: str | None) -> None:
    if protocol == GRPC:
        plan.export_to(f"http://127.0.0.1:{port}", GRPC)
    else:
        plan.export_to(url(port))


def _every_other(answer: Answer) -> Decide:
    return lambda number, size: answer if number % 2 else OK


def _bad_certificate(plan: Plan) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    collector = plan.stack.enter_context(AnsweringCollector(tls=context))
    plan.arrivals = collector.arrivals.counts
    plan.export_to(url(collector.port, "https"))


def _behind_proxy(plan: Plan) -> None:
    collector = plan.stack.enter_context(AnsweringCollector())
    plan.arrivals = collector.arrivals.counts
    plan.environ["HTTP_PROXY"] = plan.stack.enter_context(Proxy()).url
    plan.export_to(url(collector.port))


def _behind_connect_proxy(plan: Plan) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = plan.folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    collector = plan.stack.enter_context(AnsweringCollector(tls=context))
    plan.arrivals = collector.arrivals.counts
    plan.environ["HTTPS_PROXY"] = plan.stack.enter_context(Proxy()).url
    plan.environ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] = str(trusted)
    plan.export_to(url(collector.port, "https"))


def _behind_hanging_proxy(plan: Plan) -> None:
    hanging = plan.stack.enter_context(breaking.hanging())
    plan.environ["HTTP_PROXY"] = f"http://127.0.0.1:{hanging.port}"
    plan.export_to(url(free_port()))


def _gone_and_back(open_collector: Callable[[], Any], protocol: str | None = None) -> Make:
    def make(plan: Plan) -> None:
        collector = plan.stack.enter_context(open_collector())
        plan.arrivals = collector.arrivals.counts
        _export_to_port(plan, collector.port, protocol)
        # At its end it is there.
        gone_until = max(1, plan.count - GONE_OF // 2)

        def around(environment: LambdaEnvironment, index: int) -> Any:
            gone = index % (2 * GONE_OF) >= GONE_OF // 2 and index < gone_until
            (collector.go if gone else collector.come)()
            return plan.nothing()

        plan.around.append(around)

    return make


def silent_name_server(plan: Plan) -> None:
    """A name that is asked for and never answered; alone in two namespaces."""
    plan.stack.enter_context(be_a_silent_name_server(plan.folder))
    plan.export_to("http://collector.example:4318/v1/traces")


_RETRY_LATER = Answer(429, (("Retry-After", "1"),))
_PARTIAL = breaking.http_answer(
    "200 OK",
    breaking.partial_success(1, "one too many"),
    "Content-Type: application/x-protobuf",
)

MAKERS: Mapping[str, Make] = {
    "none (collector up)": _always(OK),
    "refused": _refused(),
    "hanging": _breaking(breaking.hanging),
    "dripping": _breaking(lambda: breaking.dripping(breaking.OK)),
    "resetting": _breaking(breaking.resetting),
    "slow": _always(Answer(delay_s=SLOW_S)),
    "429": _always(_RETRY_LATER),
    "429 every other time": _answering(_every_other(_RETRY_LATER)),
    "503": _always(Answer(503)),
    "503 every other time": _answering(_every_other(Answer(503))),
    "302": _always(Answer(302, (("Location", "http://127.0.0.1:1/"),))),
    "400": _always(Answer(400)),
    "401": _always(Answer(401)),
    "413 above a size": _answering(
        lambda number, size: Answer(413) if size > MAX_BODY_BYTES else OK
    ),
    "partial success": _breaking(lambda: breaking.answering(_PARTIAL)),
    "bad certificate": _bad_certificate,
    "unanswered SYN": _breaking(breaking.FullBacklog),
    "proxy": _behind_proxy,
    "CONNECT proxy": _behind_connect_proxy,
    "hanging proxy": _behind_hanging_proxy,
    "gone and back": _gone_and_back(AnsweringCollector),
    "gRPC up": _breaking(GrpcCollector, GRPC),
    "gRPC refused": _refused(GRPC),
    "gRPC hanging": _breaking(breaking.hanging, GRPC),
    "gRPC unanswered SYN": _breaking(breaking.FullBacklog, GRPC),
    "gRPC gone and back": _gone_and_back(GrpcCollector, GRPC),
}
