"""The CSVs: what is in them, whole files of one moment, and what is left by runs that fail."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
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

NAMES = ["locations.csv", "logins.csv", "users.csv"]
# Of each mart: its columns with their types and classes, the first one is the key; and its rows.
MARTS = {
    "users": (
        "user_id string public, title string public, first_name string personal, "
        "last_name string personal, registered_at timestamp public",
        """('1', '', '=1+1', 'a "b"\\nc', timestamp '2020-05-31 23:59:59'),
        ('2', null, '@a', '+1', timestamp '1990-05-31 23:59:59.999')""",
    ),
    "logins": (
        "login_uuid string public, password string secret",
        "('1', 'secret1'), ('2', 'secret2')",
    ),
    "locations": (
        "location_id string public, timezone_offset string public, latitude float64 personal",
        "('1', '-3:30', -21.6687), ('2', '+5:45', 53.7805)",
    ),
}


@pytest.fixture
def run(warehouse: Warehouse, tmp_path: Path) -> Run:
    """Run commands on small marts that dbt is said to have built."""
    run = Run(environment(warehouse.url) | make_settings(tmp_path / "dbt"))
    run.environment["EXPORT_DIR"] = str(tmp_path / "csv")
    for dataset in (run.raw, run.analytics):
        warehouse.client.create_dataset(dataset)
    warehouse.client.create_table(define_table(f"{PROJECT}.{run.raw}.runs"))
    for name, (text, rows) in MARTS.items():
        columns = [column.split() for column in text.split(", ")]
        table = f"{run.analytics}.{name}"
        fields = ", ".join(" ".join(column[:2]) for column in columns)
        warehouse.rows(f"create table {table} ({fields})")
        warehouse.rows(f"insert into {table} values {rows}")
        classes = {column: others for column, *others in columns}
        details = json.dumps({"key": columns[0][0], "columns": classes})
        warehouse.rows(
            f"insert into {run.raw}.runs (invocation_id, command, node, status, ended_at, relation,"
            f" details) values ('a', 'build', 'model.randomuser.{name}', 'success', "
            f"current_timestamp(), '{PROJECT}.{table}', '{details}')"
        )
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
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def list_names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


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


def test_files_are_of_one_moment(
    run: Run, served: Proxy, warehouse: Warehouse, folder: Path
) -> None:
    """Between the queries the tables change as by a load and a build, and by a full refresh."""

    def change(request: Request) -> None:
        if ".logins`" in request.sql:
            for mart, (columns, _) in MARTS.items():
                table, key = f"{run.analytics}.{mart}", columns.split()[0]
                row = f"select * replace ('new' as {key}) from {table} limit 1"
                warehouse.rows(f"insert into {table} {row}")
                warehouse.rows(f"create or replace table {table} as select * from {table}")

    served.before = change
    passes(run("publish", "csv"))
    keys = [[next(iter(row.values())) for row in read(folder / name)] for name in NAMES]
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
        assert process.returncode == 0, errors
        assert output.count("Wrote 2 rows") == 3
    assert list_names(folder) == NAMES
    assert "password" not in (folder / "logins.csv").read_text()
    assert mode(folder / "logins.csv") == mode(folder / "users.csv")


def test_killed_run_leaves_nothing(run: Run, served: Proxy, folder: Path) -> None:
    arrived, go = hold_query_of_locations(served)
    process = run.start("publish", "csv", "--with-secrets")
    assert arrived.wait(60)
    [unfinished] = folder.rglob("*logins*")
    assert mode(unfinished) == 0o600 and "secret1" in unfinished.read_text()
    process.kill()
    process.communicate()
    go.set()
    assert not {*NAMES}.intersection(list_names(folder))
    passes(run("publish", "csv", "--with-secrets"))
    assert list_names(folder) == NAMES and mode(folder / "logins.csv") == 0o600


def test_full_disk_is_named_and_files_stay(run: Run, folder: Path) -> None:
    (folder / "users.csv").write_text("of yesterday")
    # No file may have a byte; a disk that is full has no file name either.
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; exec {sys.executable} -m publish csv"],
        check=False,
        env=run.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
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
