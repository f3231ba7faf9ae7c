"""The extension's process in a layer, under ``-I -S``: of the paths Python begins with the
standard library alone is left, and one of ours goes before it."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/packages")

from extension.__main__ import run

run()
