"""What stops a build."""

from __future__ import annotations


class LayerError(Exception):
    """A layer cannot be built; the text says what to do."""


class NotHereError(LayerError):
    """This machine lacks a tool that another has: the other layers can be built."""
