"""The report as a page: its numbers are those of the tables, and it needs nothing else."""

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.alert_harness import AlertHost
from support.commands import BUILD, Run, passes
from support.factories import user
from support.odd_users import land_texts
from support.warehouse import Warehouse

from publish.report_page import format_page
from publish.report_statistics import OTHERS, Statistics, protect
from publish.report_status import Status

Cells = dict[tuple[str, str], str]
POSTCODES = "Users by format of the postcode: 9 is any digit, A any letter"


class Page:
    """A page of the report; it is well-formed XML."""

    def __init__(self, file: Path) -> None:
        self.text = file.read_text("utf-8")
        self.root = ElementTree.fromstring(self.text)  # noqa: S314
        self.words = " ".join("".join(self.root.itertext()).split())

    def table(self, caption: str) -> Cells:
        """Return the texts of a table by row and column; "" is the column of a wider cell."""
        (table,) = (each for each in self.root.iter("table") if each[0].text == caption)
        _, *columns = ("".join(cell.itertext()) for cell in table.iterfind("thead/tr/th"))
        cells: Cells = {}
        for row in table.iterfind("tbody/tr"):
            name, *values = ("".join(cell.itertext()).strip() for cell in row)
            width = columns if len(values) > 1 else [""]
            cells |= {(name, column): text for column, text in zip(width, values, strict=True)}
        return {place: text for place, text in cells.items() if text}


@pytest.fixture(scope="module")
def page(built: Run) -> Page:
    passes(built("publish", "history"))
    file = Path(built.environment["EXPORT_DIR"], "report.html")
    assert passes(built("publish", "report", "--html")).endswith(f"Wrote {file}\n")
    return Page(file)


def test_page_shows_users_of_tables(built: Run, warehouse: Warehouse, page: Page) -> None:
    users: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    rows: list[Any] = warehouse.rows(
        "select country, gender, born_on, registered_at, email, postcode from "
        f"{built.analytics}.users join {built.analytics}.locations using (location_id)"
    )
    today = date.today()
    for country, gender, born, registered, email, postcode in rows:
        age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        postcode_format = re.sub("[A-Za-z]", "A", re.sub("[0-9]", "9", postcode))
        users["Users by country"][country, ""] += 1
        users["Users by age and gender"][f"{age // 10 * 10}s", gender] += 1
        users["Registrations by month"][f"{registered.year}", f"{registered.month}"] += 1
        users["Users by e-mail domain"][email.split("@")[1], ""] += 1
        users[POSTCODES][postcode_format, ""] += 1
    for title, counts in users.items():
        groups = protect(dict(counts), smallest=5, limit=600)
        expected = {("others", "") if group == OTHERS else group: n for group, n in groups.items()}
        assert page.table(title) == {place: f"{n:,}" for place, n in expected.items()}, title


def test_page_shows_loads_runs_and_tests(built: Run, warehouse: Warehouse, page: Page) -> None:
    today = f"{date.today()}"
    loads = page.table("Loads of the last 30 days, by day (UTC)")
    shown = [loads[today, name] for name in ("loads", "received", "used", "rejected", "share")]
    assert shown == ["1", "400", "400", "0", "0.0%"]
    sql = f"select sum(seconds) from {built.raw}.runs where command = 'build'"
    ((seconds,),) = warehouse.rows(sql)
    runs = page.table("Builds of the last 30 days, by day (UTC)")
    assert (runs[today, "builds"], runs[today, "seconds each"]) == ("1", f"{seconds:,.1f}")
    assert "docs/cost.md foresees for a build each hour" in page.words
    rows = [list(row.itertext()) for row in page.root.iter("tr") if row[0].get("class")]
    warned = [row[1].strip() for row in rows if row[0] == "warn"]
    assert rows[0][0] == "warn" and "unique_logins_password" in warned
    assert all(re.fullmatch(rf"{today} \d\d:\d\d", row[-1]) for row in rows)


