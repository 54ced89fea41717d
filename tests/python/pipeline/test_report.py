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
LOADS = ("loads", "received", "used", "not used", "rejected", "share")
BILLED = ("builds", "megabytes billed each", "price each")
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
    def results(self) -> list[list[str]]:
        """The tests that did not pass, and those that did, which are folded."""
        main = list(next(self.root.iter("main")))
        folded = [element.tag for element in main].index("details")
        lists = main[folded - 1 : folded + 1]
        return [["".join(item.itertext()) for item in each.iter("li")] for each in lists]

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

    def row(self, what: str, day: datetime) -> dict[str, str]:
        """Return the texts of the loads, or the builds, of a day by column."""
        cells = self.table(f"{what} of the last 30 days, by day (UTC)").items()
        return {column: text for (name, column), text in cells if name == f"{day:%Y-%m-%d}"}


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
    today = datetime.now(UTC)
    loads, builds = page.row("Loads", today), page.row("Builds", today)
    assert [loads[name] for name in LOADS] == ["1", "400", "400", "0", "0", "0.0%"]
    sql = f"select sum(seconds) from {built.raw}.runs where command = 'build'"
    ((seconds,),) = warehouse.rows(sql)
    assert (builds["builds"], builds["seconds each"]) == ("1", f"{seconds:,.1f}")
    # The embedded BigQuery bills nothing: neither an empty chart nor an empty column.
    assert "billed" not in " ".join([*page.charts, *builds])
    foreseen = json.loads((ROOT / "publish/report/cost.json").read_text())
    assert all(f"{size / 2**20:,.0f} MB with {n}" in page.words for n, size in foreseen.items())
    sql = f"select node, status from {built.raw}.runs where node like 'test.%' order by node"
    expected = Counter(status for _, status in warehouse.rows(sql))
    others, passed = page.results
    assert Counter(item.split()[0] for item in others + passed) == expected
    assert {item.split()[0] for item in passed} == {"pass"} and "pass" not in others[0].split()
    assert any("unique_logins_password: " in item for item in others)
    assert all(f"since {today:%Y-%m-%d} " in item for item in others + passed)


def test_page_shows_bill_errors_and_unused_users(alert_host: AlertHost, tmp_path: Path) -> None:
    raw, rows = alert_host.run.raw, alert_host.warehouse.rows
    rows(f"update {raw}.runs set status = 'error' where node = 'model.randomuser.logins'")
    columns = "invocation_id, status, ended_at, command, node, bytes_billed"
    yesterday = "'id', 'success', timestamp_sub(current_timestamp(), interval 1 day)"
    for command, node, gigabytes in (("build", "a", 5), ("build", "", 3), ("test", "", 9)):
        values = f"{yesterday}, '{command}', '{node}', {gigabytes * 2**30}"
        rows(f"insert into {raw}.runs ({columns}) values ({values})")
    no_loads = f"select * from {alert_host.run.analytics}.loads where false"
    table = alert_host.replace_loads(no_loads)
    columns = "load_id, loaded_at, state, users_received, users_accepted, users_rejected"
    states = ("'used', 31, 30, 1", "'set aside', 6, 6, 0", "'held back', 5, 4, 1")
    for state in (*states, "'not built', 20, null, null"):
        rows(f"insert into `{table}` ({columns}) values ('a', current_timestamp(), {state})")
    page = read_page(alert_host.run, tmp_path)
    builds = page.row("Builds", datetime.now(UTC) - timedelta(days=1))
    assert [builds[name] for name in BILLED] == ["1", "8,192.0", "$0.0488"]
    assert "MB billed for a build by day" in page.charts
    assert re.search(
        rf"randomuser {PROJECT}, [-\d]+ [:\d]+ UTC 2 errors; \d+ tests passed\. "
        r"error: load a is held back until python -m ingest --accept a or .* error: model logins "
        r"was not built: dbt's log says why\. dbt retry runs .* Rows ",
        page.words,
    )
    loads = page.row("Loads", datetime.now(UTC))
    assert [loads[name] for name in LOADS] == ["4", "62", "30", "30", "2", "3.2%"]
    assert page.table("Rows")[f"{table}, users_rejected", ""] == "2"
    assert "  rejected             2  raw_" in passes(alert_host.run("publish", "report"))


