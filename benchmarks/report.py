"""Draws docs/benchmarks.md from the results: the goals, an hourly run, and every run."""

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from string import Template
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
        found = [
            re.search(rf"^({name})(?:\[.*\])?==(\S+)", text, re.MULTILINE) for name in packages
        ]
        lines.append(f"- {side}: {', '.join(f'{match[1]} {match[2]}' for match in found if match)}")
    return "\n".join([*lines, f"- Python {platform.python_version()}"])


# For each case the goals: what is measured, the runs above and below the line of the ratio, the
# step to compare (all steps if it is empty), and the goal. `{users}` and `{many}` are sizes.
GOALS = {
    "end-to-end": [
        (
            "end to end, {users} users: dlt + dbt, same warehouse / pipeline",
            (PEER + ", {users}", PIPELINE + ", {users}"),
            "≥ 2",
        ),
        (
            "end to end, {many} users: dlt + dbt, same warehouse / pipeline",
            (PEER + ", {many}", PIPELINE + ", {many}"),
            "≥ 2",
        ),
        (
            "end to end, {users} users: dlt + dbt-duckdb, which has no server / pipeline",
            (PEER_ON_DUCKDB + ", {users}", PIPELINE + ", {users}"),
            "≥ 1.3",
        ),
    ],
    "landing": [("landing of {users} users alone: dlt / loader", (PEER, PIPELINE), "≥ 3")],
    "growth": [
        ("{few} new users on {many} / on {few}", ("on {many}", "on {few}"), "≤ 1.25"),
    ],
    "nothing-new": [
        (
            "nothing new, {users} users, all data tests: plain dbt project / pipeline",
            (PEER + ", {users}", PIPELINE + ", {users}"),
            "≥ 1.3",
        ),
        (
            "nothing new, {few} users: load and build of the pipeline / `dbt parse`",
            (PIPELINE + ", {few}", "dbt parse"),
            "≤ 1.9",
        ),
    ],
}


def draw_page(results: dict[str, Result]) -> str:
    """Return the page in Markdown, with the cases that have results."""
    newest = max(results.values(), key=lambda result: str(result["date"]))
    goals = [row for case in GOALS if case in results for row in _draw_goals(case, results[case])]
    runs = [row for case in GOALS if case in results for row in _draw_runs(case, results[case])]
    hourly = results.get("nothing-new", {}).get("hourly", {})
    return Template(Path(__file__).with_name("page.md").read_text()).substitute(
        {name: f"{size:,}" for name, size in newest["sizes"].items()},
        goals="\n".join(goals),
        hourly="\n".join(_draw_hourly(side, run) for side, run in hourly.items()),
        runs="\n".join(runs),
        tools=newest["machine"],
    )


def _draw_goals(case: str, result: Result) -> Iterator[str]:
    sizes = {name: f"{size:,}" for name, size in result["sizes"].items()}
    for text, sides, goal in GOALS[case]:
        totals = [_totals(result["runs"][side.format(**sizes)]) for side in sides]
        ratios = [first / second for first, second in zip(*totals, strict=True)]
        sign, number = goal.split()
        middle, limit = median(ratios), float(number)
        verdict = "met" if (middle <= limit if sign == "≤" else middle >= limit) else "**not met**"
        yield f"| {text.format(**sizes)} | {goal} | {format_spread(ratios)} | {verdict} |"


def _draw_hourly(side: str, run: dict[str, Any]) -> str:
    land, build = (Step(*step) for step in run["steps"])
    counts = [f"{step.load_jobs} + {step.statements}" for step in (land, build)]
    return f"| {side} | {' | '.join(counts)} | {' | '.join(f'{x:,.2f}' for x in run['price'])} |"


def _draw_runs(case: str, result: Result) -> Iterator[str]:
    for line, runs in result["runs"].items():
        steps = [[Step(*run[number]) for run in runs] for number in range(len(runs[0]))]
        by_step = [f"{part[0].name} {median(s.seconds for s in part):.3g}" for part in steps]
        memory = [max(Step(*step).memory for step in run) / MB for run in runs]
        cells = [case, line, format_spread(_totals(runs)), ", ".join(by_step)]
        yield f"| {' | '.join(cells)} | {format_spread(memory, ' MB')} |"


def _totals(runs: list[list[list[Any]]]) -> list[float]:
    return [sum(Step(*step).seconds for step in run) for run in runs]


def format_spread(values: list[float], unit: str = "") -> str:
    """Return the median, with minimum and maximum if they differ from it as they are printed."""
    middle, low, high = (
        f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        for value in (median(values), min(values), max(values))
    )
    return f"{middle}{unit}" + (f" ({low} to {high})" if low != high else "")
