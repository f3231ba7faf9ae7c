"""The environment variables of an environment's processes.

Source: AWS Lambda developer guide, "Defined runtime environment variables".
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path

from sandbox.function import Function
from sandbox.opt import Opt


def variables(
    function: Function, api_address: str, directory: str, opt: Opt | None
) -> dict[str, str]:
    """Lambda's own, those that find `fifo` and the folder, and the function's, which come last.

    `directory` stands for `/tmp`; a log stream's name is drawn anew each time.
    """
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    day = time.strftime("%Y/%m/%d")
    environ.update(
        AWS_LAMBDA_RUNTIME_API=api_address,
        AWS_LAMBDA_FUNCTION_NAME=function.name,
        AWS_LAMBDA_FUNCTION_VERSION=function.version,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE=str(function.memory_mb),
        AWS_LAMBDA_INITIALIZATION_TYPE=function.initialization_type,
        AWS_LAMBDA_LOG_GROUP_NAME=f"/aws/lambda/{function.name}",
        AWS_LAMBDA_LOG_STREAM_NAME=f"{day}/[{function.version}]{uuid.uuid4().hex}",
        AWS_EXECUTION_ENV=f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
        AWS_REGION=function.region,
        AWS_DEFAULT_REGION=function.region,
        LAMBDA_TASK_ROOT=function.code_directory,
        PYTHONPATH=os.pathsep.join((function.code_directory, _root_of_packages())),
        PYTHONUNBUFFERED="1",
        SPANPIPE_DIR=directory,
        TMPDIR=directory,
        _HANDLER=function.handler,
    )
    if function.managed:
        environ["AWS_LAMBDA_MAX_CONCURRENCY"] = str(function.max_concurrency)
    if opt is not None:
        environ = opt.variables(environ)
    environ.update(function.environ)
    return environ


def _root_of_packages() -> str:
    """Where `fifo` is imported from, as the layer's `/opt/python` would be."""
    import fifo

    return str(Path(fifo.__file__).resolve().parent.parent)
