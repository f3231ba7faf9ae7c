"""Errors of the command line."""


class CommandError(Exception):
    """What the user gave cannot be used; the message says what, where and what to do."""
