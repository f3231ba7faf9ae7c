"""Ports where nobody listens: for a server that is started elsewhere, or that is missing."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """So many, each another. As long as this process lives nobody gets one by chance, who asks for
    any port; a server that is told the number may listen there."""
    found: list[int] = []
    for _ in range(count):
        with socket.socket() as probe:
            # As servers do: Linux lets them bind what is bound so, and not listened on.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
            probe.detach()  # never closed
    return found


def free_port() -> int:
    """One."""
    return free_ports(1)[0]
