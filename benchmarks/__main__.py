"""Measure the pipeline against dlt with dbt, DuckDB alone and itself: `make bench`.

Each case writes one file into `.local/bench/results`, and docs/benchmarks.md is drawn from all of
these files, so a single case can be measured again. The page says what is measured, and how.
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

from benchmarks.cases import CASES, QUICK, Bench, Sizes
from benchmarks.machine import describe_machine, list_versions
from benchmarks.measure import BENCH_PYTHON, FailedError
from benchmarks.report import draw_page
from benchmarks.responses import CONCURRENCY
from ingest.api import PAGE_USERS
from local.bigquery import NotStartedError

FOLDER = Path(".local", "bench")
PAGE = Path("docs", "benchmarks.md")


def main() -> int:
    """Measure the cases and draw the page; return 0, or 1 if a run failed."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are stopped
    if not BENCH_PYTHON.exists():
        print(f"benchmarks: {BENCH_PYTHON} is missing: run `make bench`", file=sys.stderr)
        return 1
    results = FOLDER / ("quick" if options.quick else "results")
    results.mkdir(parents=True, exist_ok=True)
    work = FOLDER / "work"
    sizes = QUICK if options.quick else Sizes()
    if options.rounds:
        sizes = replace(sizes, rounds=options.rounds)
    try:
        for case in [] if options.draw else options.only or CASES:
            result = _measure(case, work, sizes)
            (results / f"{case}.json").write_text(json.dumps(result, indent=1))
    except (FailedError, NotStartedError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    finally:
        for folder in work.glob("*"):
            if folder.name != "responses":
                shutil.rmtree(folder)
    page = draw_page({file.stem: json.loads(file.read_text()) for file in results.glob("*.json")})
    target = results / "benchmarks.md" if options.quick else PAGE
    target.write_text(page)
    print(page if options.quick else f"{PAGE} is drawn")
    return 0


def _measure(case: str, work: Path, sizes: Sizes) -> dict[str, object]:
    print(case, flush=True)
    bench = Bench(work, sizes)
    before = {"load": os.getloadavg()[0], "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    CASES[case](bench)
    runs = {side: [cost.to_json() for cost in costs] for side, costs in bench.runs.items()}
    numbers = {name: getattr(sizes, name) for name in ("users", "many", "few", "rounds")}
    numbers |= {"page_users": PAGE_USERS, "concurrency": CONCURRENCY}
    tools = {"machine": describe_machine(), "versions": list_versions()}
    return before | tools | {"sizes": numbers, "runs": runs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few users, one round: shows that it runs, not how fast",
    )
    parser.add_argument(
        "--only", action="append", choices=CASES, help="measure this case (may be repeated)"
    )
    parser.add_argument("--rounds", type=int, help="runs of each side, in turn (3; quick: 1)")
    parser.add_argument("--draw", action="store_true", help="measure nothing, only draw the page")
    return parser


if __name__ == "__main__":
    sys.exit(main())
