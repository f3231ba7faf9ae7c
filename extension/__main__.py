"""The process: ready first, then the loop; the only place that exits.

Exit statuses, from sysexits.h: 0 after SHUTDOWN; 64 not started by Lambda; 69 the Extensions
API cannot be reached or refused us; 70 a fault of our own, after which nothing was exported
any more but the function went on; 76 the API answered what it does not document.
"""

import os
import sys

from extension import api
from extension.connection import ApiGoneError, Connection
from extension.log import Log
from extension.ready import RefusedError, Registered, register, wait_for_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPORT_TIMEOUT_MS = 500


def main(environ: "Mapping[str, str]") -> int:
    """Run the extension; its exit status."""
    log = Log(environ.get("SPANPIPE_LOG_LEVEL", "info").lower())
    if not environ.get("AWS_LAMBDA_RUNTIME_API"):
        log.error(
            "AWS_LAMBDA_RUNTIME_API is not set: Lambda starts this program from "
            "/opt/extensions; to try a function here, use: spanpipe run app.handler"
        )
        return os.EX_USAGE
    try:
        registered = register(environ, log)
    except (ApiGoneError, RefusedError) as error:
        log.error(f"cannot register: {error}")
        return os.EX_UNAVAILABLE
    try:
        registered.ask()
    except Exception as error:  # noqa: BLE001 - without a first /next, init must be told
        _log_fault(log, error)
        _report(registered, api.init_error, "Extension.StartFailed", str(error))
        return os.EX_SOFTWARE
    return _run(registered, log, environ)


def _run(registered: Registered, log: Log, environ: "Mapping[str, str]") -> int:
    try:
        from extension.loop import ApiRefusedError, Loop
    except Exception as error:  # noqa: BLE001 - a layer that lacks a part must not fail init
        _log_fault(log, error)
        return _idle(registered, log)
    try:
        return Loop(registered, log, environ).run()
    except ApiGoneError as error:
        log.error(str(error))
        return os.EX_UNAVAILABLE
    except ApiRefusedError as error:
        log.error(str(error))
        _report(registered, api.exit_error, "Extension.UnexpectedAnswer", str(error))
        return os.EX_PROTOCOL
    except Exception as error:  # noqa: BLE001 - the function must not die of a fault of ours
        _log_fault(log, error)
        return _idle(registered, log)


def _idle(registered: Registered, log: Log) -> int:
    """Go on asking for events and do nothing else: leaving would fail the invocations."""
    connection = registered.connection
    try:
        while True:
            if not connection.waiting:
                registered.ask()
            response = wait_for_response(connection, None)
            if response is None or response.status != 200 or b'"SHUTDOWN"' in response.body:
                break
    except ApiGoneError as error:
        log.error(str(error))
    return os.EX_SOFTWARE


def _report(
    registered: Registered,
    request: "Callable[[str, str, str, str], bytes]",
    error_type: str,
    message: str,
) -> None:
    """Tell Lambda why we leave, without waiting long."""
    connection = registered.connection
    try:
        if connection.waiting:
            connection = Connection(connection.host)
        connection.send(request(connection.host, registered.identifier, error_type, message))
        wait_for_response(connection, REPORT_TIMEOUT_MS)
    except ApiGoneError:
        pass


def _log_fault(log: Log, error: Exception) -> None:
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        f"internal fault, no more spans from this environment: {type(error).__name__}: {error} "
        f"({os.path.basename(place.filename)}:{place.lineno})"
    )


def run() -> None:
    """Run and leave; it never returns."""
    status = main(os.environ)
    sys.stderr.flush()
    # A thread that is stuck in name resolution cannot be joined.
    os._exit(status)


if __name__ == "__main__":
    run()
