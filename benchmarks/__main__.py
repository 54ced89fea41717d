"""Measure the project against dlt with dbt, DuckDB alone and itself: `make bench`.

The results lie in `.local/bench/results`, one file a case; docs/benchmarks.md is drawn from all of
them, so that one case can be measured anew. What is measured, and how, is written there.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.answers import CONCURRENCY
from benchmarks.cases import CASES, QUICK, Bench, Sizes
from benchmarks.machine import machine, versions
from benchmarks.measure import BENCH_PYTHON, FailedError
from benchmarks.report import page
from ingest.api import PAGE_USERS
from local.bigquery import NotStartedError

FOLDER = Path(".local", "bench")
PAGE = Path("docs", "benchmarks.md")


def main() -> int:
    """Measure the cases and draw the page: 0 measured, 1 a run went wrong."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    if not BENCH_PYTHON.exists():
        print("benchmarks: `make bench` makes the environment that dlt runs in", file=sys.stderr)
        return 1
    results = FOLDER / ("quick" if options.quick else "results")
    results.mkdir(parents=True, exist_ok=True)
    work = FOLDER / "work"
    sizes = QUICK if options.quick else Sizes()
    if options.rounds:
        sizes = replace(sizes, rounds=options.rounds)
    try:
        for case in [] if options.draw else options.only or CASES:
            result = _measured(case, work, sizes)
            (results / f"{case}.json").write_text(json.dumps(result, indent=1))
    except (FailedError, NotStartedError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    finally:
        for folder in work.glob("*"):
            if folder.name != "answers":
                shutil.rmtree(folder)
    text = page({file.stem: json.loads(file.read_text()) for file in results.glob("*.json")})
    target = results / "benchmarks.md" if options.quick else PAGE
    target.write_text(text)
    print(text if options.quick else f"{PAGE} is drawn")
    return 0


def _measured(case: str, work: Path, sizes: Sizes) -> dict[str, object]:
    print(case, flush=True)
    bench = Bench(work, sizes)
    before = {"load": os.getloadavg()[0], "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    CASES[case](bench)
    runs = {side: [cost.to_json() for cost in costs] for side, costs in bench.runs.items()}
    sized = {name: getattr(sizes, name) for name in ("users", "many", "few", "rounds")}
    sized |= {"page_users": PAGE_USERS, "concurrency": CONCURRENCY}
    return before | {"machine": machine(), "versions": versions(), "sizes": sized, "runs": runs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small and once: whether it runs, not how fast"
    )
    parser.add_argument(
        "--only", action="append", choices=CASES, help="measure this case (may be repeated)"
    )
    parser.add_argument("--rounds", type=int, help="runs of each side, in turn (3; quick: 1)")
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw the page anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
