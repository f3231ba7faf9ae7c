"""``--template``: the functions of a SAM or CloudFormation template, and what calls them.

A template maps to the same `Entry` as a functions file. What has no meaning here, or cannot be
run, is a note; what would make the run wrong is an error. The CDK's synthesised templates name
their code in ``Metadata`` (``aws:asset:path``). Sources: AWS SAM specification,
"AWS::Serverless::Function"; AWS CloudFormation, "AWS::Lambda::Function", "EventSourceMapping",
"Url", "AWS::SQS::Queue".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.application import QUEUE, EventSource, Reference
from spanpipe.run.functions_file import (
    MAX_BATCH_SIZE,
    MAX_FUNCTIONS,
    MAX_MEMORY_MB,
    MAX_TIMEOUT_S,
    MAX_WINDOW_S,
    Entry,
)
from spanpipe.run.intrinsics import NO_VALUE, UnknownError, mapping
from spanpipe.run.template_resources import SAM_FUNCTION, Resources
from spanpipe.run.template_source import Template, TemplateError

MAPPING = "AWS::Lambda::EventSourceMapping"
LAYERS = ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
_USED = frozenset(
    {
        "Handler",
        "Runtime",
        "CodeUri",
        "Code",
        "MemorySize",
        "Timeout",
        "Environment",
        "Events",
        "FunctionUrlConfig",
        "Layers",
        "PackageType",
    }
)
_USED_OF_SQS = frozenset(
    {
        "Queue",
        "EventSourceArn",
        "FunctionName",
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "FunctionResponseTypes",
        "Enabled",
    }
)
DEFAULT_TIMEOUT_S, DEFAULT_MEMORY_MB = 3.0, 128
"""Lambda's own."""
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Functions:
    """What can be run, and a line for each thing that is otherwise than on AWS."""

    entries: list[Entry]
    notes: list[str]


def functions_of(
    template: Template, parameters: Mapping[str, str], given: Mapping[str, str]
) -> Functions:
    """The Python functions of `template`. Raises TemplateError with every mistake.

    `parameters` are the template's, by name. `given` are the variables that the user gives by other
    ways: what the template says of those need not be known.
    """
    return _Reader(template, parameters, given).functions()


