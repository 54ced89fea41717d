"""Draws docs/benchmarks.md from the results: goals first, then every figure and how it was got."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.text import ABOUT, CASES, HOW

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
        """The figure as a row of the table of goals."""
        cells = [self.name, f"{self.goal}{self.unit}", f"{spread(self.values)}{self.unit}"]
        cells.append(self._verdict())
        return f"| {' | '.join(cells)} |"

    def _verdict(self) -> str:
        sign, _, number = self.goal.partition(" ")
        middle, limit = median(self.values), float(number)
        is_met = middle <= limit if sign == "≤" else middle >= limit
        return "met" if is_met else "**not met**"


def spread(values: list[float]) -> str:
    """The median, and from the least to the greatest if there are several."""
    middle, least, greatest = (short(pick(values)) for pick in (median, min, max))
    return middle if len(values) == 1 else f"{middle} ({least} to {greatest})"


def short(value: float) -> str:
    """A number to three places that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratios(runs: Runs, one: str, other: str, cost: str = "seconds") -> list[float]:
    """The cost of `one` for each unit of the cost of `other`, round by round."""
    pairs = zip(runs[one], runs[other], strict=False)
    return [first[cost] / second[cost] for first, second in pairs]


def _end_to_end(runs: Runs) -> list[Figure]:
    return [
        Figure(
            "time of dlt and dbt on the same work, for each second of ours",
            ratios(runs, "dlt and dbt", "ours"),
            "≥ 2",
        ),
        Figure(
            "time of tuned dlt alone, which tests nothing, for each second of ours",
            ratios(runs, "dlt", "ours"),
            "≥ 1.7",
        ),
        Figure(
            "our peak memory, warehouse included, for each byte of dlt and dbt",
            ratios(runs, "ours", "dlt and dbt", "both"),
            "≤ 1",
        ),
    ]


def _raw_landing(runs: Runs) -> list[Figure]:
    loader = [cost["client"] / MB for side in runs if "HTTP" in side for cost in runs[side]]
    return [
        Figure("our time for each second of dlt's Arrow path", ratios(runs, "ours", "dlt"), "≤ 1"),
        Figure("the loader's peak over HTTP", loader, "≤ 150", " MB"),
        Figure("that peak, largest to least over the sizes", [max(loader) / min(loader)], "≤ 1.1"),
    ]


def _limit(runs: Runs) -> list[Figure]:
    return [Figure("our time for each second of DuckDB's", ratios(runs, "ours", "DuckDB"), "≤ 4")]


def _growth(runs: Runs) -> list[Figure]:
    name = "time on the long history for each second on the short one"
    return [Figure(name, ratios(runs, "long", "short"), "≤ 1.3")]


def _fixed_cost(runs: Runs) -> list[Figure]:
    name = "nothing new, all data tests, for each second of `dbt parse`"
    return [Figure(name, ratios(runs, "nothing new", "dbt parse"), "≤ 2")]


FIGURES: dict[str, Callable[[Runs], list[Figure]]] = {
    "end-to-end": _end_to_end,
    "raw-landing": _raw_landing,
    "limit": _limit,
    "growth": _growth,
    "fixed-cost": _fixed_cost,
}


def page(results: dict[str, dict[str, Any]]) -> str:
    """The page, in Markdown, from the results of the cases that there are."""
    there = [case for case in FIGURES if case in results]
    goals = ["| figure | goal | measured | |", "| --- | --- | --- | --- |"]
    for case in there:
        goals.append(f"| **{CASES[case].title}** | | | |")
        goals += [figure.row() for figure in FIGURES[case](results[case]["runs"])]
    parts = [ABOUT, "\n".join(goals), HOW]
    means = {case: _means(results[case]) for case in there}
    if is_the_same := len(set(means.values())) == 1:
        parts.append(means[there[0]])
    for case in there:
        text, result = CASES[case], results[case]
        about = text.about.format(**{name: f"{size:,}" for name, size in result["sizes"].items()})
        parts += [f"## {text.title[0].upper()}{text.title[1:]}", about, _costs(result["runs"])]
        parts.append(
            f"Measured {result['date']}; load of the machine before: {result['load']:.1f}."
        )
        parts += [] if is_the_same else [means[case]]
    return "\n\n".join(parts) + "\n"


def _means(result: dict[str, Any]) -> str:
    versions = result["versions"]
    rows = [
        f"- machine: {result['machine']}",
        f"- ours: {versions['ours']}",
        f"- the other side: {versions['theirs']}",
    ]
    return "\n".join(rows)


def _costs(runs: Runs) -> str:
    rows = [
        "| side | runs | seconds | of which | memory | with the warehouse | processes at peak |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for side, costs in runs.items():
        steps = {step: median(cost["steps"][step] for cost in costs) for step in costs[0]["steps"]}
        cells = [side, str(len(costs)), spread([cost["seconds"] for cost in costs])]
        cells.append(", ".join(f"{name} {took:.3g}" for name, took in steps.items()))
        cells += [
            f"{spread([cost[what] / MB for cost in costs])} MB" for what in ("client", "both")
        ]
        cells.append(_named(costs[-1]["processes"]))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _named(processes: list[str]) -> str:
    counts = {name: processes.count(name) for name in processes}
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())
