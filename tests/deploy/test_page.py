"""docs/deployment.md: what can be copied from it is right."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.cdk.inputs import NAMES
from deploy.layer.platforms import ARCHITECTURES
from spanpipe.layer import command
from spanpipe.layer.archive import PYTHON_RUNTIMES
from tests.deploy.test_sam import Loader, lint
from tests.deploy.tools import ROOT

PAGE = (ROOT / "docs" / "deployment.md").read_text()
LAYERS = {f"spanpipe-{kind}-{one.name}" for kind in ("python", "any") for one in ARCHITECTURES}
ELSEWHERE = {"AWS_LAMBDA_EXEC_WRAPPER", "HTTPS_PROXY", "NO_PROXY"}
"""Variables that Lambda or the HTTP library reads."""


def blocks(language: str) -> list[str]:
    """Every fenced block in it."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, language
    return found


def variables() -> list[dict[str, str]]:
    """Every block's environment, JSON's and YAML's."""
    shop, framework = yaml_blocks()
    return [
        *(json.loads(text)["Variables"] for text in blocks("json")),
        shop["Resources"]["ShopFunction"]["Properties"]["Environment"]["Variables"],
        framework["provider"]["environment"],
    ]


def yaml_blocks() -> tuple[Any, Any]:
    """(SAM's, the Serverless Framework's)."""
    one, two = (yaml.load(text, Loader) for text in blocks("yaml"))  # noqa: S506 - a safe loader
    return one, two


def publish_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser


def table(first: str) -> list[list[str]]:
    """The rows' cells of the table whose header begins so."""
    found = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in row.strip("|\n").split("|")] for row in found[1].splitlines()]


def test_every_variable_is_one_that_somebody_reads() -> None:
    """In every environment on the page."""
    reference = (ROOT / "docs" / "configuration.md").read_text()
    ours = set(re.findall(r"\b(?:OTEL|SPANPIPE)_[A-Z_]+\b", reference))
    for one in variables():
        assert set(one) <= ours | ELSEWHERE
        assert one.get("AWS_LAMBDA_EXEC_WRAPPER", "/opt/spanpipe/wrap") == "/opt/spanpipe/wrap"


def test_the_shell_reads_every_block() -> None:
    """No quote is open, no line cut."""
    for text in blocks("sh"):
        done = subprocess.run(["sh", "-n", "-c", text], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), text


def test_every_call_of_ours_is_one_that_is_there() -> None:
    """Options and zips; none is run."""
    calls = []
    for text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["spanpipe"]:
                calls.append(publish_parser().parse_args(words[1:]))
    assert len(calls) == 3
    assert {Path(path).stem for one in calls for path in one.zips} <= LAYERS


def test_the_tables_name_every_option_and_input() -> None:
    """None is missing, none is invented."""
    publish = publish_parser()._subparsers._group_actions[0].choices["layer"]  # type: ignore[union-attr]
    actions = publish._subparsers._group_actions[0].choices["publish"]._actions
    known = {name for one in actions for name in one.option_strings if name.startswith("--")}
    told = {name for row in table("option") for name in re.findall(r"--[a-z]+", row[0])}
    assert told | {"--help", "--run"} == known
    inputs = [name for row in table("input") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(inputs) == sorted(NAMES)


@pytest.mark.registry
def test_cfn_lint_finds_nothing_in_sams_block(tmp_path: Path) -> None:
    """It stands in a template of SAM's."""
    path = tmp_path / "template.yaml"
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\n{blocks('yaml')[0]}")
    assert lint(path) == (0, "")
    path.write_text(path.read_text().replace("Layers:", "Layer:"))
    assert lint(path)[0] != 0


FRAMEWORK = {
    "": {"service", "provider", "layers", "functions"},
    "provider": {"name", "runtime", "architecture", "environment"},
    "layers.spanpipe": {"name", "package", "compatibleRuntimes", "compatibleArchitectures"},
    "layers.spanpipe.package": {"artifact"},
    "functions.shop": {"handler", "layers"},
}
"""The Serverless Framework's keys that the page uses. Source: its "Serverless.yml reference"."""


def test_the_serverless_frameworks_block() -> None:
    """Its keys are the framework's, the layer is what `make layer` builds, and it is referred to by
    the name that the framework gives it."""
    _, told = yaml_blocks()
    for path, keys in FRAMEWORK.items():
        part = told
        for key in filter(None, path.split(".")):
            part = part[key]
        assert set(part) == keys, path
    layer = told["layers"]["spanpipe"]
    assert layer["name"] in LAYERS
    assert layer["package"]["artifact"] == f"dist/{layer['name']}.zip"
    assert set(layer["compatibleRuntimes"]) <= set(PYTHON_RUNTIMES)
    assert layer["compatibleArchitectures"] == [told["provider"]["architecture"]]
    assert layer["name"].endswith(told["provider"]["architecture"])
    (key,) = told["layers"]
    assert told["functions"]["shop"]["layers"] == [{"Ref": f"{key.title()}LambdaLayer"}]


def test_the_image_copies_a_folder_that_is_built() -> None:
    """Into /opt, slashes included: the content and not the folder."""
    (text,) = blocks("dockerfile")
    (folder,) = re.findall(r"^COPY dist/(\S+)/ /opt/$", text, re.MULTILINE)
    assert folder in LAYERS


def test_links_within_the_page() -> None:
    """Each leads to a heading."""
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
