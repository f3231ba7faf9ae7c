"""The app, as ``cdk`` starts it: ``python -m deploy.cdk``."""

from __future__ import annotations

import sys

import aws_cdk as cdk

from deploy.cdk.inputs import InputError, read_inputs
from deploy.cdk.stack import SpanpipeStack


def main() -> int:
    """Write the cloud assembly to where ``cdk`` wants it; 1 and a line for wrong input."""
    app = cdk.App()
    try:
        inputs = read_inputs(app.node.try_get_context)
    except InputError as error:
        sys.stderr.write(f"deploy.cdk: {error}\n")
        return 1
    SpanpipeStack(app, "Spanpipe", inputs)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
