"""Draws docs/benchmarks.md from the results: the goals, an hourly run, and every run."""

import os
import platform
import re
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Step
from benchmarks.sides import PEER, PEER_ON_DUCKDB, PIPELINE

Result = dict[str, Any]
MB = 1_000_000
TOOLS = {
    "pipeline": ("dev", ["dbt-core", "dbt-bigquery", "google-cloud-bigquery", "pyarrow"]),
    "peers": ("bench", ["dlt", "dbt-core", "dbt-bigquery", "dbt-duckdb", "pyarrow"]),
    "warehouses": ("dev", ["bqemulator", "duckdb"]),
}


def describe_machine() -> str:
    """Return the machine, and the locked versions of both sides, as a list in Markdown."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    names = re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    parts = [*names[:1], f"{os.cpu_count()} cores", f"{memory:.0f} GiB of memory"]
    lines = [f"- machine: {', '.join(parts)}, {platform.platform(terse=True)}"]
    for side, (lock, packages) in TOOLS.items():
        text = Path("requirements", f"{lock}.txt").read_text()
        found = [re.search(rf"^({name})(?:\[.*\])?==(\S+)", text, re.MULTILINE) for name in packages]
        lines.append(f"- {side}: {', '.join(f'{match[1]} {match[2]}' for match in found if match)}")
    return "\n".join([*lines, f"- Python {platform.python_version()}"])


def draw_page(results: dict[str, Result]) -> str:
    """Return the page in Markdown, with the cases that have results."""
    template = Path(__file__).with_name("page.md").read_text()
    newest = max(results.values(), key=lambda result: str(result["date"]))
    sizes = {name: f"{size:,}" for name, size in newest["sizes"].items()}
    hourly = results.get("nothing-new", {}).get("hourly", {})
    return template.format(
        goals="\n".join(_draw_goals(results)),
        hourly="\n".join(_draw_hourly(hourly)),
        runs="\n".join(line for case in FIGURES if case in results for line in _draw_runs(case, results[case])),
        tools=newest["machine"],
        **sizes,
    )


def format_spread(values: list[float], unit: str = "") -> str:
    """Return the median, with minimum and maximum if they differ from it as they are printed."""
    middle, low, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in (median(values), min(values), max(values)))
    return f"{middle}{unit}" + (f" ({low} to {high})" if low != high else "")
