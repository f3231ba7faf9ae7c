"""What the pages say is so: links lead somewhere, commands exist, code is code."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from extension import config
from sandbox.fault_file import parse as parse_faults
from spanpipe import cli
from spanpipe.run.functions_file import parse as parse_functions
from tests.pages import ROOT, Code, Link, anchors, blocks, inline_code, links, pages
from tests.writers.languages import tool

TARGETS = set(
    re.findall(r"^([a-z-]+|\$\(VENV\)/ready):", (ROOT / "Makefile").read_text(), re.MULTILINE)
)
CONFIG_KEYS = set(yaml.safe_load((ROOT / "config.yaml").read_text()))
FAULT_KEYS = set(yaml.safe_load((ROOT / "examples" / "faults.yaml").read_text()))
OTHERS = {
    *(".", "[", "cd", "cp", "echo", "export", "fg", "mkdir", "mv", "printf", "unzip", "zip"),
    *("apt-get", "aws", "cdk", "curl", "docker", "git", "jq", "npm", "npx", "pip", "sam"),
    *("terraform", "uv", "spanpipe_result"),
}
"""Commands that are not ours, whose options are not ours to check."""
NOT_CHECKED = {"", "text", "mermaid"}
"""Drawings and output."""
INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "WORKDIR"}
"""Of a Dockerfile, as its reference has them."""
IN_THE_LAYER = {"spanpipe/bom.cdx.json"}


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file that is here, and to a heading that is in it; others' addresses are https."""
    lost = []
    for link in links():
        if link.page != str(path.relative_to(ROOT)):
            continue
        target, _, anchor = link.target.partition("#")
        if "://" in target:
            if not target.startswith("https://"):
                lost.append(str(link))
            continue
        file = (path.parent / unquote(target)).resolve() if target else path
        if not file.exists() or not file.is_relative_to(ROOT):
            lost.append(str(link))
        elif anchor and anchor not in anchors(file):
            lost.append(f"{link}: no such heading")
    assert lost == []


FOLDERS = (
    *("bench", "chaos", "deploy", "docs", "examples", "exporter", "extension", "fifo", "fuzz"),
    *("sandbox", "spanpipe", "tests", "writers"),
)


def test_paths_and_commands_inside_sentences_exist() -> None:
    """`fifo/wire.py` is a file, `make layer` a target, `python -m bench.held` a module."""
    lost = []
    for one in inline_code():
        words = one.target.split()
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", one.target):
            if not (ROOT / one.target).exists() and one.target not in IN_THE_LAYER:
                lost.append(str(one))
        elif is_command(words) and problem(words):
            lost.append(str(one))
    assert lost == []


@pytest.mark.parametrize("code", blocks("sh", "bash", "shell"), ids=str)
def test_shell_commands_exist_and_know_their_options(code: Code) -> None:
    """The whole block is valid; ours are parsed by their own parsers, none is run."""
    checked = subprocess.run(
        ["bash", "-n"], input=code.text, capture_output=True, text=True, check=False
    )
    assert checked.stderr == ""
    assert [found for words in commands(code.text) if (found := problem(words))] == []


def is_command(words: list[str]) -> bool:
    """Whether a piece of code inside a sentence can be held to what is here."""
    return (words[0] == "make" and len(words) > 1) or words[:2] == ["python", "-m"]


def commands(text: str) -> list[list[str]]:
    """The words of each command, without what they are given by variables and redirections."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("|&;()"):
                if words:
                    found.append(words)
                words = []
            elif words or not re.match(r"[A-Za-z_]\w*=", word):
                words.append(word)
    return found


def problem(words: list[str]) -> str | None:
    """What is wrong with a command of ours; None where it is right, or another's."""
    command, *arguments = words
    if command == "spanpipe":
        return None if is_parsed(arguments) else f"no such options: {shlex.join(words)}"
    if command == "make":
        asked = [one for one in _without_option(arguments, "-C") if "=" not in one]
        unknown = {one.replace(".venv", "$(VENV)") for one in asked} - TARGETS
        return f"no such target: {', '.join(unknown)}" if unknown else None
    if command == "python" and arguments[:1] == ["-m"]:
        return _module_problem(arguments[1:])
    if command in OTHERS or command.startswith(("./", "$")):
        return None
    return f"nobody knows {command}: is it another's (OTHERS), or a mistake?"


def _without_option(arguments: list[str], option: str) -> list[str]:
    at = arguments.index(option) if option in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2 :]


def _module_problem(arguments: list[str]) -> str | None:
    name, *options = arguments
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return f"no such module: {name}"
    path = Path(found.origin)
    sources = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
    source = "".join(one.read_text() for one in sources)
    unknown = [one for one in options if one.startswith("--") and f'"{one}"' not in source]
    return f"{name} has no {', '.join(unknown)}" if unknown else None


