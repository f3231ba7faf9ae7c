"""What is run and what came of it: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ON_DEMAND = "on-demand"
PROVISIONED = "provisioned-concurrency"
SNAP_START = "snap-start"
MANAGED = "lambda-managed-instances"

RETURNED = "returned"
ERROR = "error"
TIMEOUT = "timeout"
CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Function:
    """What is run, and with which limits.

    `enforce_memory`: the runtime is killed when it takes more than `memory_mb`.
    `names_out_of_memory` False: Lambda then says no more than that the runtime exited, as it
    does for Node and Go. `extension_crash_fails` False: that an extension has ended is noticed
    only after the invocation, so that what the function itself answers is seen; Lambda fails it.
    `max_concurrency` is for Managed Instances.
    """

    handler: str
    code_directory: str
    timeout_s: float = 3.0
    memory_mb: int = 128
    name: str = "function"
    version: str = "$LATEST"
    region: str = "eu-west-1"
    account_id: str = "123456789012"
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables of the function and of its extensions."""
    initialization_type: str = ON_DEMAND
    init_timeout_s: float = 10.0
    enforce_memory: bool = False
    names_out_of_memory: bool = True
    extension_crash_fails: bool = True
    max_concurrency: int = 1

    @property
    def arn(self) -> str:
        """Its name in Amazon's form."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"

    @property
    def managed(self) -> bool:
        """Whether it runs on Managed Instances."""
        return self.initialization_type == MANAGED


@dataclass(frozen=True, slots=True)
class ExtensionExit:
    """How an extension left: `killed` at the limit, else by itself, `after_s` SHUTDOWN."""

    name: str
    status: int | None
    killed: bool
    after_s: float
    before_deadline_s: float


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What the caller gets. `status` is ``returned``, ``error``, ``timeout`` or ``crash``."""

    ordinal: int
    request_id: str
    status: str
    payload: bytes
    duration_s: float
