"""Measure the pipeline against dlt with dbt on the same warehouse: `make bench`.

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
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cases import CASES, QUICK, Bench, Sizes
from benchmarks.measure import FailedError
from benchmarks.report import describe_machine, draw_page
from benchmarks.sides import BENCH_PYTHON
from local.bigquery import NotStartedError

FOLDER = Path(".local", "bench")
PAGE = Path("docs", "benchmarks.md")


def main() -> int:
    """Measure the cases and draw the page; return 0, or 1 if a run failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few users: shows that it runs")
    parser.add_argument("--only", action="append", choices=CASES, help="measure this case")
    parser.add_argument("--draw", action="store_true", help="measure nothing, only draw the page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are stopped
    if not BENCH_PYTHON.exists():
        print(f"benchmarks: {BENCH_PYTHON} is missing: run `make bench`", file=sys.stderr)
        return 1
    results = FOLDER / ("quick" if options.quick else "results")
    results.mkdir(parents=True, exist_ok=True)
    work, sizes = FOLDER / "work", QUICK if options.quick else Sizes()
    try:
        for case in [] if options.draw else options.only or CASES:
            print(case, flush=True)
            before = {"load": os.getloadavg()[0], "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
            bench = Bench(work, sizes)
            CASES[case](bench)
            measured = {"sizes": asdict(sizes), "runs": bench.runs, "hourly": bench.hourly}
            result = before | {"machine": describe_machine()} | measured
            (results / f"{case}.json").write_text(json.dumps(result, indent=1))
    except (FailedError, NotStartedError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    finally:
        for folder in work.glob("*"):
            if folder.name != "responses":
                shutil.rmtree(folder)
    files = {case: results / f"{case}.json" for case in CASES}
    page = draw_page({case: json.loads(f.read_text()) for case, f in files.items() if f.exists()})
    target = results / "benchmarks.md" if options.quick else PAGE
    target.write_text(page)
    print(page if options.quick else f"{PAGE} is drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