class ParsedError(Exception):
    """Arguments were understood."""


def is_parsed(arguments: list[str]) -> bool:
    """Whether the command's own parser takes them; nothing is run."""
    original = argparse.ArgumentParser.parse_args

    def parse(*given: object, **named: object) -> None:
        original(*given, **named)  # type: ignore[call-overload]
        raise ParsedError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        try:
            cli.main(arguments)
        except ParsedError:
            return True
        except SystemExit as left:
            return left.code == 0  # --help
    return False


def test_the_check_of_commands_finds_mistakes() -> None:
    """An option, a target and a module that are not there are told; what is right is not."""
    text = "make nothing && spanpipe run app.handler --no-such | jq .\nX=1 python -m bench.none\n"
    assert [problem(words) is not None for words in commands(text)] == [True, True, False, True]
    text = "spanpipe check --send a.yaml; make layer GRPC=1\npython -m bench.held --runs 1 &\n"
    assert [problem(words) for words in commands(text)] == [None, None, None]


@pytest.mark.parametrize("code", blocks("python", "py"), ids=str)
def test_python_compiles(code: Code) -> None:
    """Those that are whole handlers are run elsewhere, in the sandbox."""
    compile(code.text, str(code), "exec")


@pytest.mark.parametrize("code", blocks("yaml", "yml"), ids=str)
def test_yaml_is_what_the_loader_takes(code: Code, tmp_path: Path) -> None:
    """A configuration, a fault file or a functions file by its own loader; others are YAML."""
    keys = set(_keys(code.text))
    environ = dict.fromkeys(re.findall(r"\$\{([A-Z_a-z]\w*)", code.text), "value")
    environ["AWS_REGION"] = "eu-west-1"
    file = tmp_path / "spanpipe.yaml"
    file.write_text(code.text)
    if keys <= CONFIG_KEYS:
        assert config.load(environ, str(file)).errors == ()
    elif keys <= FAULT_KEYS:
        parse_faults(code.text, str(code), environ)
    elif keys == {"functions"}:
        parse_functions(code.text, str(code), environ)


def _keys(text: str) -> list[str]:
    root = yaml.compose(text)
    return [key.value for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []


def test_data_is_read() -> None:
    """JSON; in JSON lines each line."""
    for code in blocks("json", "jsonl"):
        for line in code.text.splitlines() if code.language == "jsonl" else [code.text]:
            json.loads(line)


@pytest.mark.parametrize("code", blocks("js", "javascript", "go", "rust"), ids=str)
def test_other_languages_parse(code: Code, tmp_path: Path) -> None:
    """By the language's own tool; what they do is held by tests/writers."""
    text = code.text
    if code.language == "go":
        command = ["gofmt", "-e", "-l"]
    elif code.language == "rust":
        command, text = ["rustfmt", "--edition", "2021"], f"fn main() {{\n{text}\n}}\n"
    else:
        command = ["node", "--check", str(tmp_path / "block.mjs")]
        (tmp_path / "block.mjs").write_text(text)
    command[0] = tool(command[0])
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_images_copy_what_is_built() -> None:
    """A Dockerfile has known instructions, and takes the folders that `make layer` makes."""
    for code in blocks("dockerfile"):
        lines = [line for line in code.text.replace("\\\n", " ").splitlines() if line.strip()]
        words = [line.split() for line in lines if not line.startswith("#")]
        assert {one[0] for one in words} <= INSTRUCTIONS
        copied = [one[1].rstrip("/") for one in words if one[0] == "COPY"]
        ours = [path for path in copied if "spanpipe" in path]
        assert ours
        for path in ours:
            assert re.search("(^|/)spanpipe-(python|any)-(x86_64|arm64)$", path), path


def test_no_language_is_without_a_check() -> None:
    """A block in a language that no test here knows would be believed unread."""
    known = {"sh", "bash", "shell", "python", "py", "yaml", "yml", "json", "jsonl"}
    known |= {"js", "javascript", "go", "rust", "dockerfile"} | NOT_CHECKED
    assert [f"{code}: {code.language}" for code in blocks() if code.language not in known] == []


def test_the_pages_are_what_a_reader_gets() -> None:
    """The guides are among them, so that what is checked above is not nothing."""
    names = {str(path.relative_to(ROOT)) for path in pages()}
    assert names >= {"README.md", "docs/quick-start.md", "fifo/PROTOCOL.md", "writers/README.md"}
    assert isinstance(links()[0], Link)
    assert len(blocks("sh")) > 10
