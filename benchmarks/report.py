"""Draws docs/benchmarks.md from the results: first the goals, then every case with its figures."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.page import CASES, INTRODUCTION, METHOD

Runs = dict[str, list[dict[str, Any]]]
"""For each side the costs of its rounds, as `Cost.to_json` gives them."""
MB = 1_000_000


@dataclass(frozen=True)
class Figure:
    """A figure: its values, round by round, and its goal (`≤ 4`, `≥ 3`)."""

    name: str
    values: list[float]
    goal: str
    unit: str = ""

    def row(self) -> str:
        """Return the figure as a row of the table of goals."""
        cells = [self.name, f"{self.goal}{self.unit}", f"{format_spread(self.values)}{self.unit}"]
        cells.append(self._verdict())
        return f"| {' | '.join(cells)} |"

    def _verdict(self) -> str:
        sign, _, number = self.goal.partition(" ")
        middle, limit = median(self.values), float(number)
        is_met = middle <= limit if sign == "≤" else middle >= limit
        return "met" if is_met else "**not met**"


def format_spread(values: list[float]) -> str:
    """Return the median, with minimum and maximum if there are several values."""
    middle, lowest, highest = (format_number(pick(values)) for pick in (median, min, max))
    return middle if len(values) == 1 else f"{middle} ({lowest} to {highest})"


def format_number(value: float) -> str:
    """Return a number with three significant digits, or as a whole number from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratios(runs: Runs, side: str, other: str, cost: str = "seconds") -> list[float]:
    """Return the cost of `side` divided by the cost of `other`, round by round."""
    pairs = zip(runs[side], runs[other], strict=False)
    return [first[cost] / second[cost] for first, second in pairs]


def _end_to_end(runs: Runs) -> list[Figure]:
    return [
        Figure(
            "time of dlt and dbt on the same work / time of the pipeline",
            ratios(runs, "dlt and dbt", "pipeline"),
            "≥ 2",
        ),
        Figure(
            "time of tuned dlt alone, which tests nothing / time of the pipeline",
            ratios(runs, "dlt", "pipeline"),
            "≥ 1.7",
        ),
        Figure(
            "peak memory of the pipeline with its warehouse / that of dlt and dbt",
            ratios(runs, "pipeline", "dlt and dbt", "both"),
            "≤ 1",
        ),
    ]


def _raw_landing(runs: Runs) -> list[Figure]:
    loader = [cost["client"] / MB for side in runs if "HTTP" in side for cost in runs[side]]
    name = "time of the loader / time of dlt's Arrow path"
    return [
        Figure(name, ratios(runs, "pipeline", "dlt"), "≤ 1"),
        Figure("peak memory of the loader over HTTP", loader, "≤ 150", " MB"),
        Figure("that peak, highest / lowest of the sizes", [max(loader) / min(loader)], "≤ 1.1"),
    ]


def _limit(runs: Runs) -> list[Figure]:
    name = "time of the pipeline / time of DuckDB"
    return [Figure(name, ratios(runs, "pipeline", "DuckDB"), "≤ 4")]


def _growth(runs: Runs) -> list[Figure]:
    name = "time on the long history / time on the short history"
    return [Figure(name, ratios(runs, "long", "short"), "≤ 1.3")]


def _fixed_cost(runs: Runs) -> list[Figure]:
    name = "time of a run with nothing new, all data tests / time of `dbt parse`"
    return [Figure(name, ratios(runs, "nothing new", "dbt parse"), "≤ 2")]


FIGURES: dict[str, Callable[[Runs], list[Figure]]] = {
    "end-to-end": _end_to_end,
    "raw-landing": _raw_landing,
    "limit": _limit,
    "growth": _growth,
    "fixed-cost": _fixed_cost,
}


def draw_page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page in Markdown, with the cases that have results."""
    measured = [case for case in FIGURES if case in results]
    goals = ["| figure | goal | measured | |", "| --- | --- | --- | --- |"]
    for case in measured:
        goals.append(f"| **{CASES[case].title}** | | | |")
        goals += [figure.row() for figure in FIGURES[case](results[case]["runs"])]
    parts = [INTRODUCTION, "\n".join(goals), METHOD]
    tools = {case: _list_tools(results[case]) for case in measured}
    if has_same_tools := len(set(tools.values())) == 1:
        parts.append(tools[measured[0]])
    for case in measured:
        text, result = CASES[case], results[case]
        sizes = {name: f"{size:,}" for name, size in result["sizes"].items()}
        parts.append(f"## {text.title[0].upper()}{text.title[1:]}")
        parts += [text.description.format(**sizes), _draw_costs(result["runs"])]
        parts.append(f"Measured {result['date']}; load average before: {result['load']:.1f}.")
        parts += [] if has_same_tools else [tools[case]]
    return "\n\n".join(parts) + "\n"


def _list_tools(result: dict[str, Any]) -> str:
    versions = result["versions"]
    rows = [
        f"- machine: {result['machine']}",
        f"- pipeline: {versions['pipeline']}",
        f"- peers: {versions['peers']}",
    ]
    return "\n".join(rows)


def _draw_costs(runs: Runs) -> str:
    rows = [
        "| side | runs | seconds | by step | memory | with the warehouse | processes at peak |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for side, costs in runs.items():
        steps = {step: median(cost["steps"][step] for cost in costs) for step in costs[0]["steps"]}
        cells = [side, str(len(costs)), format_spread([cost["seconds"] for cost in costs])]
        cells.append(", ".join(f"{step} {seconds:.3g}" for step, seconds in steps.items()))
        cells += [
            f"{format_spread([cost[peak] / MB for cost in costs])} MB"
            for peak in ("client", "both")
        ]
        cells.append(_count_names(costs[-1]["processes"]))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _count_names(processes: list[str]) -> str:
    counts = {name: processes.count(name) for name in processes}
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())
