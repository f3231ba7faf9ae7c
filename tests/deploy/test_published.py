"""The zips as they are built, published by the real AWS CLI to a server of Lambda's API."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.layer.archive import to_zip
from deploy.layer.build import python_layer
from deploy.layer.bytecode import Compiler
from deploy.layer.errors import LayerError
from deploy.layer.platforms import ARM64
from deploy.layer.wheels import Index
from spanpipe.layer.archive import PYTHON_RUNTIMES
from tests.deploy.tools import ROOT, needs
from tests.whole.fetch import cannot

pytestmark = pytest.mark.registry


@dataclass(frozen=True, slots=True)
class Account:
    """An account of nobody's: the CLI's environment in which it is all there is."""

    environ: dict[str, str]

    def cli(self, *arguments: str) -> Any:
        """What ``aws lambda …`` answers, in China's partition."""
        done = subprocess.run(
            ["aws", "lambda", *arguments, "--region", "cn-north-1", "--output", "json"],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """A moto server on loopback; skips where it or the CLI is not installed."""
    for module in ("moto", "flask", "awscli"):
        needs(module)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Account(
            {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nothing",
                # A region that the CLI would take on its own is not the one that is asked for.
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )
    finally:
        server.stop()


@pytest.fixture
def layer_zip(tmp_path: Path) -> Path:
    """A real layer, without byte code for speed."""
    try:
        built = python_layer(ARM64, Index(ROOT / ".cache" / "layer" / "wheels"), Compiler({}))
    except LayerError as error:
        cannot(str(error))
        raise AssertionError from error
    path = tmp_path / f"{built.name}.zip"
    path.write_bytes(to_zip(built.tree))
    return path


def test_a_real_layer_by_the_real_cli(account: Account, layer_zip: Path) -> None:
    """Its version holds the zip's bytes, says what it is for, and is shared with whom was named."""
    command = [sys.executable, "-m", "spanpipe", "layer", "publish", str(layer_zip)]
    command += ["--region", "cn-north-1", "--account", "210987654321", "--run"]
    for version in (1, 2):
        done = subprocess.run(
            command, env=account.environ, capture_output=True, text=True, check=False
        )
        arn = f"arn:aws-cn:lambda:cn-north-1:123456789012:layer:spanpipe-python-arm64:{version}"
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{arn}\n", "")
    named = ("--layer-name", "spanpipe-python-arm64", "--version-number", "2")
    told = account.cli("get-layer-version", *named)
    assert told["Content"]["CodeSha256"] == base64.b64encode(
        hashlib.sha256(layer_zip.read_bytes()).digest()
    ).decode("ascii")
    assert told["CompatibleRuntimes"] == list(PYTHON_RUNTIMES)
    assert told["CompatibleArchitectures"] == ["arm64"]
    assert (told["Description"], told["LicenseInfo"]) == ("spanpipe 0.1.0 for Python", "Apache-2.0")
    policy = json.loads(account.cli("get-layer-version-policy", *named)["Policy"])
    assert [(one["Sid"], one["Action"], one["Principal"]) for one in policy["Statement"]] == [
        (
            "account-210987654321",
            "lambda:GetLayerVersion",
            "210987654321",
        )
    ]
