"""Reads what the report begins with: what is wrong, the size of each table, the tests."""

from collections import Counter
from dataclasses import dataclass

from ingest.warehouse import Warehouse
from publish.causes import find_all
from publish.findings import ERROR, OK, Finding
from publish.runs import Result
from publish.state import State, read_state

NOT_BUILT = "not built"


@dataclass
class Status:
    """How the pipeline is."""

    project: str
    state: State
    problems: list[Finding]
    """The errors and warnings, errors first."""
    tables: dict[str, tuple[str, int | str]]
    """The full name of each table, and its number of rows or NOT_BUILT."""

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
        words = [f"{count} {state}{'s' * (count > 1)}" for state, count in counts.items()]
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


def read_status(warehouse: Warehouse, retry_seconds: float) -> Status:
    """Read the state and count the rows."""
    state = read_state(warehouse, retry_seconds)
    problems = [finding for finding in find_all(state) if finding.state != OK]
    problems.sort(key=lambda problem: (problem.state != ERROR, problem.key))
    tables: dict[str, tuple[str, int | str]] = {
        name: (table, NOT_BUILT if rows is None else rows)
        for name, (table, rows) in state.sizes.items()
    }
    if "loads" in tables:
        loads, rejected = tables.pop("loads")
        if rejected != NOT_BUILT:
            sql = f"select sum(users_rejected) from `{loads}`"  # noqa: S608
            ((rejected,),) = warehouse.client.query_and_wait(sql)
        tables["rejected"] = f"{loads}, users_rejected", rejected
    return Status(warehouse.client.project, state, problems, tables)
