"""Reads what the report begins with, and formats it as text in lines of at most 80 characters."""

from collections import Counter
from dataclasses import dataclass
from textwrap import TextWrapper
from typing import Any

from ingest.warehouse import Warehouse
from publish.findings import ERROR, OK, Finding, plural
from publish.rules import find_all
from publish.run_rules import describe_newest_load
from publish.runs import Result
from publish.state import NOT_BUILT, State, read_state


@dataclass
class Status:
    """How the pipeline is."""

    project: str
    state: State
    problems: list[Finding]  # the errors and warnings, errors first
    tables: dict[str, tuple[str, int | str]]  # full name, and number of rows or NOT_BUILT

    @property
    def tests(self) -> list[tuple[str, Result]]:
        """The name and newest result of each test, those that did not pass first."""
        names, nodes = self.state.runs.names, self.state.runs.nodes.items()
        tests = [(names[node], result) for node, result in nodes if node.startswith("test.")]
        return sorted(tests, key=lambda test: (test[1].status == "pass", test[1].status, test[0]))

    @property
    def verdict(self) -> str:
        """Whether all is well, in one sentence."""
        passed = sum(test.status == "pass" for _, test in self.tests)
        if not self.problems:
            return f"All is well: {passed} tests passed and the source is fresh."
        counts = Counter(problem.state for problem in self.problems)
        words = [plural(count, state) for state, count in counts.items()]
        return f"{' and '.join(words)}; {passed} tests passed."

    @property
    def built(self) -> str:
        """When the whole project was built, and how many results are of a later run."""
        whole = self.state.runs.whole.get("build")
        if not whole:
            return "No whole `dbt build` is recorded."
        age = (self.state.now - whole.ended_at).total_seconds() / 3600
        later = sum(test.ended_at > whole.ended_at for _, test in self.tests)
        more = f"; results of a later run: {later}" if later else ""
        when = f"{whole.ended_at:%Y-%m-%d %H:%M} UTC, {age:,.1f} hours ago"
        return f"The last whole build ended at {when}{more}."

    @property
    def sources(self) -> list[str]:
        """One line for each source whose freshness was checked."""
        return [
            f"{'.'.join(node.split('.')[-2:])}: {result.status}, checked at "
            f"{result.ended_at:%Y-%m-%d %H:%M} UTC; {describe_newest_load(result, self.state.now)}"
            for node, result in self.state.runs.nodes.items()
            if node.startswith("source.")
        ] or ["the freshness of the source is not known: no check is recorded"]


def read_status(warehouse: Warehouse, retry_seconds: float) -> Status:
    """Read the state and count the rows."""
    state = read_state(warehouse, retry_seconds)
    problems = [finding for finding in find_all(state) if finding.state != OK]
    problems.sort(key=lambda problem: (problem.state != ERROR, problem.key))
    tables = dict(state.sizes)
    for source in state.sources:
        loads, rejected = tables.pop(source.loads, ("", NOT_BUILT))
        column = f"{source.records}_rejected"
        if rejected != NOT_BUILT:
            ((rejected,),) = warehouse.query(f"select sum({column}) from `{loads}`")  # noqa: S608
        if loads:
            tables[f"rejected{source.of.removeprefix(' of')}"] = f"{loads}, {column}", rejected
    return Status(warehouse.client.project, state, problems, tables)


def format_report(status: Status) -> str:
    """Return what is wrong, rows in each table, test results and freshness as lines of text."""
    lines = [status.verdict]
    for problem in status.problems:
        lines.append(_wrap(f"{problem.state}: {problem.message}"))
        lines += [_wrap(f"  {problem.to_do}")] if problem.to_do else []
    lines.append("rows")
    width = max(10, *map(len, status.tables))
    for name, (table, rows) in status.tables.items():
        lines.append(f"  {name:<{width}}{format_number(rows):>12}  {table.partition('.')[2]}")
    counts = Counter(test.status for _, test in status.tests)
    failed = counts["fail"] + counts["error"]
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    lines += ["tests", _wrap(status.built)]
    lines.append(f"  {counts['pass']} passed, {counts['warn']} warned, {failed} failed{skipped}")
    return "\n".join([*lines, "freshness", *map(_wrap, status.sources)])


def format_number(value: Any) -> str:
    """Return `value` with commas in thousands; a text stays, and None is empty."""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def _wrap(text: str) -> str:
    wrapper = TextWrapper(80, initial_indent="  ", subsequent_indent="    ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(text)