def test_second_source_has_its_own_rows_figure_and_alerts(
    alert_host: AlertHost, tmp_path: Path
) -> None:
    """The loads of a second source have the same ids; its raw comes later than its mart."""
    run, rows = alert_host.run, alert_host.warehouse.rows
    counts = ", ".join(f"users_{name} as orders_{name}" for name in ("received", "accepted"))
    columns = f"load_id, loaded_at, built_at, seconds, {counts}, 7 as orders_rejected"
    more = "'held back' as state, 'why (7)' as rejection_reasons"
    rows(f"create schema {run.raw}_orders")
    mart = f"{run.raw}_orders.orders_loads"
    rows(f"create table {mart} as select {columns}, {more} from {run.analytics}.loads")
    ((load_id,),) = rows(f"select load_id from {mart}")
    raw, ledger = (f"{PROJECT}.{run.raw}_orders.{name}" for name in ("orders", "loads"))
    source = {"name": "orders", "records": "orders", "raw": raw, "ledger": ledger}
    rows(
        f"insert into {run.raw}.runs (invocation_id, command, node, status, ended_at, relation,"
        f" details) values ('a', 'run', 'model.randomuser.orders_loads', 'success',"
        f" current_timestamp(), '{PROJECT}.{mart}', '{json.dumps({'source': source})}')"
    )
    held_back = f"error: load `{load_id}` of orders is held back until `python -m ingest orders "
    lines = alert_host.posted_lines()
    assert [line.partition("--accept")[0] for line in lines] == [
        held_back,
        f"error: table `{raw}` does not exist",
    ]
    yesterday = "timestamp_sub(current_timestamp(), interval 1 day)"
    rows(f"create table `{raw}` as select 'half' as load_id, {yesterday} as loaded_at")
    rows(f"create table `{ledger}` as select '{load_id}' as load_id, 400 as orders_landed")
    rows(f"update {mart} set state = 'used' where true")
    assert sorted(alert_host.posted_lines()) == [
        "error: load `half` of orders is not finished, 1 orders are in raw: run it again",
        f"recovered: held-back load `{load_id}` of orders",
        f"recovered: table `{raw}`",
    ]
    rows(f"insert into `{ledger}` values ('half', 1)")
    assert alert_host.posted_lines() == ["recovered: load `half` of orders"]
    report = passes(run("publish", "report"))
    names = ("raw users", "raw orders", "users", "logins", "locations", "rejected")
    shown = re.findall(r"^  (\w+(?: \w+)?) +[\d,]+  \w+\.", report, re.MULTILINE)
    assert shown == [*names, "rejected orders"]
    page = read_page(run, tmp_path)
    today = datetime.now(UTC)
    rejected = [page.row(what, today)["rejected"] for what in ("Loads", "Loads of orders")]
    assert rejected == ["0", "7"]
    assert {"Users of the loads by day", "Orders of the loads by day"} < {*page.charts}


def test_page_says_its_age_and_what_is_missing(alert_host: AlertHost, tmp_path: Path) -> None:
    runs = f"{alert_host.run.raw}.runs"
    older = "set ended_at = timestamp_sub(ended_at, interval 30 hour) where true"
    alert_host.warehouse.rows(f"update {runs} {older}")
    page = read_page(alert_host.run, tmp_path)
    assert page.words.count("error: no whole dbt ") == page.words.count(" is recorded since ") == 2
    assert "All is well" not in page.text and "UTC, 30.0 hours ago" in page.words
    alert_host.warehouse.client.delete_table(runs)
    page = read_page(alert_host.run, tmp_path)
    assert "2 errors; 0 tests passed. error: no whole dbt build is recorded in the" in page.words
    assert "No build is recorded: python -m publish history" in page.words and not page.charts


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
    protected = protect(given, smallest=5, limit=3)
    assert {name: users for (name, _), users in protected.items()} == shown


def test_page_fetches_nothing(page: Page) -> None:
    assert len(page.text.encode()) < 400_000
    tags = {element.tag for element in page.root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "image", "use"}
    assert len(page.charts) == 8 and all(page.charts)
    urls = set(re.findall(r"""(?:https?:|//|url\()[^"'\s<]*""", page.text))
    assert urls <= {"http://www.w3.org/2000/svg", "//www.w3.org/2000/svg"}
    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
