"""Makes the charts of the page of the report, each with the rows of its table."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from markupsafe import Markup

from publish import report_charts
from publish.report_statistics import NOT_KNOWN, OTHERS, Row, Statistics

BYTES_PER_DOLLAR = 2**40 / 6.25  # on demand: docs/cost.md
KINDS = {
    "country": "Users by country",
    "age": "Users by age and gender",
    "month": "Registrations by month",
    "email_domain": "Users by e-mail domain",
    "postcode_format": "Users by format of the postcode: 9 is any digit, A any letter",
}


def draw_loads(loads: list[Row], days: list[date]) -> dict[str, Any]:
    names = {"used": "users_used", "not used": "users_unused", "rejected": "users_rejected"}
    columns = ["day", "loads", "users_received", *names.values()]
    return {
        "loads_chart": _draw_days("Users of the loads by day", loads, names, days, "users"),
        "loads_rows": [
            [*(row[name] for name in columns), f"{row['rejected_share'] or 0:.1%}", row["seconds"]]
            for row in reversed(loads)
        ],
    }


def draw_runs(runs: list[Row], days: list[date]) -> dict[str, Any]:
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
    return report_charts.draw_columns(label, [f"{day:%m-%d}" for day in days], series, unit)


def draw_groups(statistics: Statistics) -> Iterator[dict[str, Any]]:
    """Yield the title, the charts, and the head and rows of the table of each kind of group."""
    for kind, title in KINDS.items():
        counts = dict(statistics.groups.get(kind, {}))
        rest = [["others", counts.pop(OTHERS)]] if OTHERS in counts else []
        if kind == "age":
            ages = sorted({age for age, _ in counts})
            genders = sorted({gender for _, gender in counts})
            columns = {gender: [counts.get((age, gender)) for age in ages] for gender in genders}
            labels = [f"{age}s" if age.isdecimal() else age for age in ages]
            svg = report_charts.draw_columns(title, labels, columns, "users", stacked=False)
            head = ["age", *genders]
            rows = [list(row) for row in zip(labels, *columns.values(), strict=True)]
        elif kind == "month":
            unknown = counts.pop((NOT_KNOWN, ""), None)
            rest += [[NOT_KNOWN, unknown]] if unknown else []
            months = {month: users for (month, _), users in sorted(counts.items())}
            svg = report_charts.draw_months(title, months, "users")
            head = ["year", *map(str, range(1, 13))]
            years = dict.fromkeys(month[:4] for month in months)
            rows = [[year, *(months.get(f"{year}-{n:02}") for n in range(1, 13))] for year in years]
        else:
            users = {name: count for (name, _), count in counts.items()}
            svg = (
                report_charts.draw_map("Map of the world", users) if kind == "country" else Markup()
            )
            svg += report_charts.draw_bars(title, users, "users")
            head = [kind.replace("_", " "), "users"]
            rows = [list(item) for item in users.items()]
        yield {"title": title, "svg": svg, "head": head, "rows": rows + rest}
