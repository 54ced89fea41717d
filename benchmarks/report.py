"""Draws docs/benchmarks.md from the results; page.md.jinja has the text and the goals."""

import os
import platform
import re
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.measure import Step

Result = dict[str, Any]
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
        versions = dict(re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))
        lines.append(f"- {side}: {', '.join(f'{name} {versions[name]}' for name in packages)}")
    return "\n".join([*lines, f"- Python {platform.python_version()}"])


def draw_page(results: dict[str, Result]) -> str:
    """Return the page in Markdown, of the cases that have results, in their order."""
    newest = max(results.values(), key=lambda result: str(result["date"]))

    def draw_ratio(case: str, over: str, under: str, goal: str) -> str:
        """Return the cells of a goal: the ratio of the seconds of two lines of "Every run"."""
        runs = results.get(case, {}).get("runs", {})
        if over not in runs or under not in runs:
            return f"{goal} | not measured | "
        pairs = zip(_totals(runs[over]), _totals(runs[under]), strict=True)
        ratios = [first / second for first, second in pairs]
        sign, number = goal.split()
        middle, limit = median(ratios), float(number)
        is_met = middle <= limit if sign == "≤" else middle >= limit
        return f"{goal} | {format_spread(ratios)} | {'met' if is_met else '**not met**'}"

    page = Template(
        Path(__file__).with_name("page.md.jinja").read_text(),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return page.render(
        {name: f"{size:,}" for name, size in newest["sizes"].items()},
        ratio=draw_ratio,
        hourly=[
            _describe_hourly(side, run)
            for side, run in results.get("nothing-new", {}).get("hourly", {}).items()
        ],
        runs=[
            (case, *_describe_runs(line, runs))
            for case, result in results.items()
            for line, runs in result["runs"].items()
        ],
        tools=newest["machine"],
    )


def _describe_hourly(side: str, run: Result) -> list[str]:
    steps = [Step(*step) for step in run["steps"]]
    counts = [f"{step.load_jobs} + {step.statements}" for step in steps]
    return [side, *counts, *(f"{dollars:,.2f}" for dollars in run["price"])]


def _describe_runs(line: str, runs: list[list[list[Any]]]) -> tuple[str, ...]:
    steps = [[Step(*run[number]) for run in runs] for number in range(len(runs[0]))]
    by_step = [f"{part[0].name} {median(s.seconds for s in part):.3g}" for part in steps]
    memory = [max(Step(*step).memory for step in run) / 1e6 for run in runs]
    return line, format_spread(_totals(runs)), ", ".join(by_step), format_spread(memory, " MB")


def _totals(runs: list[list[list[Any]]]) -> list[float]:
    return [sum(Step(*step).seconds for step in run) for run in runs]


def format_spread(values: list[float], unit: str = "") -> str:
    """Return the median, with minimum and maximum if they differ from it as they are printed."""
    middle, low, high = (
        f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        for value in (median(values), min(values), max(values))
    )
    return f"{middle}{unit}" + (f" ({low} to {high})" if low != high else "")
