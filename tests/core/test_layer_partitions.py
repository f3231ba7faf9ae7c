"""Regions, runtimes and names, held to what AWS's own SDK knows."""

from __future__ import annotations

import botocore.session
import pytest

from spanpipe.layer.archive import OTHER_RUNTIMES, PYTHON_RUNTIMES
from spanpipe.layer.partitions import PARTITIONS, partition_of

SESSION = botocore.session.get_session()


def test_every_region_is_in_its_partition() -> None:
    """All that the SDK lists, and no partition is left out."""
    known = {
        region: partition["id"]
        for partition in SESSION.get_data("partitions")["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    }
    assert {region: partition_of(region) for region in known} == known
    assert set(known.values()) == set(PARTITIONS)


@pytest.mark.parametrize("text", ["", "eu", "eu-west", "eu_west_1", "EU-WEST-1", "aws-global", "1"])
def test_what_is_no_region_has_no_partition(text: str) -> None:
    """It would be found out by the CLI alone, after half of the calls."""
    assert partition_of(text) is None


def test_a_version_names_runtimes_that_the_api_takes() -> None:
    """Every one is in the API's list, and there are no more than it takes at once."""
    model = SESSION.get_service_model("lambda")
    named = {*PYTHON_RUNTIMES, *OTHER_RUNTIMES}
    assert named <= set(model.shape_for("Runtime").enum)
    assert len(named) <= model.shape_for("CompatibleRuntimes").metadata["max"]
