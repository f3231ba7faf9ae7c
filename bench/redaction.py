"""What redaction costs the worker, over reading and writing the same body with `json`.

A body with nothing to leave out, one with a secret in every object, and one whose objects are
JSON as text in JSON, as an API Gateway answer's body is; last, how the time grows with size.
CPU time of the thread, since nothing here waits.

python -m bench.redaction [--runs 50] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time

from bench.measure import interleaved, machine, percentile, table, write_json
from exporter.redaction import Redactor

SIZES = {"1 KiB": 1024, "64 KiB": 65_536, "6 MiB": 6 * 1024 * 1024}
FITTED_BYTES = (65_536, 131_072, 262_144, 524_288, 1_048_576)
RAW = "json.loads + json.dumps"


def body(size_bytes: int, *, secret: bool = False, embedded: bool = False) -> str:
    """A list of orders, about `size_bytes` long."""
    items: list[object] = []
    size = 0
    while size < size_bytes:
        number = len(items)
        item: dict[str, object] = {
            "orderId": 10_000_000 + number * 7919,
            "customer": {"name": f"Müller {number % 97}", "email": f"m{number}@example.com"},
            "tags": ["new", "paid"],
            "link": f"https://shop.example.com/orders?id={number}&view=full",
            "createdAt": "2026-11-24T08:30:00Z",
            "total": 12.5 + number % 50,
            "isGift": number % 2 == 0,
            "note": "left at the door",
        }
        if secret:
            item["accessToken"] = f"t-{number:032x}"
        items.append({"body": json.dumps(item)} if embedded else item)
        size += len(json.dumps(items[-1], ensure_ascii=False)) + 2
    return json.dumps(items, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    redactor = Redactor()

    def timed(text: str) -> float:
        began_s = time.thread_time()
        redactor.text(text)
        return time.thread_time() - began_s

    def round_trip(text: str) -> float:
        began_s = time.thread_time()
        json.dumps(json.loads(text), ensure_ascii=False)
        return time.thread_time() - began_s

    print(machine())
    everything: dict[str, list[float]] = {}
    for name, size_bytes in SIZES.items():
        clean = body(size_bytes)
        secret = body(size_bytes, secret=True)
        embedded = body(size_bytes, secret=True, embedded=True)
        # 6 MiB takes a second or two: a few runs say enough.
        runs = max(3, options.runs * 65_536 // max(size_bytes, 65_536))
        seconds = interleaved(
            {
                RAW: lambda text=clean: round_trip(text),
                "nothing to leave out": lambda text=clean: timed(text),
                "a secret in each object": lambda text=secret: timed(text),
                "the same, as text in JSON": lambda text=embedded: timed(text),
            },
            runs,
            warm_up=1,
        )
        print(f"{name}; {runs} interleaved runs")
        print(table(seconds, 1e-6, "µs", RAW))
        everything.update({f"{name}, {one}": values for one, values in seconds.items()})
    texts = {str(size_bytes): body(size_bytes, secret=True) for size_bytes in FITTED_BYTES}
    grown = interleaved({n: lambda one=one: timed(one) for n, one in texts.items()}, 5, 1)
    print("a secret in each object, by size; linear where the last column stays the same")
    for size, values in grown.items():
        best_s = percentile(values, 0.0)
        print(f"{size:>9} bytes {best_s * 1000:9.1f} ms {best_s / int(size) * 1e9:7.1f} ns a byte")
    if options.json:
        write_json(options.json, everything | grown)


if __name__ == "__main__":
    main()
