"""Where AWS's services answer: of one mind with botocore in every region that it knows."""

from __future__ import annotations

import botocore.session
import pytest

from extension.aws_endpoints import host_of, is_region, region_in, region_of, store_url

ALL = [
    (region, partition)
    for partition in botocore.session.Session().get_available_partitions()
    for region in botocore.session.Session().get_available_regions("ssm", partition)
]


@pytest.mark.parametrize("store", ["secretsmanager", "ssm"])
def test_every_region_has_botocores_host(store: str) -> None:
    """GovCloud and China among them."""
    known = botocore.session.Session().get_data("partitions")["partitions"]
    suffixes = {one["id"]: one["outputs"]["dnsSuffix"] for one in known}
    assert {"us-gov-west-1", "cn-north-1", "eu-central-1"} <= {region for region, _ in ALL}
    for region, partition in ALL:
        assert is_region(region)
        assert store_url(store, region, {}) == f"https://{store}.{region}.{suffixes[partition]}/"


@pytest.mark.parametrize("region", ["", "eu", "eu-west-1.evil.example", "EU-WEST-1", "eu-west-1/"])
def test_what_is_no_region_becomes_no_host(region: str) -> None:
    """A variable or an ARN is a stranger's word."""
    assert not is_region(region)


def test_a_variable_names_another_endpoint() -> None:
    """That of the service before that of all."""
    both = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_SSM": "http://one:2/base/"}
    assert store_url("ssm", "eu-west-1", both) == "http://one:2/base/"
    assert store_url("secretsmanager", "eu-west-1", both) == "http://all:1/"
    manager = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://sm:3"}
    assert store_url("secretsmanager", "eu-west-1", manager) == "http://sm:3/"
    assert host_of("http://user:key@sm:3/x") == "sm"


def test_an_arn_says_its_own_region() -> None:
    """A name is of the function's."""
    environ = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}
    arn = "arn:aws-us-gov:secretsmanager:us-gov-east-1:1:secret:backend-AbCdEf"
    assert region_of(arn, environ) == "us-gov-east-1"
    assert region_of("backend", environ) == "eu-west-1"
    assert region_in({"AWS_DEFAULT_REGION": "eu-west-2"}) == ("eu-west-2", "AWS_DEFAULT_REGION")
    assert region_in({}) == ("", "")
