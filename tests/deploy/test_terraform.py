"""The Terraform module, as far as it goes without AWS's provider: with its schemas alone.

Terraform's registry, where the provider is, may not be reachable. `provider/main.go` serves what
`aws_provider.json` holds of the provider's schemas, so that Terraform itself looks at every
argument, type and reference, and plans against mocks. What AWS's provider checks beyond its schemas
(such as the values of an enumeration) is not seen.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.cdk.inputs import NAMES
from spanpipe.layer.archive import OTHER_RUNTIMES, PYTHON_RUNTIMES
from tests.deploy.tools import FUNCTIONS, ROOT, environment
from tests.whole.fetch import cannot
from tests.writers.languages import go_program

MODULE = ROOT / "deploy" / "terraform"
HERE = Path(__file__).parent
SOURCE = "hashicorp/aws"
MACHINES = ("x86_64", "arm64")


@dataclass(frozen=True, slots=True)
class Terraform:
    """A copy of the module, with zips where they belong, and the command in it."""

    module: Path
    environ: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.module,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def problems(self) -> list[str]:
        """What ``terraform validate`` says is wrong."""
        told = json.loads(self.run("validate", "-json").stdout)
        found = [one for one in told["diagnostics"] if one["severity"] == "error"]
        assert told["valid"] == (not found)
        return [f"{one['summary']}: {one['detail']}" for one in found]

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.module / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def terraform(tmp_path: Path) -> Terraform:
    """Skips by name where Terraform or Go is not installed."""
    if shutil.which("terraform") is None:
        cannot("terraform is not installed")
    built = Path(go_program("terraform-provider-aws", ".", folder=HERE / "provider", GOSUMDB="off"))
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "terraform-provider-aws").symlink_to(built)
    dist = tmp_path / "dist"
    dist.mkdir()
    for name in (
        *(f"spanpipe-{kind}-{machine}" for kind in ("python", "any") for machine in MACHINES),
        *(f"function-{name}" for name in FUNCTIONS),
    ):
        (dist / f"{name}.zip").write_text(name)
    module = tmp_path / "deploy" / "terraform"
    shutil.copytree(MODULE, module, ignore=shutil.ignore_patterns(".terraform*"))
    (tmp_path / "terraformrc").write_text(
        f'provider_installation {{\n  dev_overrides {{\n    "{SOURCE}" = "{plugins}"\n  }}\n'
        "  direct {}\n}\n"
    )
    return Terraform(
        module,
        environment(
            TF_CLI_CONFIG_FILE=str(tmp_path / "terraformrc"),
            TF_DATA_DIR=str(tmp_path / "data"),
            SCHEMA=str(HERE / "aws_provider.json"),
            CHECKPOINT_DISABLE="1",
            TF_IN_AUTOMATION="1",
        ),
    )


def test_its_inputs_are_those_of_the_cdk_app() -> None:
    """By the same names."""
    declared = re.findall(r'^variable "(\w+)"', (MODULE / "variables.tf").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(NAMES)


def test_layers_name_what_they_are_for() -> None:
    """The same runtimes as `spanpipe layer publish` names."""
    text = (MODULE / "main.tf").read_text()
    for name, runtimes in (("python", PYTHON_RUNTIMES), ("other", OTHER_RUNTIMES)):
        found = re.search(rf"{name}_runtimes\s*=\s*\[([^]]*)\]", text)
        assert found is not None
        assert tuple(re.findall('"([^"]+)"', found[1])) == runtimes


@pytest.mark.registry
def test_it_is_formatted_and_valid(terraform: Terraform) -> None:
    """Every file as ``terraform fmt`` writes it; every argument, type and reference is right."""
    formatted = terraform.run("fmt", "-check", "-recursive")
    assert (formatted.returncode, formatted.stdout, formatted.stderr) == (0, "", "")
    assert terraform.problems() == []


SPOILT = {
    "an argument that is none": ("main.tf", "memory_size ", "memory ", "Unsupported argument"),
    "one that is required": (
        "main.tf",
        "  name             = var.alias\n",
        "",
        "Missing required argument",
    ),
    "another type": (
        "main.tf",
        "timeout          = var.timeout_s",
        "timeout = [var.timeout_s]",
        "Incorrect attribute value type",
    ),
    "a block that is none": ("main.tf", "tracing_config {", "tracing {", "Unsupported block type"),
    "an attribute that is none": (
        "main.tf",
        "data.aws_partition.here.partition",
        "data.aws_partition.here.name",
        "Unsupported attribute",
    ),
    "a variable that is none": ("main.tf", "var.headers", "var.header", "Reference to undeclared"),
}


@pytest.mark.registry
@pytest.mark.parametrize("case", SPOILT)
def test_validate_would_find_it(terraform: Terraform, case: str) -> None:
    """The schemas are really looked at."""
    name, old, new, told = SPOILT[case]
    terraform.edit(name, old, new)
    assert any(one.startswith(told) for one in terraform.problems())


@pytest.mark.registry
def test_what_it_plans(terraform: Terraform) -> None:
    """``terraform test``: runtimes, layers, environment, aliases, permissions, wrong inputs."""
    done = terraform.run("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = re.findall(r'^run "(\w+)"', (MODULE / "spanpipe.tftest.hcl").read_text(), re.MULTILINE)
    assert re.findall(r'run "(\w+)"\.\.\. pass', done.stdout) == runs
    assert len(runs) == 4


@pytest.mark.registry
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('handler = "plain.handler"', 'handler = "app.handler"', "A function has another handler"),
        ('layer   = "python"', 'layer   = "any"', "A function has another layer"),
        ('mode = "PassThrough"', 'mode = "Active"', "X-Ray is on"),
        # `validate` does not look behind each.key, a plan does.
        ("example[each.key].version", "example[each.key].release", "Unsupported attribute"),
    ],
)
def test_what_it_plans_would_be_found_wrong(
    terraform: Terraform, old: str, new: str, told: str
) -> None:
    """The module's own tests can fail."""
    terraform.edit("main.tf", old, new)
    done = terraform.run("test", "-no-color")
    assert done.returncode == 1
    assert told in done.stdout + done.stderr
