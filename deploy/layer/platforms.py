"""What a layer is built for: architectures and the versions of Python that Lambda runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """`name` is AWS's, `machine` is that of ELF files and wheels."""

    name: str
    machine: str

    @property
    def wheel_platform(self) -> str:
        """glibc 2.17 or later: Amazon Linux 2 has 2.26, Amazon Linux 2023 has 2.34."""
        return f"manylinux2014_{self.machine}"


X86_64 = Architecture("x86_64", "x86_64")
ARM64 = Architecture("arm64", "aarch64")
ARCHITECTURES = (X86_64, ARM64)

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""Lambda's managed runtimes; `launch/python` looks for the same."""
