"""The layer's parts without I/O: pins, trees, byte code, zips."""

from __future__ import annotations

import importlib.util
import io
import marshal
import stat
import zipfile
from pathlib import Path

import pytest

from deploy.layer.archive import to_zip
from deploy.layer.compile_files import byte_code
from deploy.layer.debian_pins import DebianPin, read_debian_pins, to_text
from deploy.layer.errors import LayerError
from deploy.layer.interpreter import PINS
from deploy.layer.pins import Pin, pin_of, read_pins
from deploy.layer.platforms import PYTHONS
from deploy.layer.reached import reached
from deploy.layer.tree import File, Tree, put, put_wheel

ROOT = Path(__file__).resolve().parents[2]


def test_pins_are_read_with_their_hashes() -> None:
    """One version and its hashes by normalised name; what differs by Python is no pin."""
    text = (
        "# a comment\n"
        "Some_Package==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via other\n"
        "marked==3 ; sys_platform == 'linux' \\\n    --hash=sha256:cc\n"
        "twice==1 ; python_version < '3.11' \\\n    --hash=sha256:dd\n"
        "twice==2 ; python_version >= '3.11' \\\n    --hash=sha256:ee\n"
    )
    pins = read_pins(text)
    assert pins == {
        "some-package": Pin("some-package", "1.2", frozenset({"aa", "bb"})),
        "marked": Pin("marked", "3", frozenset({"cc"})),
    }
    assert pin_of(pins, "some.package") == pins["some-package"]
    with pytest.raises(LayerError, match="twice is not pinned"):
        pin_of(pins, "twice")


@pytest.mark.parametrize("text", ["", "bare==1\n"])
def test_without_a_hash_nothing_is_built(text: str) -> None:
    """A pin that cannot be checked is none."""
    with pytest.raises(LayerError, match="pins nothing with a hash"):
        read_pins(text)


def test_a_wheel_is_unpacked_without_what_nothing_reads() -> None:
    """Modules, data, METADATA and entry points stay; licences have a place of their own."""
    tree: Tree = {}
    files = {
        "one/__init__.py": b"1",
        "one/fast.so": b"2",
        "one/__init__.pyi": b"3",
        "one-1.dist-info/METADATA": b"4",
        "one-1.dist-info/RECORD": b"5",
        "one-1.dist-info/licenses/LICENSE": b"6",
        "urllib3/contrib/pyopenssl.py": b"7",
    }
    put_wheel(tree, files, "one", python_part=True)
    assert tree == {
        "spanpipe/packages/one/__init__.py": File(b"1"),
        "spanpipe/packages/one-1.dist-info/METADATA": File(b"4"),
        "spanpipe/licenses/one/LICENSE": File(b"6"),
    }
    put_wheel(tree, {"one/fast.so": b"2"}, "one", python_part=False)
    assert tree["spanpipe/packages/one/fast.so"] == File(b"2")


def test_two_files_of_one_path_are_refused() -> None:
    """The same file twice is none too many, another one is."""
    tree: Tree = {}
    put(tree, "a", File(b"1"))
    put(tree, "a", File(b"1"))
    with pytest.raises(LayerError, match="/opt/a"):
        put(tree, "a", File(b"1", 0o755))
    with pytest.raises(LayerError, match=r"one\.data"):
        put_wheel(tree, {"one.data/scripts/x": b""}, "one", python_part=False)


def test_a_zip_depends_on_its_tree_alone() -> None:
    """Not on the order in which it was filled; permissions are told, times are not."""
    items = [(f"{number}/x", File(bytes([number]) * 99, 0o755)) for number in range(9)]
    packed = to_zip(dict(items))
    items.reverse()
    assert to_zip(dict(items)) == packed
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == sorted(path for path, _ in items)
        for member in archive.infolist():
            assert member.external_attr >> 16 == stat.S_IFREG | 0o755
            assert (member.date_time, member.create_system) == ((1980, 1, 1, 0, 0, 0), 3)


def test_a_program_reaches_what_it_imports() -> None:
    """In functions too, and packages; not what is for type checkers, or of others."""
    sources = {
        "one": b"",
        "one.main": b"import json\nfrom two import a\ndef f():\n    import two.lazy\n",
        "one.idle": b"import two.a",
        "two": b"TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from two.typed import T\n",
        "two.a": b"from two.b import c",
        "two.b": b"",
        "two.lazy": b"from . import typed",
        "two.typed": b"",
    }
    assert reached(sources, "one.main") == {
        "one",
        "one.main",
        "two",
        "two.a",
        "two.b",
        "two.lazy",
    }


def test_debian_pins_are_written_as_they_are_read() -> None:
    """In order, under a head that says where they come from; the file's own too."""
    pins = [
        DebianPin("x86_64", "b", "1:2-3", "0" * 64, "debian/pool/main/b/b_2-3_amd64.deb"),
        DebianPin("arm64", "a", "1", "f" * 64, "debian-security/pool/a_1_arm64.deb"),
    ]
    text = to_text(pins)
    assert text.startswith("# Debian's packages")
    assert read_debian_pins(text) == pins[::-1]
    assert [pin.file_name for pin in pins] == ["b_2-3_amd64.deb", "a_1_arm64.deb"]
    own = PINS.read_text()
    assert to_text(read_debian_pins(own)) == own


@pytest.mark.parametrize("line", ["x86_64 a 1", f"x86_64 a 1 {'g' * 64} debian/a.deb"])
def test_a_line_that_is_no_pin_is_named(line: str) -> None:
    """Without a hash that can be checked nothing is fetched."""
    with pytest.raises(LayerError, match=r"debian\.txt, line 2, is no pin: make layer-pins"):
        read_debian_pins(f"# head\n{line}\n")


SOURCE = b'''"""Of the module."""

from __future__ import annotations


class Named:
    """Of the class."""


def asserting(value):
    """Of the function."""
    assert value, "asked for"
    return value
'''


def test_byte_code_is_never_checked_and_has_no_docstrings() -> None:
    """PEP 552's flags, the source's hash, the path in `/opt`; assertions and lines stay."""
    made = byte_code(SOURCE, "/opt/python/one.py")
    assert made[:4] == importlib.util.MAGIC_NUMBER
    assert made[4:8] == b"\x01\0\0\0"
    assert made[8:16] == importlib.util.source_hash(SOURCE)
    code = marshal.loads(made[16:])  # noqa: S302 - what was just made
    assert code.co_filename == "/opt/python/one.py"
    found: dict[str, object] = {"__name__": "one"}
    exec(code, found)  # noqa: S102 - what was just compiled
    asserting = found["asserting"]
    assert (found.get("__doc__"), asserting.__doc__) == (None, None)
    assert found["Named"].__doc__ is None
    assert asserting.__code__.co_firstlineno == 10
    with pytest.raises(AssertionError, match="asked for"):
        asserting(0)


def test_the_launcher_looks_for_the_versions_that_are_built() -> None:
    """The shell's pattern and its message name the same Pythons as the table."""
    script = (ROOT / "deploy" / "layer" / "launch" / "python").read_text()
    assert f"/python3.{PYTHONS[0][2]}[{PYTHONS[0][3]}-{PYTHONS[-1][3]}]" in script
    assert f"no Python {PYTHONS[0]} to {PYTHONS[-1]} in" in script
