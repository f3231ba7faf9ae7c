"""Which writer, which invocation and which span the calling code is in."""

import os
from contextvars import ContextVar

from fifo import pipes
from fifo.writer import Invocation, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

current_invocation: "ContextVar[Invocation | None]" = ContextVar(
    "spanpipe_invocation", default=None
)
current_span_id: "ContextVar[bytes | None]" = ContextVar("spanpipe_span_id", default=None)

otel: "Any" = None
"""The module `fifo.otel`, once the function has imported it."""

made_writer: "Writer | None" = None
"""What `process_writer` has made."""


def process_writer() -> Writer:
    """The process's own writer, made at the first call."""
    global made_writer  # noqa: PLW0603 - one descriptor for a process is what it stands for
    if made_writer is None:
        made_writer = Writer(pipes.directory_of(os.environ), environ=os.environ)
    return made_writer


def invocation_of(writer: Writer) -> "Invocation | None":
    """The invocation that the calling code works for; None outside of any.

    A thread that was started plainly has no context of its own: it works for the
    invocation that the process is in.
    """
    return current_invocation.get() or writer.current
