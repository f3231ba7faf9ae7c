"""``spanpipe layer publish``: the AWS CLI's calls, printed or run."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from spanpipe.doctor.layer import ARCHITECTURES
from spanpipe.errors import CommandError
from spanpipe.layer.archive import read_layer_zip
from spanpipe.layer.calls import EVERYONE, Grant, Publication, Target
from spanpipe.layer.partitions import AWS, PARTITIONS, partition_of

OK_STATUS = 0
FAILED_STATUS = 1
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,140}")
_ACCOUNT = re.compile(r"\d{12}")
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
"""Source for all three: Lambda API, PublishLayerVersion and AddLayerVersionPermission."""


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "layer",
        help="publish the layer's zips to an account of yours",
        description="What is done with the zips that `make layer` builds.",
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="ACTION", help="each has a --help of its own"
    )
    publish_parser: argparse.ArgumentParser = actions.add_parser(
        "publish",
        help="print the AWS CLI's calls that publish zips; with --run, run them",
        description="Check each zip as Lambda would take it, and print the AWS CLI's calls that "
        "publish it. With --run they are run, and the new versions' ARNs printed. Exit status 0: "
        "done, 1: a call failed, 2: wrong input.",
        epilog="Example: spanpipe layer publish dist/spanpipe-*.zip --region eu-west-1 --run",
    )
    publish_parser.add_argument("zips", nargs="+", metavar="ZIP", help="what `make layer` built")
    publish_parser.add_argument(
        "--region", action="append", default=[], help="may be repeated; else the CLI's own"
    )
    publish_parser.add_argument("--name", help="the layer's name, of one zip; else the zip's")
    publish_parser.add_argument(
        "--architecture", choices=ARCHITECTURES, help="refuse a zip that is not for it"
    )
    publish_parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="[PARTITION=]PROFILE",
        help="of the CLI's profiles, for every region or for those of a partition (aws-cn=china)",
    )
    publish_parser.add_argument(
        "--account", action="append", default=[], metavar="ID", help="that may use it too"
    )
    publish_parser.add_argument(
        "--organization", metavar="ID", help="whose accounts may use it too"
    )
    publish_parser.add_argument(
        "--public", action="store_true", help="every AWS account may use it"
    )
    publish_parser.add_argument("--run", action="store_true", help="run the calls")
    publish_parser.set_defaults(main=publish)


def publish(options: argparse.Namespace) -> int:
    """Print or run; 0 where all is done, 1 where a call failed. Raises CommandError."""
    publications = _publications(options)
    if options.run:
        return _run(publications)
    partition: str | None = AWS
    for one in publications:
        region = one.target.region
        before, partition = partition, AWS if region is None else partition_of(region)
        if partition != before:
            print(f"# The partition {partition} has credentials of its own.")
        print(one.shell())
    return OK_STATUS


def _publications(options: argparse.Namespace) -> list[Publication]:
    """Region by region, those of a partition together. Raises CommandError."""
    if options.name is not None:
        if len(options.zips) > 1:
            raise CommandError(
                f"--name {options.name}: would make {len(options.zips)} zips versions of one "
                "layer; publish one zip at a time, or let each keep its own name"
            )
        _check("--name", options.name, _NAME, "1 to 140 letters, digits, - and _")
    for account in options.account:
        _check("--account", account, _ACCOUNT, "twelve digits")
    if options.organization is not None:
        _check("--organization", options.organization, _ORGANIZATION, "o- and 10 to 32 characters")
    targets = _targets(options.region, options.profile, is_run=options.run)
    layers = [read_layer_zip(path, options.architecture) for path in options.zips]
    names = [options.name or layer.name for layer in layers]
    for name, layer in zip(names, layers, strict=True):
        _check(layer.path, name, _NAME, "1 to 140 letters, digits, - and _: give it a --name")
        if names.count(name) > 1:
            raise CommandError(f"two zips are named {name}: publish one at a time")
    grants = tuple(_grants(options))
    return [
        Publication(layer, name, target, grants)
        for target in targets
        for name, layer in zip(names, layers, strict=True)
    ]


def _check(what: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise CommandError(f"{what}: {value!r} must be {rule}")


def _grants(options: argparse.Namespace) -> list[Grant]:
    grants = [Grant(f"account-{one}", one) for one in dict.fromkeys(options.account)]
    if options.organization is not None:
        name = f"organization-{options.organization}"
        grants.append(Grant(name, EVERYONE, options.organization))
    if options.public:
        grants.append(Grant("public", EVERYONE))
    return grants


def _targets(regions: Sequence[str], profiles: Sequence[str], *, is_run: bool) -> list[Target]:
    """One for each region, in the order of partitions. Raises CommandError."""
    by_partition: dict[str, list[str]] = {}
    for region in dict.fromkeys(regions):
        partition = partition_of(region)
        if partition is None:
            raise CommandError(f"--region {region}: is no region's name, such as eu-west-1")
        by_partition.setdefault(partition, []).append(region)
    own = _profiles(profiles)
    general = own.pop("", None)
    for partition in own:
        if partition not in by_partition:
            raise CommandError(f"--profile {partition}=…: no --region is in {partition}")
    alone = [partition for partition in by_partition if partition not in own]
    if is_run and len(by_partition) > 1 and alone:
        raise CommandError(
            f"the regions are in {' and '.join(by_partition)}, and no credentials serve two "
            f"partitions: give --profile {alone[0]}=PROFILE too, or run one partition at a time"
        )
    if not by_partition:
        return [Target(None, general)]
    return [
        Target(region, own.get(partition, general))
        for partition, its in by_partition.items()
        for region in its
    ]


def _profiles(given: Sequence[str]) -> dict[str, str]:
    """By partition; the one for all others under "". Raises CommandError."""
    profiles: dict[str, str] = {}
    for text in given:
        partition, equals, profile = text.partition("=")
        if not equals:
            partition, profile = "", text
        elif partition not in PARTITIONS:
            raise CommandError(
                f"--profile {text}: {partition!r} is no partition; there are "
                f"{', '.join(PARTITIONS)}"
            )
        if not profile:
            raise CommandError(f"--profile {text}: names no profile")
        if profiles.setdefault(partition, profile) != profile:
            raise CommandError(f"--profile {text}: {profiles[partition]} is given for the same")
    return profiles


class _CallFailedError(Exception):
    """A call of the CLI's; the message is its own."""


