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
from extension.ready import Ready, RefusedError, get_ready, wait_for_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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
        ready = get_ready(environ, log)
    except (ApiGoneError, RefusedError) as error:
        log.error(f"cannot register: {error}")
        return os.EX_UNAVAILABLE
    return _run(ready, log, environ)


def _run(ready: Ready, log: Log, environ: "Mapping[str, str]") -> int:
    from extension.loop import ApiRefusedError, Loop

    try:
        loop = Loop(
            ready.connection,
            ready.identifier,
            ready.registration_body,
            ready.channel,
            log,
            environ,
        )
        return loop.run()
    except ApiGoneError as error:
        log.error(str(error))
        return os.EX_UNAVAILABLE
    except ApiRefusedError as error:
        log.error(str(error))
        _report(ready, "Extension.UnexpectedAnswer", str(error))
        return os.EX_PROTOCOL
    except Exception as error:  # noqa: BLE001 - the function must not die of a fault of ours
        _log_fault(log, error)
        return _idle(ready, log)


def _idle(ready: Ready, log: Log) -> int:
    """Go on asking for events and do nothing else: leaving would fail the invocations."""
    connection = ready.connection
    try:
        while True:
            if not connection.waiting:
                connection.send(api.next_event(connection.host, ready.identifier))
            response = wait_for_response(connection, None)
            if response is None or response.status != 200 or b'"SHUTDOWN"' in response.body:
                break
    except ApiGoneError as error:
        log.error(str(error))
    return os.EX_SOFTWARE


def _report(ready: Ready, error_type: str, message: str) -> None:
    """Tell Lambda why we leave, on a connection of its own, without waiting long."""
    try:
        connection = Connection(ready.connection.host)
        connection.send(api.exit_error(connection.host, ready.identifier, error_type, message))
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
