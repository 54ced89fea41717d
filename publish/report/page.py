"""Formats the report as one HTML page without scripts, which fetches nothing."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from publish.report import charts
from publish.report.statistics import NOT_KNOWN, OTHERS, Row, Statistics
from publish.report.status import Status, format_number

FOLDER = Path(__file__).parent
Figure = dict[str, Any]  # "svg": charts; "head" and "rows" of the table beside them
# The label of each chart, its unit, and the columns of the table that it shows; {} are records.
LOADS = [("{} of the loads by day", "{}", ("used", "not used", "rejected"))]
BUILDS = [
    ("Seconds of a build by day", "seconds", ("seconds each",)),
    ("MB billed for a build by day", "MB billed", ("megabytes billed each",)),
]
KINDS = {
    "country": "Users by country",
    "age": "Users by age and gender",
    "month": "Registrations by month",
    "email_domain": "Users by e-mail domain",
    "postcode_format": "Users by format of the postcode: 9 is any digit, A any letter",
}


def format_page(status: Status, statistics: Statistics) -> str:
    """Return the page."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
    environment.filters |= {
        "number": format_number,
        "minute": "{:%Y-%m-%d %H:%M}".format,
        "code": lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))),  # noqa: S704
    }
    return environment.get_template("page.html.jinja").render(
        status=status,
        loads=[
            (source.of, _draw_days(LOADS, rows, status.state.now, source.records))
            for source, rows in statistics.loads
        ],
        builds=_draw_days(BUILDS, statistics.builds, status.state.now),
        foreseen=json.loads((FOLDER / "cost.json").read_text("utf-8")),
        groups=list(_draw_groups(statistics)),
        smallest_group=statistics.smallest_group,
    )


def _draw_days(kinds: Sequence[Any], rows: list[Row], now: datetime, records: str = "") -> Figure:
    """Return a figure of `rows`, of a day each; a column without any value is left out."""
    head = [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []
    days = [f"{now - timedelta(days=back):%m-%d}" for back in range(30, -1, -1)]
    x, svg = {"type": "ordinal", "scale": {"domain": days}}, Markup()
    for label, unit, parts in kinds:
        shown = [part for part in parts if part in head]
        cells = [(f"{row['day']:%m-%d}", part, row[part] or 0) for part in shown for row in rows]
        names = label.format(records.capitalize()), unit.format(records)
        svg += charts.draw_columns(names[0], cells, names[1], x) if cells else ""
    return {"svg": svg, "head": head, "rows": [[row[n] for n in head] for row in reversed(rows)]}


def _draw_groups(statistics: Statistics) -> Iterator[Figure]:
    """Yield the figure of each kind of group, with its title; without a chart if all are others."""
    for kind in filter(statistics.groups.__contains__, KINDS):
        title, counts = KINDS[kind], dict(statistics.groups[kind])
        rest = [["others", counts.pop(OTHERS)]] if OTHERS in counts else []
        if kind == "age":
            cells = [(f"{a}s" if a.isdecimal() else a, s, n) for (a, s), n in counts.items()]
            x = {"type": "ordinal"}
            svg = charts.draw_columns(title, sorted(cells), "users", x, beside=True)
            head, rows = _cross("age", cells)
        elif kind == "month":
            unknown = counts.pop((NOT_KNOWN, ""), None)
            rest += [[NOT_KNOWN, unknown]] if unknown else []
            cells = [(f"{month}-01", "", users) for (month, _), users in counts.items()]
            svg = charts.draw_columns(title, cells, "users", charts.MONTHS)
            head, rows = _cross("year", [(day[:4], day[5:7], users) for day, _, users in cells])
        else:
            names = {name: users for (name, _), users in counts.items()}
            svg = charts.draw_map("Map of the world", names) if kind == "country" else Markup()
            svg += charts.draw_bars(title, names, "users")
            head, rows = [kind.replace("_", " "), "users"], [*map(list, names.items())]
        yield {"title": title, "svg": svg if counts else "", "head": head, "rows": rows + rest}


def _cross(corner: str, cells: list[charts.Cell]) -> tuple[list[str], list[list[Any]]]:
    """Return the head and rows of the table of `cells` (row, column, value)."""
    counts = {(row, column): value for row, column, value in cells}
    names, columns = sorted({row for row, _ in counts}), sorted({column for _, column in counts})
    return [corner, *columns], [
        [row, *(counts.get((row, col)) for col in columns)] for row in names
    ]
