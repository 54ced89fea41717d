"""The CSVs: what is in them, whole files of one moment, and what is left by runs that fail."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from support.commands import ROOT, Run, make_settings, passes
from support.log_lines import for_people
from support.proxy import Proxy, Request, proxy
from support.warehouse import Warehouse

from local.__main__ import PROJECT, environment
from publish.__main__ import _build_parser
from publish.runs import define_table
from publish.tables import start_append

KEYS = {"locations": "location_id", "logins": "login_uuid", "users": "user_id"}
NAMES = [f"{mart}.csv" for mart in KEYS]
CLASSES = {"password": "secret", "first_name": "personal"}  # the other columns are public
MARTS = {  # their rows
    "users": """
        select '1' as user_id, '' as title, '=1+1' as first_name, 'a "b"\\nc' as last_name,
        timestamp '2020-05-31 23:59:59' as registered_at
        union all select '2', null, '@a', '+1', timestamp '1990-05-31 23:59:59.999'""",
    "logins": "select '1' as login_uuid, 'secret1' as password union all select '2', 'secret2'",
    "locations": """
        select '1' as location_id, '-3:30' as timezone_offset, cast(-21.6687 as float64) as latitude
        union all select '2', '+5:45', 53.7805""",
}


@pytest.fixture
def run(warehouse: Warehouse, tmp_path: Path) -> Run:
    """Run commands on small marts that dbt is said to have built."""
    run = Run(environment(warehouse.url) | make_settings(tmp_path))
    client, results = warehouse.client, []
    for dataset in (run.raw, run.analytics):
        client.create_dataset(dataset)
    for name, sql in MARTS.items():
        table = f"{PROJECT}.{run.analytics}.{name}"
        warehouse.rows(f"create table `{table}` as {sql}")
        columns = {
            column.name: [column.field_type.lower(), CLASSES.get(column.name, "public")]
            for column in client.get_table(table).schema
        }
        details = json.dumps({"key": KEYS[name], "columns": columns})
        result = {"invocation_id": "a", "command": "build", "status": "success"}
        result |= {"node": f"model.randomuser.{name}", "ended_at": datetime.now(UTC).isoformat()}
        results.append(result | {"relation": table, "details": details})
    runs = client.create_table(define_table(f"{PROJECT}.{run.raw}.runs"))
    start_append(client, runs, results).result()
    return run


@pytest.fixture
def folder(run: Run) -> Path:
    """The folder of the CSVs."""
    (folder := Path(run.environment["EXPORT_DIR"])).mkdir()
    return folder


@pytest.fixture
def served(run: Run, warehouse: Warehouse) -> Iterator[Proxy]:
    """Stand between the commands and BigQuery."""
    with proxy(warehouse.url) as served:
        run.environment["BIGQUERY_EMULATOR_HOST"] = served.url
        yield served


def read(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(file.read_text("utf-8"))))


def list_names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def hold_query_of_locations(served: Proxy) -> tuple[Event, Event]:
    """Hold the first query of `locations`; return events of its arrival and to let it go."""
    arrived, go = Event(), Event()

    def wait(request: Request) -> None:
        if ".locations`" in request.sql and not arrived.is_set():
            arrived.set()
            go.wait(60)

    served.before = wait
    return arrived, go


def test_null_empty_text_time_and_formula_have_one_form(run: Run, folder: Path) -> None:
    passes(run("publish", "csv"))
    assert (folder / "users.csv").read_text() == (
        '"user_id","title","first_name","last_name","registered_at"\n'
        '"1","","=1+1","a ""b""\nc","2020-05-31T23:59:59.000000Z"\n'
        '"2",,"@a","+1","1990-05-31T23:59:59.999000Z"\n'
    )
    assert (folder / "logins.csv").read_text() == '"login_uuid"\n"1"\n"2"\n'
    assert '"1","-3:30",-21.6687\n' in (folder / "locations.csv").read_text()
    passes(run("publish", "csv", "--for-spreadsheets"))
    users, places = (read(folder / f"{mart}.csv") for mart in ("users", "locations"))
    assert [row["first_name"] for row in users] == ["'=1+1", "'@a"]
    assert [row["last_name"][0] for row in users] == ["a", "'"]
    assert [*places[0].values()] == ["1", "'-3:30", "-21.6687"]


def test_mart_of_another_source_is_a_file_without_its_secrets(
    run: Run, warehouse: Warehouse, folder: Path
) -> None:
    table = f"{run.analytics}.orders"
    warehouse.rows(f"create table {table} as select 7 as order_id, 'x' as token, 'y' as note")
    columns = {"order_id": ["int64", "public"], "token": ["string", "secret"]}
    details = {"key": "order_id", "columns": columns | {"note": ["string", None]}}
    for name, is_published in (("orders", True), ("orders_history", False)):
        described = json.dumps(details | {"is_published": is_published})
        warehouse.rows(
            f"insert into {run.raw}.runs (invocation_id, command, node, status, ended_at, relation,"
            f" details) values ('a', 'build', 'model.randomuser.{name}', 'success',"
            f" current_timestamp(), '{PROJECT}.{table}', '{described}')"
        )
    passes(run("publish", "csv"))
    assert list_names(folder) == sorted([*NAMES, "orders.csv"])
    assert (folder / "orders.csv").read_text() == '"order_id"\n7\n'


def test_files_are_of_one_moment(
    run: Run, served: Proxy, warehouse: Warehouse, folder: Path
) -> None:
    """Between the queries the tables change as by a load and a build, and by a full refresh."""

    def change(request: Request) -> None:
        if ".logins`" in request.sql:
            for mart, key in KEYS.items():
                table = f"{run.analytics}.{mart}"
                row = f"select * replace ('new' as {key}) from {table} limit 1"
                warehouse.rows(f"insert into {table} {row}")
                warehouse.rows(f"create or replace table {table} as select * from {table}")

    served.before = change
    passes(run("publish", "csv"))
    keys = [[row[key] for row in read(folder / f"{mart}.csv")] for mart, key in KEYS.items()]
    assert keys == [["1", "2"]] * 3


def test_two_runs_take_turns(run: Run, served: Proxy, folder: Path) -> None:
    arrived, go = hold_query_of_locations(served)
    first = run.start("publish", "csv", "--with-secrets")
    assert arrived.wait(60)
    second = run.start("publish", "csv")
    while not second.wait(0.05) and "waiting for another run" not in second.errors:
        pass
    go.set()
    for process in (first, second):
        output, errors = process.communicate()
        assert output.count("Wrote 2 rows") == 3, errors
    assert list_names(folder) == NAMES
    assert "password" not in (folder / "logins.csv").read_text()
    (mode,) = {file.stat().st_mode for file in folder.iterdir()}
    assert mode & 0o777 != 0o600


def test_killed_run_leaves_nothing(run: Run, served: Proxy, folder: Path) -> None:
    arrived, go = hold_query_of_locations(served)
    process = run.start("publish", "csv", "--with-secrets")
    assert arrived.wait(60)
    [unfinished] = folder.rglob("*logins*")
    assert unfinished.stat().st_mode & 0o777 == 0o600 and "secret1" in unfinished.read_text()
    process.kill()
    process.communicate()
    go.set()
    assert not {*NAMES}.intersection(list_names(folder))
    passes(run("publish", "csv", "--with-secrets"))
    assert list_names(folder) == NAMES
    assert (folder / "logins.csv").stat().st_mode & 0o777 == 0o600


def test_full_disk_is_named_and_files_stay(run: Run, folder: Path) -> None:
    (folder / "users.csv").write_text("of yesterday")
    # No file may have a byte; a disk that is full has no file name either.
    command = ["bash", "-c", f"ulimit -f 0; exec {sys.executable} -m publish csv"]
    done = subprocess.run(
        command, check=False, env=run.environment, cwd=ROOT, capture_output=True, text=True
    )
    [line] = for_people(done.stderr)
    assert done.returncode == 1 and line.startswith(f"publish: cannot read or write {folder}: File")
    assert list_names(folder) == ["users.csv"]
    assert (folder / "users.csv").read_text() == "of yesterday"


@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_file_in_place_of_folder_is_named(run: Run, folder: Path, name: str) -> None:
    (folder / "file").write_text("of yesterday")
    done = run("publish", "csv", "--output", folder / name)
    [line] = for_people(done.stderr)
    wrong = f"publish: cannot read or write {folder / name}: Not a"
    assert done.returncode == 1 and line.startswith(wrong)
    assert (folder / "file").read_text() == "of yesterday"


@pytest.mark.parametrize("arguments", [["csv"], ["csv", "--output", ""], ["report"]])
def test_empty_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("EXPORT_DIR", "")
    assert _build_parser().parse_args(arguments).output == Path("exports")
