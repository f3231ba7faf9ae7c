"""The AWS CLI's calls that publish a layer and share it: as lists, and as a shell's text (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from spanpipe.layer.archive import PYTHON_RUNTIMES, LayerZip

EVERYONE = "*"
_LICENSE = "Apache-2.0"
_ACTION = "lambda:GetLayerVersion"
"""The one permission that a layer knows."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may use a version: `principal` is an account's number, or `EVERYONE`, who may have to be
    in `organization`. `statement_id` names it in the version's policy."""

    statement_id: str
    principal: str
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where it goes; None is what the CLI's own configuration says."""

    region: str | None
    profile: str | None

    def options(self) -> list[str]:
        """Of every call."""
        chosen = [("--region", self.region), ("--profile", self.profile)]
        return [one for name, value in chosen if value is not None for one in (name, value)]


@dataclass(frozen=True, slots=True)
class Publication:
    """One zip as one new version of the layer `layer_name` at one target."""

    layer: LayerZip
    layer_name: str
    target: Target
    grants: tuple[Grant, ...] = ()

    def publish(self) -> list[str]:
        """``aws lambda publish-layer-version``, without an output format."""
        kind = "for Python" if self.layer.runtimes == PYTHON_RUNTIMES else "for every runtime"
        return [
            *("aws", "lambda", "publish-layer-version", *self.target.options()),
            *("--layer-name", self.layer_name),
            *("--description", f"spanpipe {self.layer.version} {kind}"),
            *("--license-info", _LICENSE),
            *("--zip-file", f"fileb://{self.layer.path}"),
            *("--compatible-runtimes", *self.layer.runtimes),
            *("--compatible-architectures", *self.layer.architectures),
        ]

    def grant(self, grant: Grant, version: str) -> list[str]:
        """``aws lambda add-layer-version-permission`` for what `publish` made."""
        call = [
            *("aws", "lambda", "add-layer-version-permission", *self.target.options()),
            *("--layer-name", self.layer_name),
            *("--version-number", version),
            *("--statement-id", grant.statement_id),
            *("--action", _ACTION),
            *("--principal", grant.principal),
        ]
        if grant.organization is not None:
            call += ["--organization-id", grant.organization]
        return call

    def shell(self) -> str:
        """The calls as text for a POSIX shell; what is shared is what was just published."""
        if not self.grants:
            return _text(self.publish())
        version = _text([*self.publish(), "--query", "Version", "--output", "text"])
        shared = (_text(self.grant(one, "$version")) for one in self.grants)
        return " &&\n".join((f"version=$({version})", *shared))


def _text(call: Sequence[str]) -> str:
    """One line for each option; ``$version`` alone is the shell's to replace."""
    lines: list[list[str]] = [[]]
    for word in call:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append('"$version"' if word == "$version" else shlex.quote(word))
    return " \\\n    ".join(" ".join(line) for line in lines)
