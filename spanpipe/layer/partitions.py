"""Which partition a region belongs to: a layer, its ARN and the credentials stay in one (pure)."""

from __future__ import annotations

import re

AWS = "aws"
_PREFIXES = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("us-iso-", "aws-iso"),
    ("eu-isoe-", "aws-iso-e"),
)
"""Of the regions that are not in `aws`. Source: AWS SDKs, ``partitions.json``."""
PARTITIONS = (AWS, *(partition for _, partition in _PREFIXES))
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


def partition_of(region: str) -> str | None:
    """The partition's name as it stands in ARNs; None for what cannot be a region."""
    if not _REGION.fullmatch(region):
        return None
    return next((name for prefix, name in _PREFIXES if region.startswith(prefix)), AWS)