def _run(publications: Sequence[Publication]) -> int:
    program = shutil.which("aws")
    if program is None:
        raise CommandError(
            "--run: there is no `aws` on PATH: install the AWS CLI, or run the same without --run "
            "and paste what is printed where it is installed"
        )
    for done_count, one in enumerate(publications):
        place = one.target.region or "the CLI's region"
        try:
            arn = _publish(program, one)
        except _CallFailedError as error:
            print(f"spanpipe layer: {one.layer.path}: {place}: {error}", file=sys.stderr)
            left = len(publications) - done_count - 1
            told = f"{done_count} published before it" + (f", {left} not tried" if left else "")
            print(f"spanpipe layer: stopped: {told}", file=sys.stderr)
            return FAILED_STATUS
        print(arn, flush=True)
    return OK_STATUS


def _publish(program: str, publication: Publication) -> str:
    """The new version's ARN. Raises _CallFailedError."""
    answer = _call(program, [*publication.publish(), "--output", "json"])
    try:
        told = json.loads(answer)
        arn, version = str(told["LayerVersionArn"]), str(int(told["Version"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _CallFailedError(f"aws answered what is no version: {answer[:200]!r}") from error
    for grant in publication.grants:
        try:
            _call(program, publication.grant(grant, version))
        except _CallFailedError as error:
            raise _CallFailedError(
                f"{arn} is published, but not shared ({grant.statement_id}): {error}"
            ) from error
    return arn


def _call(program: str, call: Sequence[str]) -> str:
    """What it printed. Raises _CallFailedError with what it said."""
    try:
        done = subprocess.run(
            [program, *call[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            # Version 2 pages its output where it can.
            env={**os.environ, "AWS_PAGER": ""},
            check=False,
        )
    except OSError as error:
        raise _CallFailedError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or "it said nothing"
        raise _CallFailedError(f"`{' '.join(call[:3])}` failed with {done.returncode}: {said}")
    return done.stdout
