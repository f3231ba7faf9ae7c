"""The extension's ends of a pair of FIFOs, as for the Python writer."""

from tests.shells.conftest import reading_end

__all__ = ["reading_end"]
