"""What the layer's build fetches: packages by apt's own downloader, interpreters by Maven."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.layer.debian import fetch, mirrors
from deploy.layer.debian_pins import DebianPin
from deploy.layer.errors import LayerError, NotHereError
from deploy.layer.pythons import pythons
from sandbox.http_server import LoopbackServer, QuietHandler
from tests.whole.fetch import cannot

CONTENT = b"what a package has"
PIN = DebianPin(
    "x86_64",
    "one",
    "1:2+b3",
    hashlib.sha256(CONTENT).hexdigest(),
    "debian/pool/main/o/one/one_2+b3_amd64.deb",
)


class Mirror(QuietHandler):
    """Has one file."""

    def do_GET(self) -> None:
        found = self.path.replace("%2b", "+") == f"/mirror/{PIN.path}"
        self.reply(200 if found else 404, CONTENT * found)


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror on loopback, and the only one that apt-get knows; its address."""
    if shutil.which("apt-get") is None:
        cannot("apt-get is not installed")
    server = LoopbackServer(Mirror)
    base = f"http://{server.address}/mirror/"
    (tmp_path / "sources.list").write_text(
        f"deb {base}debian stable main\ndeb {base}debian stable-updates main\n"
        "deb http://127.0.0.1:9/other stable main\n"
    )
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "-";\n'
        'Acquire::http::Proxy "DIRECT";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    yield base
    server.close()


def test_a_package_comes_from_the_mirror_that_apt_knows(mirror: str, tmp_path: Path) -> None:
    """Once: what is kept needs no mirror."""
    assert mirrors() == {"debian": [mirror]}
    (package,) = fetch([PIN], tmp_path / "cache")
    assert (package.pin, package.path.read_bytes()) == (PIN, CONTENT)
    (tmp_path / "sources.list").write_text("")
    assert fetch([PIN], tmp_path / "cache") == [package]


def test_a_version_that_is_gone_is_named_and_what_to_do(mirror: str, tmp_path: Path) -> None:
    """As after a security update: one error, and nothing is kept."""
    gone = replace(PIN, version="1:1", path="debian/pool/main/o/one/one_1_amd64.deb")
    with pytest.raises(LayerError) as caught:
        fetch([gone], tmp_path / "cache")
    told = str(caught.value)
    assert told.startswith(
        "one 1:1, as deploy/layer/debian.txt pins it, cannot be fetched: "
        f"apt-helper: Failed to fetch {mirror}debian/pool/main/o/one/one_1_amd64.deb  404"
    )
    assert told.endswith(
        "Mirrors keep what a release has now: `make layer-pins` pins that; look at the difference"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_without_a_mirror_is_named(tmp_path: Path) -> None:
    """A machine may have Debian's packages without its security updates."""
    pin = replace(PIN, path="debian-security/pool/one_2+b3_amd64.deb")
    with pytest.raises(LayerError, match="apt-get knows no mirror of debian-security here"):
        fetch([pin], tmp_path / "cache")


def test_where_apt_knows_other_distributions_alone_it_is_said(tmp_path: Path) -> None:
    """As on Ubuntu: the other layers can be built there."""
    (tmp_path / "sources.list").write_text("deb http://127.0.0.1:9/other stable main\n")
    with pytest.raises(NotHereError, match="knows no mirror of Debian's here: name one in its"):
        fetch([PIN], tmp_path / "cache")


def test_another_content_is_not_taken(tmp_path: Path) -> None:
    """Neither from a mirror nor out of the cache."""
    with pytest.raises(LayerError, match="Hash Sum mismatch"):
        fetch([replace(PIN, sha256="0" * 64)], tmp_path / "cache")
    (package,) = fetch([PIN], tmp_path / "cache")
    package.path.write_bytes(b"changed")
    with pytest.raises(LayerError, match=r"one_2\+b3_amd64\.deb has SHA-256 .*: remove it"):
        fetch([PIN], tmp_path / "cache")


def test_a_python_that_is_nowhere_is_named(tmp_path: Path) -> None:
    """Neither here nor to be fetched: the reason, for each version, and no error."""
    at_hand = pythons(("3.10", "2.7"), {"HOME": str(tmp_path), "PATH": ""}, tmp_path)
    assert (at_hand.found, list(at_hand.missing)) == ({}, ["3.10", "2.7"])
    assert "there is no mvn, which would fetch it" in at_hand.missing["3.10"]
    assert "none is pinned for" in at_hand.missing["2.7"]
