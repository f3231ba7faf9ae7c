"""The table of attributes against OpenTelemetry's own words.

Twice: against the package `opentelemetry-semantic-conventions` that is installed, and against
the YAML of the conventions' registry, where a copy is there: the files of `model`, flat, in
SEMCONV_DIR or in a folder ``shared/semconv`` beside this repository.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opentelemetry.semconv
import pytest
import yaml

from docs.attribute_table import (
    ATTRIBUTES,
    CONDITIONAL,
    EVENTS,
    INT,
    LEFT_OUT,
    METRICS,
    OURS,
    RECOMMENDED,
    REQUIRED,
    STRING,
    Place,
)

ROWS = {one.name: one for one in ATTRIBUTES}
THEIRS = {name: one for name, one in ROWS.items() if not name.startswith(OURS)}

# The package


def constants(folder: str) -> dict[str, str]:
    """Each name in `folder` of the package, with what its docstring says."""
    found: dict[str, str] = {}
    for root in opentelemetry.semconv.__path__:
        for module in pkgutil.iter_modules([str(Path(root) / folder)]):
            path = Path(root) / folder / f"{module.name}.py"
            body = ast.parse(path.read_text(encoding="utf-8")).body
            for node, behind in zip(body, [*body[1:], None], strict=True):
                if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                    doc = behind.value if isinstance(behind, ast.Expr) else None
                    text = doc.value if isinstance(doc, ast.Constant) else ""
                    found[str(node.value.value)] = str(text)
    return found


def test_every_name_that_is_not_ours_is_the_conventions() -> None:
    """Known to the package, incubating ones included, and none of them deprecated."""
    # What has become stable is called deprecated among the incubating ones.
    known = constants("_incubating/attributes") | constants("attributes")
    assert len(known) > 500
    assert set(THEIRS) - set(known) == set()
    assert [name for name in THEIRS if "Deprecated" in known[name]] == []


def test_what_is_stable_is_so_in_the_package() -> None:
    """Stable names stand outside of the incubating ones."""
    stable = constants("attributes")
    assert {name for name, one in THEIRS.items() if one.stable} == set(THEIRS) & set(stable)


def test_the_metrics_are_the_packages() -> None:
    """Name, instrument and unit; what is not sent stands in LEFT_OUT."""
    known = {
        name: (
            re.findall(r"Instrument: (\S+)", text),
            re.findall(r"Unit: (\S+)", text),
        )
        for name, text in constants("_incubating/metrics").items()
        if name.startswith("faas.")
    }
    ours = {one.name: ([one.instrument], [one.unit]) for one in METRICS}
    assert ours == {name: told for name, told in known.items() if name not in LEFT_OUT}
    assert {name for name in LEFT_OUT if name in known} == set(known) - set(ours)


# The registry

HERE = Path(__file__).resolve()


def registry() -> Path:
    """Where the YAML is; skips where it is nowhere, and where it should be it must be."""
    named = os.environ.get("SEMCONV_DIR")
    places = [Path(named)] if named else [one / "shared" / "semconv" for one in HERE.parents]
    for place in places:
        if (place / "faas-registry.yaml").is_file():
            return place
    assert not named, f"SEMCONV_DIR: {named} has no faas-registry.yaml"
    pytest.skip("no copy of the semantic conventions' registry: SEMCONV_DIR names none")


def documents(pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(registry().glob(pattern)):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


def definitions() -> dict[str, dict[str, Any]]:
    """Each attribute that the registry defines; its files come in two formats."""
    found: dict[str, dict[str, Any]] = {}
    for document in documents("*-registry.yaml"):
        for group in (document, *document.get("groups", ())):
            for one in group.get("attributes", ()):
                name = one.get("id") or one.get("key")
                if name:
                    found[name] = one
    return found


def members(definition: dict[str, Any]) -> list[Any]:
    """The values of an enumeration; [] for another type."""
    given = definition["type"]
    return [one["value"] for one in given["members"]] if isinstance(given, dict) else []


def type_of(definition: dict[str, Any]) -> str:
    values = members(definition)
    if not values:
        return str(definition["type"])
    return INT if isinstance(values[0], int) else STRING


def test_types_and_stability_are_the_registrys() -> None:
    """Of every name whose namespace is there; none is deprecated."""
    known = definitions()
    namespaces = {name.partition(".")[0] for name in known}
    assert {"faas", "aws", "cloud", "http", "messaging", "exception"} <= namespaces
    checked = [one for name, one in THEIRS.items() if name.partition(".")[0] in namespaces]
    assert {one.name: (one.type, one.stable, None) for one in checked} == {
        one.name: (
            type_of(known[one.name]),
            known[one.name]["stability"] == "stable",
            known[one.name].get("deprecated"),
        )
        for one in checked
    }


def test_values_are_the_registrys_or_have_a_reason() -> None:
    """An enumeration may have others where the table's note says so."""
    known = definitions()
    wrong = [
        one.name
        for one in THEIRS.values()
        if one.values
        and (theirs := members(known.get(one.name, {"type": STRING})))
        and not set(one.values) <= set(theirs)
        and not one.note
    ]
    assert wrong == []
    assert set(members(known["faas.trigger"])) == set(ROWS["faas.trigger"].values)
    whole = ("faas.document.operation", "http.request.method")
    assert {name: sorted(ROWS[name].values) for name in whole} == {
        name: sorted(members(known[name])) for name in whole
    }


