"""Where AWS's services answer, by region and environment (pure).

Sources: AWS General Reference, "AWS service endpoints"; AWS SDKs and Tools Reference Guide,
"Service-specific endpoints" and "AWS Region".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from exporter.settings import PARAMETER_STORE, SECRETS_MANAGER

_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{1,16}){1,3}-[0-9]{1,2}")
_ARN = re.compile(r"arn:[a-z-]{3,16}:[a-z]+:([a-z0-9-]+):")

_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
"""By how the region begins; all others, GovCloud's too, are under the first."""
_DEFAULT_SUFFIX = "amazonaws.com"
_OVERRIDES = {
    SECRETS_MANAGER: "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    PARAMETER_STORE: "AWS_ENDPOINT_URL_SSM",
}
_OVERRIDE = "AWS_ENDPOINT_URL"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def region_in(environ: Mapping[str, str]) -> tuple[str, str]:
    """The function's region and the variable that says it; ("", "") where none does."""
    for variable in _REGION_VARIABLES:
        if environ.get(variable):
            return environ[variable], variable
    return "", ""


def is_region(text: str) -> bool:
    """Whether it may be a region's name: it becomes part of a host's."""
    return _REGION.fullmatch(text) is not None


def suffix_of(region: str) -> str:
    """The domain of the partition that `region` is in."""
    return next((one for start, one in _SUFFIXES if region.startswith(start)), _DEFAULT_SUFFIX)


def region_of(name: str, environ: Mapping[str, str]) -> str:
    """Where a secret lives: an ARN says it, else it is the function's own region."""
    arn = _ARN.match(name)
    return arn[1] if arn is not None else region_in(environ)[0]


def store_url(store: str, region: str, environ: Mapping[str, str]) -> str:
    """The URL that a store's requests are posted to, with a slash at its end."""
    given = environ.get(_OVERRIDES[store]) or environ.get(_OVERRIDE)
    url = given or f"https://{store}.{region}.{suffix_of(region)}"
    return url.rstrip("/") + "/"


def host_of(url: str) -> str:
    """Of a URL, as it may be shown."""
    return urlsplit(url).hostname or ""
