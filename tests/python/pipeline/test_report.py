"""The report as a page: its numbers are those of the tables, and it needs nothing else."""

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.alert_harness import AlertHost
from support.commands import ROOT, Run, passes
from support.warehouse import Warehouse

from local.__main__ import PROJECT
from publish.findings import Finding
from publish.report.page import format_page
from publish.report.statistics import OTHERS, Statistics, protect
from publish.report.status import Status
from publish.runs import Result, collect
from publish.state import State

Cells = dict[tuple[str, str], str]
POSTCODES = "Users by format of the postcode: 9 is any digit, A any letter"


class Page:
    """A page of the report; it is well-formed XML."""

    def __init__(self, file: Path) -> None:
        self.text = file.read_text("utf-8")
        self.root = ElementTree.fromstring(self.text)  # noqa: S314
        self.words = " ".join("".join(self.root.itertext()).split())
        self.svgs = list(self.root.iter("{http://www.w3.org/2000/svg}svg"))
        self.charts = [svg.get("aria-label", "") for svg in self.svgs]

    @property
    def results(self) -> list[ElementTree.Element]:
        """The list of tests that did not pass, and of those that did, which is folded."""
        main = list(next(self.root.iter("main")))
        folded = next(element for element in main if element.tag == "details")
        return [main[main.index(folded) - 1], folded]

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


def read_page(run: Run, folder: Path) -> Page:
    passes(run("publish", "report", "--html", "--output", folder))
    return Page(folder / "report.html")


