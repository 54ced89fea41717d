"""Formats the report as one HTML page without scripts, which fetches nothing."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from publish import charts
from publish.findings import ERROR
from publish.report import NOT_KNOWN, OTHERS, Row, Statistics, Status

BYTES_PER_DOLLAR, RUNS_A_MONTH = 2**40 / 6.25, 730  # docs/cost.md: on demand; every hour
COST_PAGE = Path("docs/cost.md")
SECTIONS = {
    "freshness": "Freshness",
    "tests": "Tests",
    "loads": "Loads",
    "runs": "Runs",
    "drift": "Drift of the source",
    "users": "Users",
}
KINDS = {
    "country": "Users by country",
    "age": "Users by age and gender",
    "month": "Registrations by month",
    "email_domain": "Users by e-mail domain",
    "postcode_format": "Users by format of the postcode: 9 is any digit, A any letter",
}
TO_DO = {
    "source": "Load again with `python -m ingest`, and look whether the schedule runs.",
    "model": "Mend what dbt's log names, then run `dbt retry`.",
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
    severities = ["error", "fail", "warn", "skipped", "pass"]
    days = [(now - timedelta(days=back)).date() for back in range(30, -1, -1)]
    return environment.get_template("report.html.jinja").render(
        project=project,
        now=now,
        status=status,
        statistics=statistics,
        sections=SECTIONS,
        to_do=TO_DO,
        verdict=describe(status),
        newest_load=max((row["newest_load"] for row in statistics.loads), default=None),
        table_rows=[(table, rows) for rows, table in status.tables.values()],
        tests=sorted(status.tests, key=lambda test: severities.index(test["status"])),
        drift=_find_drift(status),
        groups=statistics.groups,
        smallest_group=statistics.smallest_group,
        charts=list(_draw_groups(statistics)),
        foreseen=_read_foreseen(),
        **_draw_loads(statistics.loads, days),
        **_draw_runs(statistics.runs, days),
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


def _draw_loads(loads: list[Row], days: list[date]) -> dict[str, Any]:
    names = {
        "in marts": "users_in_marts",
        "superseded": "users_superseded",
        "rejected": "users_rejected",
    }
    columns = ["day", "loads", "users_landed", *names.values()]
    return {
        "loads_chart": _draw_days("Users of the loads by day", loads, names, days, "users"),
        "loads_rows": [
            [*(row[name] for name in columns), f"{row['rejected_share'] or 0:.1%}", row["seconds"]]
            for row in reversed(loads)
        ],
    }


def _draw_runs(runs: list[Row], days: list[date]) -> dict[str, Any]:
    rows = [
        {
            "day": run["day"],
            "builds": run["runs"],
            "failures": run["failures"],
            "seconds": (run["seconds"] or 0) / run["runs"],
            "MB": (billed := (run["bytes_billed"] or 0) / run["runs"]) / 2**20,
            "price": f"${billed / BYTES_PER_DOLLAR:.4f}",
        }
        for run in runs
    ]
    seconds, billed = {"seconds": "seconds"}, {"MB": "MB"}
    return {
        "seconds_chart": _draw_days("Seconds of a build by day", rows, seconds, days, "seconds"),
        "billed_chart": _draw_days("MB billed for a build by day", rows, billed, days, "MB billed"),
        "runs_rows": [list(row.values()) for row in reversed(rows)],
    }


def _draw_days(
    label: str, rows: Sequence[Row], names: dict[str, str], days: list[date], unit: str
) -> Markup:
    by_day = {row["day"]: row for row in rows}
    series = {
        name: [by_day[day][field] or 0 if day in by_day else 0 for day in days]
        for name, field in names.items()
    }
    return charts.draw_columns(label, [f"{day:%m-%d}" for day in days], series, unit)


def _draw_groups(statistics: Statistics) -> Iterator[dict[str, Any]]:
    """Yield the title, the charts, and the head and rows of the table of each kind of group."""
    for kind, title in KINDS.items():
        counts = dict(statistics.groups.get(kind, {}))
        rest = [["others", counts.pop(OTHERS)]] if OTHERS in counts else []
        if kind == "age":
            ages, genders = ([*dict.fromkeys(sorted(names))] for names in zip(*counts, strict=True))
            columns = {gender: [counts.get((age, gender)) for age in ages] for gender in genders}
            labels = [f"{age}s" if age.isdecimal() else age for age in ages]
            svg = charts.draw_columns(title, labels, columns, "users", stacked=False)
            head, rows = (
                ["age", *genders],
                [list(row) for row in zip(labels, *columns.values(), strict=True)],
            )
        elif kind == "month":
            months = {
                month: users for (month, _), users in sorted(counts.items()) if month != NOT_KNOWN
            }
            rest += [[NOT_KNOWN, counts[NOT_KNOWN, ""]]] if (NOT_KNOWN, "") in counts else []
            svg, head = (
                charts.draw_months(title, months, "users"),
                ["year", *map(str, range(1, 13))],
            )
            years = dict.fromkeys(month[:4] for month in months)
            rows = [[year, *(months.get(f"{year}-{n:02}") for n in range(1, 13))] for year in years]
        else:
            users = {name: count for (name, _), count in counts.items()}
            svg = charts.draw_map("Map of the world", users) if kind == "country" else Markup()
            svg += charts.draw_bars(title, users, "users")
            head, rows = [kind.replace("_", " "), "users"], [list(item) for item in users.items()]
        yield {"title": title, "svg": svg, "head": head, "rows": rows + rest}


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
