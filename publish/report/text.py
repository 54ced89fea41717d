"""Formats the report as text, in lines of at most 80 characters."""

from collections import Counter
from textwrap import TextWrapper
from typing import Any

from publish.report.status import Status
from publish.rules import describe_newest_load


def format_report(status: Status) -> str:
    """Return what is wrong, rows in each table, test results and freshness as lines of text."""
    lines = [status.verdict]
    for problem in status.problems:
        lines.append(_wrap(f"{problem.state}: {problem.message}"))
        lines += [_wrap(f"  {problem.to_do}")] if problem.to_do else []
    lines.append("rows")
    for name, (table, rows) in status.tables.items():
        lines.append(f"  {name:<10}{format_number(rows):>12}  {table.partition('.')[2]}")
    counts = Counter(test.status for _, test in status.tests)
    failed = counts["fail"] + counts["error"]
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    lines += ["tests", _wrap(status.built)]
    lines.append(f"  {counts['pass']} passed, {counts['warn']} warned, {failed} failed{skipped}")
    return "\n".join([*lines, "freshness", *map(_wrap, list_sources(status))])


def list_sources(status: Status) -> list[str]:
    """Return one line for each source whose freshness was checked."""
    return [
        f"{'.'.join(node.split('.')[-2:])}: {result.status}, checked at "
        f"{result.ended_at:%Y-%m-%d %H:%M} UTC; {describe_newest_load(result, status.state.now)}"
        for node, result in status.state.runs.nodes.items()
        if node.startswith("source.")
    ] or ["the freshness of the source is not known: no check is recorded"]


def format_number(value: Any) -> str:
    """Return `value` with commas in thousands; a text stays, and None is empty."""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def _wrap(text: str) -> str:
    wrapper = TextWrapper(80, initial_indent="  ", subsequent_indent="    ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(text)
