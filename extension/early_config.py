"""The one thing of the configuration that is needed before it can be read: are logs asked for?

The Telemetry API takes subscriptions before the first `/next` alone, and a YAML parser is too slow
for that. So the file is searched for the key: whatever it says but false counts, and what the
configuration really says decides when it has been read.
"""

import os
import stat

TASK_ROOT = "/var/task"
"""Where Lambda unpacks the function; its own variable is not shown to an extension."""
FILE_NAME = "spanpipe.yaml"
MAX_FILE_BYTES = 262_144

_KEY = b"logs"
_FALSE = (b"false", b"False", b"FALSE")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def own_file(environ: "Mapping[str, str]", task_root: str = TASK_ROOT) -> "str | None":
    """``$SPANPIPE_CONFIG``, else ``spanpipe.yaml`` in the function's package, if it is there."""
    named = environ.get("SPANPIPE_CONFIG")
    if named:
        return named
    own = f"{task_root}/{FILE_NAME}"
    return own if os.path.isfile(own) else None


def may_want_logs(environ: "Mapping[str, str]") -> bool:
    """Whether ``signals.logs`` may be on; the layer's own file has it off."""
    path = own_file(environ)
    if path is None or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return any(map(_asks, os.read(descriptor, MAX_FILE_BYTES).split(b"\n")))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _asks(line: bytes) -> bool:
    """Whether a line of YAML gives the key a value that may not be false."""
    while True:
        before, found, line = line.partition(_KEY)
        if not found or b"#" in before:
            return False
        value = line.lstrip(b"\"' \t")
        if value.startswith(b":") and not value[1:].lstrip().startswith(_FALSE):
            return True