def level(given: Any) -> str:
    """A requirement level without its condition."""
    name = next(iter(given)) if isinstance(given, dict) else given or "recommended"
    return {
        "required": REQUIRED,
        "conditionally_required": CONDITIONAL,
        "recommended": RECOMMENDED,
        "opt_in": "opt-in",
    }[name]


def levels_of_spans(pattern: str, *types: str) -> dict[str, dict[str, str]]:
    """Type of span → attribute → level, groups unfolded."""
    found: dict[str, dict[str, str]] = {}
    for document in documents(pattern):
        groups = {one["id"]: one["attributes"] for one in document.get("attribute_groups", ())}

        def unfold(attributes: Any, groups: Any = groups) -> dict[str, str]:
            levels: dict[str, str] = {}
            for one in attributes:
                if "ref_group" in one:
                    levels |= unfold(groups[one["ref_group"]])
                elif one["ref"] not in levels or "requirement_level" in one:
                    levels[one["ref"]] = level(one.get("requirement_level"))
            return levels

        for span in document.get("spans", ()):
            if span["type"] in types:
                found[span["type"]] = unfold(span["attributes"])
        for group in document.get("groups", ()):
            if group["id"] in types:
                found[group["id"]] = unfold(group["attributes"])
    assert set(found) == set(types)
    return found


SPANS_OF_OURS = {
    "faas.server": "",
    "faas.datasource.server": "`faas.trigger` is `datasource`",
    "faas.timer.server": "`faas.trigger` is `timer`",
}
"""Each kind of span that an invocation span may be, and the condition that makes it one."""


@pytest.mark.parametrize("type_", SPANS_OF_OURS)
def test_requirement_levels_are_the_faas_spans(type_: str) -> None:
    """Required is required, under the trigger's condition where there is one, or has a note."""
    wrong = []
    for name, told in levels_of_spans("faas-spans.yaml", type_)[type_].items():
        row = ROWS.get(name)
        if row is None or Place.INVOCATION not in row.at:
            if name not in LEFT_OUT or told == REQUIRED:
                wrong.append((name, "not there"))
            continue
        ours = row.at[Place.INVOCATION]
        if told == REQUIRED and ours.name != REQUIRED:
            condition = SPANS_OF_OURS[type_]
            if ours.name != CONDITIONAL or not condition:
                wrong.append((name, ours.name))
            elif ours.condition != condition and not row.note:
                wrong.append((name, ours.condition))
    assert wrong == []


def test_requirement_levels_are_the_lambda_spans() -> None:
    """All of the span's own attributes are there, or left out with a reason."""
    (told,) = levels_of_spans("aws-lambda-spans.yaml", "span.aws.lambda.server").values()
    assert {name: level_name for name, level_name in told.items() if name not in LEFT_OUT} == {
        "aws.lambda.invoked_arn": ROWS["aws.lambda.invoked_arn"].at[Place.INVOCATION].name
    }


def test_the_resource_has_its_entities_attributes() -> None:
    """Those of the function, its cloud, its logs, its service and what sends the spans."""
    entities = {
        group["id"]: group["attributes"]
        for pattern in ("faas", "cloud", "aws-logs", "service", "telemetry")
        for document in documents(f"{pattern}-entities.yaml")
        for group in document["groups"]
    }
    ours = ("faas", "cloud", "aws.log", "service", "telemetry.sdk", "telemetry.distro")
    wrong = []
    for entity in ours:
        for one in entities[f"entity.{entity}"]:
            name, told = one["ref"], level(one.get("requirement_level"))
            row = ROWS.get(name)
            if row is None:
                if name not in LEFT_OUT or told == REQUIRED:
                    wrong.append((entity, name))
            elif Place.RESOURCE in row.at:
                if told == REQUIRED and row.at[Place.RESOURCE].name != REQUIRED:
                    wrong.append((entity, name))
            elif Place.INVOCATION not in row.at:
                wrong.append((entity, name))
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "type_", "condition"),
    [
        ("messaging-spans.yaml", "messaging.process.consumer", "`faas.trigger` is `pubsub`"),
        ("http-spans.yaml", "span.http.server", ""),
    ],
)
def test_what_a_triggers_conventions_require_is_computed(
    pattern: str, type_: str, condition: str
) -> None:
    """Required there is conditionally required here, by a condition that is checked."""
    (told,) = levels_of_spans(pattern, type_).values()
    required = {name for name, one in told.items() if one == REQUIRED}
    assert required
    for name in required:
        ours = ROWS[name].at[Place.INVOCATION]
        assert (ours.name, ours.holds is not None) == (CONDITIONAL, True)
        assert not condition or ours.condition == condition


def test_the_event_is_the_registrys() -> None:
    """`exception`: an attribute of ours each, but the deprecated one."""
    (group,) = (
        one for document in documents("exceptions-events.yaml") for one in document["groups"]
    )
    assert group["name"] in {one.name for one in EVENTS}
    deprecated = {"exception.escaped"}
    assert {one["ref"] for one in group["attributes"]} - deprecated == {
        one.name for one in ATTRIBUTES if Place.EXCEPTION in one.at
    }


def test_the_metrics_are_the_registrys() -> None:
    """Name, instrument, unit and attributes."""
    known = {
        one["metric_name"]: (
            one["instrument"],
            one["unit"],
            [ref["ref"] for ref in one["attributes"]],
        )
        for document in documents("faas-metrics.yaml")
        for one in document["groups"]
    }
    points = [one.name for one in ATTRIBUTES if Place.POINT in one.at]
    assert {one.name: (one.instrument, one.unit, points) for one in METRICS} == {
        name: told for name, told in known.items() if name not in LEFT_OUT
    }
