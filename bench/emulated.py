"""From exec to the first `/next` under AWS's emulator, which starts the extension itself.

The program that it starts notes the time and becomes the extension; the end is the kernel's own
time stamp of the request on loopback. Nothing lies between the two. See bench/BASELINES.md.
"""

from __future__ import annotations

import http.client
import shlex
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from tests.whole.emulator import Emulator

FUNCTIONS = Path(__file__).resolve().parent / "functions"
HANDLER = "plain.handler"
TIMEOUT_S = 20
NEXT = b"GET /2020-01-01/extension/event/next "
_NOTED = """\
#!{} -IS
import os, time
with open({!r}, "w") as file:
    file.write(str(time.time_ns()))
os.execv({!r}, {!r})
"""
_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")


class Loopback:
    """Every packet on `lo` of this network namespace; raises NotObtainableError."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise peers.NotObtainableError("packets are not to be seen: CAP_NET_RAW") from error
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", _ETH_P_ALL))
        self._socket.setblocking(False)

    def sent_ns(self, request: bytes) -> int:
        """Wall time (ns since the epoch) of the first packet kept here that has `request` in it.

        Raises RuntimeError where there is none.
        """
        for unix_ns, packet in self._packets():
            if request in packet:
                return unix_ns
        raise RuntimeError(f"no packet has {request!r}")

    def close(self) -> None:
        self._socket.close()

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        """What has come since it was opened, in the kernel's order and with its time stamps."""
        while True:
            try:
                packet, ((_, _, stamp),), _, _ = self._socket.recvmsg(
                    65_536, socket.CMSG_SPACE(_TIMESPEC.size)
                )
            except BlockingIOError:
                return
            seconds, nanoseconds = _TIMESPEC.unpack(stamp)
            yield seconds * 10**9 + nanoseconds, packet


@dataclass(frozen=True, slots=True)
class _OneExtension:
    """Where the emulator finds one extension alone, and a plain function."""

    opt: Path

    def script(self, code_directory: Path) -> str:
        return f"mount --bind {shlex.quote(str(self.opt))} /opt\n"

    def runtime(self, handler: str) -> list[str]:
        return [sys.executable, "-m", "awslambdaric", handler]

    @property
    def path(self) -> str:
        return str(FUNCTIONS)

    @property
    def foreign(self) -> bool:
        return False


def time_to_next(name: str, command: Sequence[str]) -> float:
    """Seconds from `command`'s exec to its first `/event/next`, in an environment of its own.

    `name` is what the extension registers as. Only where nobody else uses this network. Raises
    RuntimeError where it never asks, peers.NotObtainableError where the emulator cannot run.
    """
    with peers.not_skipped(), tempfile.TemporaryDirectory(prefix="spanpipe-bench-") as made:
        folder = Path(made)
        note = folder / "exec_unix_ns"
        program = folder / "opt" / "extensions" / name
        program.parent.mkdir(parents=True)
        program.write_text(_NOTED.format(sys.executable, str(note), command[0], [*command]))
        program.chmod(0o755)
        loopback = Loopback()
        try:
            place = _OneExtension(folder / "opt")
            with Emulator(folder, HANDLER, FUNCTIONS, TIMEOUT_S, {}, layer=place) as emulator:
                status, answer = emulator.invoke(b"{}")
            if status != http.client.OK:
                raise RuntimeError(f"{name} in the emulator: {answer.decode(errors='replace')}")
            return (loopback.sent_ns(NEXT) - int(note.read_text())) / 1e9
        finally:
            loopback.close()
