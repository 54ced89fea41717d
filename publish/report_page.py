"""Formats the report as one HTML page without scripts, which fetches nothing."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from publish.findings import ERROR
from publish.report_figures import BYTES_PER_DOLLAR, draw_groups, draw_loads, draw_runs
from publish.report_statistics import Statistics
from publish.report_status import Status

COST_PAGE, RUNS_A_MONTH = Path("docs/cost.md"), 730
SECTIONS = {
    "freshness": "Freshness",
    "tests": "Tests",
    "loads": "Loads",
    "runs": "Runs",
    "drift": "Drift of the source",
    "users": "Users",
}
TO_DO = {
    "source": "Load again with `python -m ingest`, and look whether the schedule runs.",
    "model": "Mend what dbt's log names, then run `dbt retry`.",
    "held-back load": "`stg_randomuser__rejected` has its rejected users.",
    "test": "Store its rows with `dbt build --store-failures` and look at them.",
}


def format_page(status: Status, statistics: Statistics, project: str, now: datetime) -> str:
    """Return the page; `now` in UTC."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    environment.filters |= {
        "number": _format_number,
        "minute": "{:%Y-%m-%d %H:%M}".format,
        "code": lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))),  # noqa: S704
    }
    severities = {"pass": 0, "skipped": 1, "warn": 2}  # an error or a failure is worse
    days = [(now - timedelta(days=back)).date() for back in range(30, -1, -1)]
    return environment.get_template("report_page.html.jinja").render(
        project=project,
        now=now,
        status=status,
        statistics=statistics,
        sections=SECTIONS,
        to_do=TO_DO,
        verdict=describe(status),
        newest_load=max((row["newest_load"] for row in statistics.loads), default=None),
        table_rows=[(table, rows) for rows, table in status.tables.values()],
        tests=sorted(status.tests, key=lambda test: -severities.get(test["status"], 3)),
        drift=_find_drift(status),
        groups=statistics.groups,
        smallest_group=statistics.smallest_group,
        charts=list(draw_groups(statistics)),
        foreseen=_read_foreseen(),
        **draw_loads(statistics.loads, days),
        **draw_runs(statistics.runs, days),
    )


def describe(status: Status) -> str:
    """Return one sentence: whether all is well."""
    errors = sum(problem.state == ERROR for problem in status.problems)
    warnings = len(status.problems) - errors
    passed = sum(test["status"] == "pass" for test in status.tests)
    if not status.problems:
        return f"All is well: {passed} tests passed and the source is fresh."
    counts = [
        f"{n} {name}{'s' * (n > 1)}" for n, name in ((errors, "error"), (warnings, "warning")) if n
    ]
    return f"{' and '.join(counts)}; {passed} tests passed."


def _find_drift(status: Status) -> list[str] | None:
    """Return what the test of the documented fields found; None if it was not run."""
    for test in status.tests:
        if test["name"] == "users_match_documented_fields" and test["status"] in ("pass", "warn"):
            rows: list[str] = test["rows"]
            return rows
    return None


def _read_foreseen() -> str:
    """Return what docs/cost.md foresees for the statements of dbt in a run."""
    if not COST_PAGE.exists():
        return ""
    rows = re.findall(
        r"^\| (\w+)[^|]*" + 5 * r"\|([^|]*)" + r"\|$", COST_PAGE.read_text(), re.MULTILINE
    )
    sizes = next(row[3:] for row in rows if row[0] == "step")
    monthly = [
        row[3:] for row in rows if row[0] in ("tests", "model", "snapshot", "seed", "source")
    ]
    foreseen = []
    for size, *amounts in zip(sizes, *monthly, strict=True):
        billed = sum(map(float, amounts)) / RUNS_A_MONTH * BYTES_PER_DOLLAR
        foreseen.append(f"{billed / 2**20:,.0f} MB with {size.strip()}")
    return f"docs/cost.md foresees for a build each hour: {', '.join(foreseen)}."


def _format_number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")
