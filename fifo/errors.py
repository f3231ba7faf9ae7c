"""The errors of the channel.

ChannelError
├── ProtocolError      bytes that are not what PROTOCOL.md says
└── HostilePathError   something at a path of ours that we must not use
"""


class ChannelError(Exception):
    """Base of every error that `fifo` raises; none of them reaches a handler."""


class ProtocolError(ChannelError):
    """Received bytes that do not follow PROTOCOL.md; the message says what and where."""


class HostilePathError(ChannelError):
    """A path of ours holds something that we must neither use nor remove.

    `path` and `reason` are kept apart so that a caller can report both.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}; remove it and the FIFO is made anew")
        self.path = path
        self.reason = reason
