"""``python -m spanpipe``."""

import sys

from spanpipe.cli import main

if __name__ == "__main__":
    sys.exit(main())