class _Reader:
    def __init__(
        self, template: Template, parameters: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        self._file = template.file
        self._folder = Path(template.file).resolve().parent
        self._given = given
        self._there = Resources(template, parameters)

    def functions(self) -> Functions:
        there = self._there
        entries = [self._entry(name) for name in there.functions]
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        for version in dict.fromkeys(there.functions.values()):
            if version != here:
                names = [name for name, asked in there.functions.items() if asked == version]
                text = f"{', '.join(names)}: python{version} is asked for, this is Python {here}"
                there.notes.append(f"{self._file}: {text}")
        if not entries:
            there.problems.append(f"{self._file}: has no Python function that can be run here")
        if len(entries) > MAX_FUNCTIONS:
            there.problems.append(
                f"{self._file}: has {len(entries)} functions, {MAX_FUNCTIONS} at most"
            )
        for name in there.of_type(MAPPING):
            entries = self._mapped(name, entries)
        self._check_queues(entries)
        if there.problems:
            raise TemplateError("\n".join([*there.problems, *map("note: {}".format, there.notes)]))
        return Functions(entries, there.notes)

    # One function

    def _entry(self, name: str) -> Entry:
        path = f"Resources.{name}.Properties"
        properties = self._there.properties(name)
        handler = self._there.value(properties, "Handler", path)
        if not isinstance(handler, str) or not handler:
            self._there.wrong(f"{path}.Handler", "must be there: module.function, as in Lambda")
        environ, references = self._environment(properties, path)
        source = self._events(properties, path)
        unused = sorted(set(properties) - _USED)
        if unused:
            self._there.note(path, f"without a meaning here: {', '.join(unused)}")
        return Entry(
            name=name,
            handler=str(handler or ""),
            directory=self._code(name, properties, path),
            timeout_s=self._there.number(
                properties, "Timeout", path, DEFAULT_TIMEOUT_S, 1, MAX_TIMEOUT_S
            ),
            memory_mb=int(
                self._there.number(
                    properties, "MemorySize", path, DEFAULT_MEMORY_MB, 128, MAX_MEMORY_MB
                )
            ),
            environ=environ,
            references=references,
            source=source,
            layers=tuple(self._layers(properties, path)),
        )

    def _code(self, name: str, properties: Mapping[str, Any], path: str) -> Path:
        """The folder of the function's code."""
        if "InlineCode" in properties or "ZipFile" in mapping(properties.get("Code")):
            self._there.wrong(
                path, "inline code cannot be run here; put it into a file, and name its folder"
            )
            return self._folder
        asset = self._there.asset(name)
        key = "CodeUri" if self._there.type(name) == SAM_FUNCTION else "Code"
        said = asset or self._there.value(properties, key, path)
        if said is None and key == "CodeUri":
            said = "."
        if not isinstance(said, str) or said.startswith("s3://"):
            self._there.wrong(f"{path}.{key}", "is not a folder here; name the folder of the code")
            return self._folder
        folder = self._folder / said
        if not folder.is_dir():
            self._there.wrong(f"{path}.{key}", f"there is no folder {folder}")
        return folder

    def _environment(
        self, properties: Mapping[str, Any], path: str
    ) -> tuple[dict[str, str], dict[str, Reference]]:
        environ: dict[str, str] = {}
        references: dict[str, Reference] = {}
        variables = mapping(mapping(properties.get("Environment")).get("Variables"))
        for name, said in variables.items():
            if name in self._given:
                continue
            place = f"{path}.Environment.Variables.{name}"
            try:
                value = self._there.resolved(said)
            except UnknownError as error:
                self._there.wrong(place, f"{error}; or give the variable: --env {name}=VALUE")
                continue
            if isinstance(value, Reference):
                references[name] = value
            elif isinstance(value, dict | list):
                self._there.wrong(place, "is no text")
            elif value is not NO_VALUE:
                text = str(value).lower() if isinstance(value, bool) else str(value)
                environ[name] = "" if value is None else text
        return environ, references

    def _layers(self, properties: Mapping[str, Any], path: str) -> Iterator[Path]:
        """Of the template's own layers the folders; one by its ARN is not here."""
        layers = properties.get("Layers", [])
        if not isinstance(layers, list):
            self._there.wrong(f"{path}.Layers", "must be a list")
            return
        for number, given in enumerate(layers):
            said = self._there.chosen(given)
            if said is None:
                continue
            name = str(mapping(said).get("Ref"))
            uri = self._there.asset(name) or self._there.unread(name).get("ContentUri")
            if self._there.type(name) in LAYERS and isinstance(uri, str):
                folder = self._folder / uri
                if folder.is_dir():
                    yield folder
                    continue
            text = "the layer is not here, and is left out; add its folder with --layer DIR"
            self._there.note(f"{path}.Layers.{number}", text)

    # What calls it

    def _events(self, properties: Mapping[str, Any], path: str) -> EventSource | None:
        source = None
        for event, said in mapping(properties.get("Events")).items():
            place = f"{path}.Events.{event}"
            kind = mapping(said).get("Type")
            inner = mapping(mapping(said).get("Properties"))
            if kind == "SQS":
                source = self._one_source(source, inner, "Queue", f"{place}.Properties")
            elif kind in ("Api", "HttpApi"):
                route = f"{inner.get('Method', 'ANY')} {inner.get('Path', '/{proxy+}')}"
                older = ", which brings payload 2.0" if kind == "Api" else ""
                text = f"{route} has no route here; the function has a URL of its own{older}"
                self._there.note(place, text)
            else:
                self._there.note(place, f"{kind} does not invoke it here; use --event")
        return source

    def _mapped(self, name: str, entries: list[Entry]) -> list[Entry]:
        """With an ``EventSourceMapping`` taken to the function that it names."""
        path = f"Resources.{name}.Properties"
        properties = self._there.properties(name)
        target = self._there.value(properties, "FunctionName", path)
        target = str(target).rpartition(":")[2]
        for index, entry in enumerate(entries):
            if entry.name == target:
                source = self._one_source(entry.source, properties, "EventSourceArn", path)
                return [*entries[:index], replace(entry, source=source), *entries[index + 1 :]]
        self._there.note(path, f"invokes {target}, which is not run here")
        return entries

    def _one_source(
        self, before: EventSource | None, properties: Mapping[str, Any], key: str, path: str
    ) -> EventSource | None:
        arn = self._there.value(properties, key, path)
        if arn is None:
            self._there.wrong(path, f"has no {key}")
            return before
        parts = str(arn).split(":")
        queue = parts[-1]
        if len(parts) != 6 or parts[2] != "sqs":
            self._there.note(
                f"{path}.{key}", f"{arn} is no SQS queue, and is left out; use --event"
            )
            return before
        if not _QUEUE_NAME.fullmatch(queue):
            self._there.note(
                f"{path}.{key}", f"{queue}: FIFO queues are not here, and it is left out"
            )
            return before
        if self._there.value(properties, "Enabled", path) is False:
            return before
        if before is not None:
            text = "a second queue of the function cannot be taken from here, and is left out"
            self._there.note(f"{path}.{key}", text)
            return before
        unused = sorted(set(properties) - _USED_OF_SQS)
        if unused:
            self._there.note(path, f"without a meaning here: {', '.join(unused)}")
        types = self._there.value(properties, "FunctionResponseTypes", path)
        size = self._there.number(properties, "BatchSize", path, 10, 1, MAX_BATCH_SIZE)
        window = "MaximumBatchingWindowInSeconds"
        return EventSource(
            queue=queue,
            batch_size=int(size),
            window_s=self._there.number(properties, window, path, 0.0, 0.0, MAX_WINDOW_S),
            item_failures=isinstance(types, list) and "ReportBatchItemFailures" in types,
        )

    def _check_queues(self, entries: list[Entry]) -> None:
        """One function takes from a queue, and one at least from each that is sent to."""
        takers: dict[str, str] = {}
        for entry in entries:
            if entry.source is not None:
                taker = takers.setdefault(entry.source.queue, entry.name)
                if taker != entry.name:
                    text = f"the queue {entry.source.queue} is taken by {taker} already"
                    self._there.wrong(f"Resources.{entry.name}", text)
        for entry in entries:
            for name, reference in entry.references.items():
                place = f"Resources.{entry.name}.Properties.Environment.Variables.{name}"
                if reference.kind == QUEUE and reference.name not in takers:
                    text = f"no function here takes from the queue {reference.name}"
                    self._there.wrong(place, f"{text}; give the variable: --env {name}=VALUE")
