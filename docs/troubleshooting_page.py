"""Writes `troubleshooting.md` from the doctor's table and what users see: ``make pages``.

A test fails when the page is stale; another produces every finding that a symptom here names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spanpipe.doctor.symptoms import GROUPS, SYMPTOMS

PAGE = Path(__file__).with_name("troubleshooting.md")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a user sees and why; `findings` are what the doctor may name."""

    title: str
    see: str
    why: str
    findings: tuple[str, ...]


COMPLAINTS = (
    Complaint(
        "Nothing arrives at all",
        "The function works, and the backend has no span of it.",
        "The layer is not on, its program cannot be started, the configuration is broken, or the "
        "endpoint is not reached. None of it fails the function, so only the log tells.",
        ("layer_absent", "layer_not_executable", "configuration_broken", "no_exporter"),
    ),
    Complaint(
        "The function runs to its timeout",
        "`Task timed out after 3.00 seconds`, and you suspect the extension.",
        "spanpipe waits for no message: `/next` is asked 100 ms before the deadline at the latest, "
        "and handing over costs 50 ms at most. The span shows what the function waited for.",
        ("function_timed_out",),
    ),
    Complaint(
        "The backend is down",
        "Warnings with the endpoint's name in the log; spans come late, or not.",
        "An invocation pays for it three times at most; then a breaker is open. What waits goes to "
        "`/tmp`, or into the log with `fallback: stdout`.",
        (
            "collector_unreachable",
            "collector_name_unknown",
            "collector_tls",
            "collector_denies_key",
            "collector_wrong_path",
            "collector_redirects",
            "collector_throttles",
            "collector_fails",
            "collector_slow",
            "collector_hangs_up",
            "collector_rejects",
            "collector_request_too_large",
            "refused_by_collector",
            "rejected_by_collector",
        ),
    ),
    Complaint(
        "A secret of AWS's does not come",
        "`keys: …` in the log; spans come late, or not.",
        "A span is never sent without its header or its signature: it waits in memory, then in "
        "`/tmp`. A secret is fetched again while the function runs, and twice at SHUTDOWN.",
        (
            "secret_unusable",
            "secret_unreachable",
            "role_denied",
            "credentials_missing",
            "signature_refused",
            "secret_missing",
        ),
    ),
    Complaint(
        "Cold starts are slow",
        "`Init Duration` of seconds in the `REPORT` line.",
        "Process start to the first `/next` takes some 12 ms on a whole processor (`python -m "
        "bench.startup`); OpenTelemetry is loaded after that, beside the function's own init. Most "
        "of an init is the function's imports.",
        ("init_slow", "init_failed", "layer_no_byte_code"),
    ),
    Complaint(
        "Spans are lost at a freeze or at shutdown",
        "The last invocations of an environment are missing.",
        "The ledger's line at SHUTDOWN tells of each: exported, spooled in `/tmp`, printed, or "
        "dropped, and why. After a spindown nobody comes for `/tmp`.",
        (
            "left_in_spool",
            "spans_in_log",
            "sent_perhaps_twice",
            "extension_crashed",
            "extension_killed",
            "lost_extension_killed",
        ),
    ),
    Complaint(
        "Timeouts, crashes and out of memory are invisible",
        "An invocation failed, and there is no span with its error.",
        "Each has one, with the fate `timed_out`, `out_of_memory` or `crashed`, sent within the "
        "shutdown's two seconds or by the next environment. Where it is missing, see above.",
        ("function_timed_out", "function_out_of_memory", "function_exited"),
    ),
    Complaint(
        "A result stands at another invocation, or nowhere",
        "A span without `spanpipe.result.body`, or with a stranger's.",
        "Messages are credited by request ID, never by order of arrival. Without a writer there is "
        "no result; with a wrong ID it is counted, and credited to nobody.",
        (
            "handler_not_captured",
            "handler_missing",
            "fifo_replaced",
            "unknown_request",
            "late",
            "duplicate",
        ),
    ),
    Complaint(
        "Packages clash",
        "`cannot import name 'capture' from 'fifo'`, or an import that fails with the layer on.",
        "The extension's packages are on no path of the function's; `fifo`, which is, needs the "
        "standard library alone. What can clash is the name.",
        ("fifo_shadowed", "spanpipe_shadowed", "layer_runtime_unfit", "packages_unfit"),
    ),
    Complaint(
        "Memory grows",
        "`Max Memory Used` rises with the layer on.",
        "A body is captured up to 64 KiB, and 2,048 invocations or 16 MiB wait in memory: no more, "
        "however long the collector is away.",
        ("function_out_of_memory", "payload_cut"),
    ),
    Complaint(
        "Payloads are too large",
        "A body in a span ends early, or the collector answers 413.",
        "Each limit cuts what is captured, never the function's own answer, and counts it.",
        ("payload_cut", "collector_request_too_large"),
    ),
    Complaint(
        "/tmp is full",
        "`No space left on device`, from the function or from spanpipe.",
        "The spool takes 16 MiB of `/tmp` at most, and only while the collector is away; without "
        "room nothing waits for the next environment.",
        ("disk_full", "spool_full"),
    ),
    Complaint(
        "Flush time is billed",
        "`Billed Duration` is well above `Duration` and init.",
        "Lambda bills until each extension asks for the next event. In mode `auto` the first "
        "invocation and those that follow an error wait for an export.",
        ("billed_longer", "collector_slow"),
    ),
    Complaint(
        "The times are wrong",
        "Spans stand in the future or the past, or a trace is in the wrong order.",
        "Spans carry the clock of where they were made.",
        ("clock_wrong",),
    ),
    Complaint(
        "Nothing to try it with locally",
        "A change is seen only after it is deployed.",
        "`spanpipe run app.handler` is a Lambda environment with the real runtime and the real "
        "extension, `--faults` its bad days, `spanpipe view` a backend.",
        ("local_missing",),
    ),
)

HEAD = """\
# Troubleshooting

Written by `make pages` from the table of `spanpipe doctor`; do not edit.

```sh
aws logs tail /aws/lambda/shop --since 1h | spanpipe doctor -   # or a saved log, plain or .gz
spanpipe doctor build --handler app.handler                     # a function's folder
spanpipe doctor layer --runtime python3.13 --architecture arm64 # an unpacked layer
spanpipe doctor                                                 # this environment
```

Each check is a line, `ok`, `warning` or `problem`; below it stand what it means and the one thing
to do. `--json` prints an object a line. The exit status is 0 without a problem, 1 with one, 2 for
input it cannot use.

## By symptom
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for one in COMPLAINTS:
        parts.append(f"### {one.title}\n")
        parts.append(f"**You see**: {one.see}  \n**Why**: {one.why}\n")
        parts.append("\n".join(_item(name) for name in one.findings) + "\n")
    parts.append("## Every finding\n")
    for title, group in GROUPS.items():
        parts.append(f"### {title}\n")
        rows = [f"| `{one.name}` | {one.says}. {one.means} | {one.todo} |" for one in group]
        head = ["| finding | what it means | the one thing to do |", "|---|---|---|"]
        parts.append("\n".join(head + rows) + "\n")
    return "\n".join(parts).rstrip("\n") + "\n"


def _item(name: str) -> str:
    symptom = SYMPTOMS[name]
    return f"- `{name}`: {symptom.says}. {symptom.todo}"


def main() -> None:
    """Write it."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
