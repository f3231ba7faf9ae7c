"""``spanpipe layer publish``: real zips, and an executable named ``aws`` that notes its calls."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spanpipe import cli
from spanpipe.layer.archive import MAX_UNPACKED_BYTES, MAX_ZIP_BYTES, PYTHON_RUNTIMES
from tests.shells.layer_folder import ARM64, elf, layer, packed, written, zipped

STAND_IN = """#!{python} -S
import json, os, sys
folder = {folder!r}
with open(folder + "/calls.jsonl", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
said = json.load(open(folder + "/answers.json"))
region = sys.argv[sys.argv.index("--region") + 1] if "--region" in sys.argv else ""
status, out, err = said.get(sys.argv[2] + " " + region, said.get(sys.argv[2], [0, "", ""]))
if "--query" in sys.argv:
    out = str(json.loads(out)[sys.argv[sys.argv.index("--query") + 1]])
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
ARN = "arn:aws:lambda:eu-west-1:123456789012:layer:spanpipe-python-x86_64:7"
PUBLISHED = json.dumps({"LayerVersionArn": ARN, "Version": 7})


@dataclass(frozen=True, slots=True)
class Cli:
    """The stand-in for the AWS CLI: what it is to say, and what it was called with."""

    folder: Path

    def answer(self, answers: dict[str, tuple[int, str, str]]) -> None:
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def calls(self) -> list[list[str]]:
        noted = self.folder / "calls.jsonl"
        text = noted.read_text() if noted.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """On PATH, before a real one; it publishes whatever it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "aws"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    stand_in = Cli(folder)
    stand_in.answer({"publish-layer-version": (0, PUBLISHED, "")})
    return stand_in


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """(status, standard output, standard error) of the command."""
    status = cli.main(["layer", "publish", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def publish_call(archive: Path, *target: str, **named: Any) -> list[str]:
    """What the CLI is to be called with."""
    return [
        *("lambda", "publish-layer-version", *target, "--layer-name", named.get("name", "")),
        *("--description", named.get("description", "spanpipe 0.1.0 for Python")),
        *("--license-info", "Apache-2.0", "--zip-file", f"fileb://{archive}"),
        *("--compatible-runtimes", *named.get("runtimes", PYTHON_RUNTIMES)),
        *("--compatible-architectures", named.get("architecture", "x86_64")),
    ]


def grant_call(*options: str) -> list[str]:
    return ["lambda", "add-layer-version-permission", *options]


def test_it_runs_the_calls_and_tells_the_arn(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    """One version for each zip and region, in JSON whatever the CLI's own format is."""
    zips = (
        zipped(tmp_path, "spanpipe-python-x86_64"),
        zipped(tmp_path, "spanpipe-any-arm64", ARM64, own_python=True),
    )
    regions = ("--region", "eu-west-1", "--region", "us-east-1")
    assert run(capsys, *zips, *regions, "--profile", "ops", "--run") == (0, f"{ARN}\n" * 4, "")
    every = (*PYTHON_RUNTIMES, "nodejs22.x", "nodejs24.x", "java17", "java21", "java25", "ruby3.3",
             "ruby3.4", "dotnet8", "provided.al2", "provided.al2023")  # fmt: skip
    expected = []
    for region in ("eu-west-1", "us-east-1"):
        target = ("--region", region, "--profile", "ops")
        expected += [
            [*publish_call(zips[0], *target, name="spanpipe-python-x86_64"), "--output", "json"],
            [
                *publish_call(
                    zips[1],
                    *target,
                    name="spanpipe-any-arm64",
                    description="spanpipe 0.1.0 for every runtime",
                    runtimes=every,
                    architecture="arm64",
                ),
                *("--output", "json"),
            ],
        ]
    assert aws.calls() == expected


SHARED = ("--account", "210987654321", "--organization", "o-abcdefghij", "--public")
GRANTS = (
    ("account-210987654321", "210987654321"),
    ("organization-o-abcdefghij", "*", "--organization-id", "o-abcdefghij"),
    ("public", "*"),
)


@pytest.mark.parametrize("way", ["run", "pasted"])
def test_what_is_printed_does_what_run_does(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    """Pasted into a shell it makes the same calls, with the version that was just made."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    archive = zipped(folder, "my layer")
    asked = (archive, "--name", "obs", "--region", "eu-west-1", *SHARED)
    if way == "run":
        assert run(capsys, *asked, "--run") == (0, f"{ARN}\n", "")
        form = ["--output", "json"]
    else:
        status, text, _ = run(capsys, *asked)
        assert (status, aws.calls()) == (0, [])
        done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        form = ["--query", "Version", "--output", "text"]
    region = ("--region", "eu-west-1")
    shared = (*region, "--layer-name", "obs", "--version-number", "7", "--statement-id")
    assert aws.calls() == [
        [*publish_call(archive, *region, name="obs"), *form],
        *(
            grant_call(
                *shared, name, "--action", "lambda:GetLayerVersion", "--principal", principal, *more
            )
            for name, principal, *more in GRANTS
        ),
    ]


def test_without_a_region_the_cli_chooses(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed has no option that was not asked for."""
    archive = zipped(tmp_path, "spanpipe-python-x86_64")
    status, text, _ = run(capsys, archive)
    subprocess.run(["sh", "-ec", text], capture_output=True, check=True)
    assert (status, aws.calls()) == (0, [publish_call(archive, name="spanpipe-python-x86_64")])


def test_partitions_are_kept_apart(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its own profile, its regions stand together, and the printed text says so."""
    archive = zipped(tmp_path, "spanpipe-python-x86_64")
    regions = [
        word
        for region in ("cn-north-1", "eu-west-1", "cn-northwest-1", "us-gov-west-1")
        for word in ("--region", region)
    ]
    profiles = ("--profile", "ops", "--profile", "aws-cn=china", "--profile", "aws-us-gov=gov")
    # One more profile for `aws` itself would do as well as the general one.
    asked = (archive, *regions, *profiles, "--profile", "aws=ops")
    status, text, _ = run(capsys, *asked)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# The partition aws-cn has credentials of its own.",
        "# The partition aws has credentials of its own.",
        "# The partition aws-us-gov has credentials of its own.",
    ]
    assert run(capsys, *asked, "--run")[0] == status == 0
    assert [call[2:6] for call in aws.calls()] == [
        ["--region", "cn-north-1", "--profile", "china"],
        ["--region", "cn-northwest-1", "--profile", "china"],
        ["--region", "eu-west-1", "--profile", "ops"],
        ["--region", "us-gov-west-1", "--profile", "gov"],
    ]


DENIED = (254, "", "\nAn error occurred (AccessDeniedException): not you\n")
FAILURES: dict[str, tuple[dict[str, Any], list[str], str, int]] = {
    "a region refuses": (
        {"publish-layer-version us-east-1": DENIED},
        [ARN],
        "us-east-1: `aws lambda publish-layer-version` failed with 254: An error occurred "
        "(AccessDeniedException): not you\n"
        "spanpipe layer: stopped: 1 published before it, 1 not tried\n",
        3,
    ),
    "it says nothing": (
        {"publish-layer-version eu-west-1": (1, "", "")},
        [],
        "eu-west-1: `aws lambda publish-layer-version` failed with 1: it said nothing\n"
        "spanpipe layer: stopped: 0 published before it, 2 not tried\n",
        1,
    ),
    "an answer of another kind": (
        {"publish-layer-version eu-west-1": (0, "ok", "")},
        [],
        "eu-west-1: aws answered what is no version: 'ok'\n"
        "spanpipe layer: stopped: 0 published before it, 2 not tried\n",
        1,
    ),
    "sharing fails at the last": (
        {"add-layer-version-permission eu-central-1": DENIED},
        [ARN, ARN],
        f"eu-central-1: {ARN} is published, but not shared (public): `aws lambda "
        "add-layer-version-permission` failed with 254: An error occurred "
        "(AccessDeniedException): not you\n"
        "spanpipe layer: stopped: 2 published before it\n",
        6,
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_call_that_fails(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """It is told in the CLI's words, what was done before it is known, and nothing follows."""
    answers, arns, told, call_count = FAILURES[case]
    aws.answer({"publish-layer-version": (0, PUBLISHED, ""), **answers})
    archive = zipped(tmp_path, "spanpipe-python-x86_64")
    regions = ("--region", "eu-west-1", "--region", "us-east-1", "--region", "eu-central-1")
    status, out, err = run(capsys, archive, *regions, "--public", "--run")
    assert (status, out.splitlines()) == (1, arns)
    assert err == f"spanpipe layer: {archive}: {told}"
    assert len(aws.calls()) == call_count


def test_without_the_cli_one_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what to do instead; printing needs no CLI."""
    archive = zipped(tmp_path, "spanpipe-python-x86_64")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert run(capsys, archive, "--run") == (
        2,
        "",
        "spanpipe layer: --run: there is no `aws` on PATH: install the AWS CLI, or run the same "
        "without --run and paste what is printed where it is installed\n",
    )
    assert run(capsys, archive)[0] == 0


def _no_file(folder: Path) -> Path:
    return folder / "missing.zip"


def _folder(folder: Path) -> Path:
    return layer(folder)


def _text_file(folder: Path) -> Path:
    written(folder, {"notes.zip": "not a zip"})
    return folder / "notes.zip"


def _other_zip(folder: Path) -> Path:
    return packed(written(folder / "other", {"python/requests.py": ""}), folder / "other.zip")


def _cut_off(folder: Path) -> Path:
    whole = zipped(folder, "cut").read_bytes()
    cut = folder / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    return cut


def _garbled(folder: Path) -> Path:
    path = zipped(folder, "garbled")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda one: one.compress_size)
    begin = member.header_offset + 30 + len(member.filename)
    data[begin : begin + member.compress_size] = bytes(member.compress_size)
    path.write_bytes(data)
    return path


def _too_large(folder: Path) -> Path:
    path = folder / "large.zip"
    with path.open("wb") as stream:
        stream.truncate(MAX_ZIP_BYTES + 1)
    return path


def _too_much_inside(folder: Path) -> Path:
    path = folder / "bomb.zip"
    piece = bytes(1024 * 1024)
    member = zipfile.ZipInfo("zeros")
    member.compress_type = zipfile.ZIP_DEFLATED
    with (
        zipfile.ZipFile(path, "w", compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        for _ in range(MAX_UNPACKED_BYTES // len(piece) + 1):
            stream.write(piece)
    return path


def _too_deep(folder: Path) -> Path:
    layer(folder / "opt" / "spanpipe-python-x86_64")
    return packed(folder / "opt", folder / "deep.zip")


def _without_modes(folder: Path) -> Path:
    opt = layer(folder / "opt")
    (opt / "extensions" / "spanpipe").chmod(0o644)
    return packed(opt, folder / "modes.zip")


def _both_machines(folder: Path) -> Path:
    zipped(folder, "both")
    opt = folder / "opt" / "both"
    (opt / "spanpipe" / "packages" / "other.so").write_bytes(elf(ARM64))
    return packed(opt, folder / "both.zip")


WRONG_ZIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no such file": (_no_file, "there is no such file; `make layer` builds the zips into dist/"),
    "a folder": (_folder, "is a folder; give its zip; `make layer` builds the zips into dist/"),
    "a text": (_text_file, "is no zip that can be read: File is not a zip file; build it again: "),
    "cut off": (_cut_off, "is no zip that can be read: File is not a zip file; build it again: "),
    "garbled": (_garbled, "is no zip that can be read: "),
    "over 50 MiB": (
        _too_large,
        "has 50.0 MiB; Lambda takes 50.0 MiB in a request; a larger zip goes through S3: aws "
        "lambda publish-layer-version --content",
    ),
    "over 250 MiB inside": (
        _too_much_inside,
        "unpacks to 251.0 MiB; a function and all its layers may have 250.0 MiB together",
    ),
    "another layer": (
        _other_zip,
        "is no layer of spanpipe: it has no extensions/spanpipe; build one: make layer",
    ),
    "one folder too deep": (_too_deep, "The layer is one folder too deep: "),
    "no executable bit": (
        _without_modes,
        "A file has lost its executable bit: extensions/spanpipe has mode 0644, not 0755. Set ",
    ),
    "another architecture": (
        lambda folder: zipped(folder, "arm", ARM64),
        "The layer is for another architecture: spanpipe/packages/native.so is for arm64, not "
        "x86_64. Take the layer for the function's architecture.",
    ),
    "a machine that Lambda has not": (
        lambda folder: zipped(folder, "other", 8),
        "The layer is for another architecture: spanpipe/packages/native.so is for machine 8",
    ),
    "two machines": (_both_machines, "The layer is for another architecture: "),
}


@pytest.mark.parametrize("case", WRONG_ZIPS)
def test_a_zip_that_lambda_would_not_take(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """One error says what, where and what to do, and nothing is published, not even a good one."""
    make, told = WRONG_ZIPS[case]
    good = zipped(tmp_path, "good")
    path = make(tmp_path)
    status, out, err = run(capsys, good, path, "--architecture", "x86_64", "--run")
    assert (status, out, aws.calls()) == (2, "", [])
    assert err.startswith(f"spanpipe layer: {path}: {told}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_both_machines, "holds programs for both of arm64, x86_64"),
        (lambda folder: zipped(folder, "x", 8), "holds programs for machine 8, which Lambda has"),
    ],
)
def test_a_zip_for_a_machine_in_doubt(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    told: str,
) -> None:
    """Where no architecture is asked for, the zip itself must name one that Lambda has."""
    path = make(tmp_path)
    status, out, err = run(capsys, path)
    assert (status, out) == (2, "")
    assert err.startswith(f"spanpipe layer: {path}: {told}")


WRONG_OPTIONS = {
    "a name with a space": (["--name", "my layer"], "--name: 'my layer' must be 1 to 140 letters"),
    "an account of words": (["--account", "me"], "--account: 'me' must be twelve digits"),
    "an organization": (["--organization", "ours"], "--organization: 'ours' must be o- and 10"),
    "no region": (["--region", "Ireland"], "--region Ireland: is no region's name, such as"),
    "no partition": (["--profile", "gov=x"], "--profile gov=x: 'gov' is no partition; there are"),
    "no profile": (["--profile", "aws-cn="], "--profile aws-cn=: names no profile"),
    "two profiles": (["--profile", "a", "--profile", "b"], "--profile b: a is given for the same"),
    "a profile for nothing": (
        ["--profile", "aws-cn=x", "--region", "eu-west-1"],
        "--profile aws-cn=…: no --region is in aws-cn",
    ),
    "two partitions": (
        ["--region", "eu-west-1", "--region", "cn-north-1", "--profile", "aws=a"],
        "the regions are in aws and aws-cn, and no credentials serve two partitions: give "
        "--profile aws-cn=PROFILE too, or run one partition at a time",
    ),
}


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_options_of_no_use(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """They are found before any call."""
    options, told = WRONG_OPTIONS[case]
    archive = zipped(tmp_path, "spanpipe-python-x86_64")
    status, out, err = run(capsys, archive, *options, "--run")
    assert (status, out, aws.calls()) == (2, "", [])
    assert err.startswith(f"spanpipe layer: {told}")


def test_several_zips_are_several_layers(
    tmp_path: Path, aws: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    """One name for two architectures would make the second the latest version of the first."""
    zips = (zipped(tmp_path, "one"), zipped(tmp_path, "two", ARM64))
    status, _, err = run(capsys, *zips, "--name", "obs", "--run")
    assert (status, aws.calls()) == (2, [])
    assert err.startswith("spanpipe layer: --name obs: would make 2 zips versions of one layer")
    status, _, err = run(capsys, zips[0], zips[0], "--run")
    assert (status, aws.calls()) == (2, [])
    assert err == "spanpipe layer: two zips are named one: publish one at a time\n"
    odd = zipped(tmp_path, "an odd name")
    status, _, err = run(capsys, odd, "--run")
    assert (status, aws.calls()) == (2, [])
    assert "must be 1 to 140 letters, digits, - and _: give it a --name" in err
