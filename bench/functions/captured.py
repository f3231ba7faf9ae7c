"""The same handler, captured."""

from plain import handler as plain

from fifo import capture

handler = capture(plain)