@pytest.fixture(scope="module")
def page(built: Run, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return read_page(built, tmp_path_factory.mktemp("page"))


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
        users["Registrations by month"][f"{registered.year}", f"{registered.month:02}"] += 1
        users["Users by e-mail domain"][email.split("@")[1], ""] += 1
        users[POSTCODES][postcode_format, ""] += 1
    for title, counts in users.items():
        groups = protect(dict(counts), smallest=5, limit=600)
        expected = {("others", "") if group == OTHERS else group: n for group, n in groups.items()}
        assert page.table(title) == {place: f"{n:,}" for place, n in expected.items()}, title
    (legend,) = (svg for svg in page.svgs if svg.get("aria-label") == "Map of the world")
    *numbers, unit = (text.text for text in legend.iter("{http://www.w3.org/2000/svg}text"))
    most = max(users["Users by country"].values())
    assert unit == "users" and numbers[0] == "0" and most / 2 < int(numbers[-1] or "") < 2 * most


def test_page_shows_loads_builds_and_tests(built: Run, warehouse: Warehouse, page: Page) -> None:
    today = f"{date.today()}"
    loads = page.table("Loads of the last 30 days, by day (UTC)")
    shown = [loads[today, name] for name in ("loads", "received", "used", "rejected", "share")]
    assert shown == ["1", "400", "400", "0", "0.0%"]
    sql = f"select sum(seconds) from {built.raw}.runs where command = 'build'"
    ((seconds,),) = warehouse.rows(sql)
    builds = page.table("Builds of the last 30 days, by day (UTC)")
    assert (builds[today, "builds"], builds[today, "seconds each"]) == ("1", f"{seconds:,.1f}")
    # The embedded BigQuery bills nothing: neither an empty chart nor an empty column.
    assert "billed" not in " ".join([*page.charts, *(column for _, column in builds)])
    foreseen = json.loads((ROOT / "publish/report/cost.json").read_text())
    megabytes = ", ".join(f"{size / 2**20:,.0f} MB with {n}" for n, size in foreseen.items())
    assert f"docs/cost.md foresees for a build each hour: {megabytes}." in page.words
    sql = f"select node, status from {built.raw}.runs where node like 'test.%' order by node"
    expected = Counter(status for _, status in warehouse.rows(sql))
    others, passed = (
        ["".join(item.itertext()) for item in each.iter("li")] for each in page.results
    )
    assert Counter(item.split()[0] for item in others + passed) == expected
    assert {item.split()[0] for item in passed} == {"pass"} and "pass" not in others[0].split()
    assert any("unique_logins_password: " in item for item in others)
    assert all(f"since {today} " in item for item in others + passed)


def test_page_shows_what_was_billed_and_what_is_wrong(
    alert_host: AlertHost, tmp_path: Path
) -> None:
    runs, rows = f"{alert_host.run.raw}.runs", alert_host.warehouse.rows
    rows(f"update {runs} set status = 'error' where node = 'model.randomuser.logins'")
    columns = "invocation_id, command, node, status, ended_at, bytes_billed"
    for command, node, gigabytes in (("build", "a", 5), ("build", "", 3), ("test", "", 9)):
        yesterday = "timestamp_sub(current_timestamp(), interval 1 day)"
        values = f"'id', '{command}', '{node}', 'success', {yesterday}, {gigabytes * 2**30}"
        rows(f"insert into {runs} ({columns}) values ({values})")
    page = read_page(alert_host.run, tmp_path)
    builds = page.table("Builds of the last 30 days, by day (UTC)")
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    shown = [builds[day, name] for name in ("builds", "megabytes billed each", "price each")]
    assert shown == ["1", "8,192.0", "$0.0488"]
    assert "MB billed for a build by day" in page.charts
    assert re.search(
        rf"randomuser {PROJECT}, [-\d]+ [:\d]+ UTC 1 error; \d+ tests passed\. "
        r"error: model logins was not built: dbt's log says why\. dbt retry runs .* Rows ",
        page.words,
    )


def test_page_shows_what_became_of_each_user(alert_host: AlertHost, tmp_path: Path) -> None:
    rows, loads = alert_host.warehouse.rows, f"{alert_host.run.raw}.loads_of_mart"
    rows(f"create table {loads} as select * from {alert_host.run.analytics}.loads where false")
    fields = "load_id, loaded_at, state, users_received, users_accepted, users_rejected"
    for values in (
        "'used', 31, 30, 1",
        "'set aside', 6, 6, 0",
        "'held back', 5, 4, 1",
        "'not built', 20, null, null",
    ):
        rows(f"insert into {loads} ({fields}) values ('a', current_timestamp(), {values})")
    relation = f"set relation = '{PROJECT}.{loads}' where node = 'model.randomuser.loads'"
    rows(f"update {alert_host.run.raw}.runs {relation}")
    page = read_page(alert_host.run, tmp_path)
    shown = page.table("Loads of the last 30 days, by day (UTC)")
    columns = ("loads", "received", "used", "not used", "rejected", "share")
    of_today = [shown[f"{date.today()}", name] for name in columns]
    assert of_today == ["4", "62", "30", "30", "2", "3.2%"]
    assert page.table("Rows")[f"{PROJECT}.{loads}, users_rejected", ""] == "2"
    assert "error: load a is held back until python -m ingest --accept a or" in page.words
    text = passes(alert_host.run("publish", "report"))
    assert f"  rejected             2  {loads}, users_rejected\n" in text


def test_page_says_how_old_it_is_and_that_nothing_is_recorded(
    alert_host: AlertHost, tmp_path: Path
) -> None:
    runs = f"{alert_host.run.raw}.runs"
    older = "set ended_at = timestamp_sub(ended_at, interval 30 hour) where true"
    alert_host.warehouse.rows(f"update {runs} {older}")
    page = read_page(alert_host.run, tmp_path)
    for command in ("build", "source freshness"):
        assert f"error: no whole dbt {command} is recorded since " in page.words
    assert "All is well" not in page.text and "UTC, 30.0 hours ago" in page.words
    alert_host.warehouse.client.delete_table(runs)
    page = read_page(alert_host.run, tmp_path)
    assert "2 errors; 0 tests passed. error: no whole dbt build is recorded in the" in page.words
    assert "No build is recorded: python -m publish history" in page.words
    assert page.charts == []


def test_page_shows_any_text_as_text() -> None:
    now, text = datetime.now(UTC), "<script>alert('&\U0001f600')</script>"
    groups = {kind: {(text, ""): 9} for kind in ("country", "email_domain", "postcode_format")}
    groups |= {"age": {(text, text): 9}, "month": {("2026-01", ""): 9}}
    details = {"rows": [text], "description": text}
    test = Result("build", "warn", now, f"test.randomuser.{text}", now, 2, details=details)
    problem = Finding("test", text, "warning", text, now, to_do=text)
    status = Status(text, State(now, collect([test])), [problem], {text: (text, 1)})
    page = format_page(status, Statistics([], [], 5, groups))
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
    assert len(page.charts) == 8 and all(page.charts)
    urls = set(re.findall(r"""(?:https?:|//|url\()[^"'\s<]*""", page.text))
    assert urls <= {"http://www.w3.org/2000/svg", "//www.w3.org/2000/svg"}
    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