def test_page_shows_what_became_of_each_user(run: Run, tmp_path: Path) -> None:
    users = [json.dumps(user(number)) for number in range(60)]
    loads = {"used": ["null", *users[:30]], "aside": users[30:36], "held": ["null", *users[36:40]]}
    for load_id, texts in loads.items():
        land_texts(run, tmp_path / "users.json", load_id, texts)
    passes(run("ingest", "--set-aside", "aside"))
    assert run(*BUILD).returncode == 1
    land_texts(run, tmp_path / "users.json", "not built", users[40:])
    passes(run("dbt", "run", "--select", "loads"))
    report = passes(run("publish", "report", "--html"))
    page = Page(tmp_path / "exports/report.html")
    shown = page.table("Loads of the last 30 days, by day (UTC)")
    columns = ("loads", "received", "used", "not used", "rejected", "share")
    today = f"{date.today()}"
    assert [shown[today, name] for name in columns] == ["4", "62", "30", "30", "2", "3.2%"]
    rejected = f"{run.analytics}.loads, users_rejected"
    assert f"  rejected             2  {rejected}\n" in report
    assert page.table("Rows")[f"local-project.{rejected}", ""] == "2"
    assert "error: load held is held back until python -m ingest --accept held or" in page.words
    assert "not text" not in page.words and page.words.count("stg_randomuser__rejected has") == 1


def test_page_begins_with_what_is_wrong(alert_host: AlertHost, tmp_path: Path) -> None:
    alert_host.set_build_results(logins={"status": "error"})
    passes(alert_host.run("publish", "report", "--html", "--output", tmp_path))
    page = Page(tmp_path / "report.html")
    verdict = page.words.partition(" Freshness ")[0]
    assert re.search(r"UTC 1 error; \d+ tests passed. error: model logins was not built", verdict)
    assert verdict.endswith("Mend what dbt's log names, then run dbt retry.")
    assert "No run is recorded: python -m publish history records each." in page.words


def test_page_shows_any_text_as_text() -> None:
    now, text = datetime.now(UTC), "<script>alert('&\U0001f600')</script>"
    groups = {kind: {(text, ""): 9} for kind in ("country", "email_domain", "postcode_format")}
    groups |= {"age": {(text, text): 9}, "month": {("2026-01", ""): 9}}
    test = {"name": "a", "status": "warn", "rows": [text], "description": text, "unique_id": "a"}
    status = Status({}, now, [test | {"failures": 1, "relation_name": None}], [], text, [])
    page = format_page(status, Statistics([], [], {}, 5, groups), text, now)
    shown = "".join(ElementTree.fromstring(page).itertext())  # noqa: S314
    assert "<script" not in page and shown.count(text) > 10


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 9, "b": 5}, {"a": 9, "b": 5}),
        ({"a": 9, "b": 4, "c": 3}, {"a": 9, "": 7}),
        ({"a": 9, "b": 6, "c": 1}, {"a": 9, "": 7}),
        ({"a": 2}, {"": 2}),
        ({"a": 9, "b": 8, "c": 7, "d": 6}, {"a": 9, "b": 8, "c": 7, "": 6}),
    ],
)
def test_small_groups_are_put_together(counts: dict[str, int], shown: dict[str, int]) -> None:
    given = {(name, ""): users for name, users in counts.items()}
    assert protect(given, smallest=5, limit=3) == {
        (name, ""): users for name, users in shown.items()
    }


def test_page_fetches_nothing(page: Page) -> None:
    assert len(page.text.encode()) < 400_000
    tags = {element.tag for element in page.root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "image", "use"}
    svgs = list(page.root.iter("{http://www.w3.org/2000/svg}svg"))
    assert len(svgs) == 9 and all(svg.get("aria-label") for svg in svgs)
    urls = set(re.findall(r"""(?:https?:|//|url\()[^"'\s<]*""", page.text))
    assert urls <= {"http://www.w3.org/2000/svg", "//www.w3.org/2000/svg"}
    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
