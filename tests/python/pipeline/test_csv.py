"""The CSVs: what is in them, whole files of one moment, and what is left by runs that fail."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from support.commands import BUILD_WITHOUT_TESTS, ROOT, Run, make_settings, passes
from support.factories import changed_user, response_file, user
from support.log_lines import for_people
from support.proxy import Proxy, Request, proxy
from support.warehouse import Warehouse

from local.__main__ import environment
from publish.__main__ import _build_parser

pytestmark = pytest.mark.xdist_group("csv")
NAMES = ["locations.csv", "logins.csv", "users.csv"]
USERS = [
    changed_user(
        user(1),
        name={"title": "", "first": "=1+1", "last": 'a "b"\nc'},
        registered={"date": "2020-05-31T23:59:59Z"},
        location={"city": "Other", "timezone": {"offset": "-3:30", "description": None}},
    ),
    changed_user(user(2), name={"title": None, "first": "@a"}, phone="+1"),
    user(3),
]


@pytest.fixture(scope="module")
def tables(warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("csv")
    run = Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | make_settings(folder))
    passes(run("ingest", "--load-id", "a", "--from-file", response_file(folder, "a", USERS)))
    passes(run(*BUILD_WITHOUT_TESTS))
    passes(run("publish", "history"))
    return run


@pytest.fixture
def run(tables: Run, tmp_path: Path) -> Run:
    """Run commands on the tables of three users; the CSVs go to a folder of the test's own."""
    return Run(tables.environment | {"EXPORT_DIR": str(tmp_path)})


@pytest.fixture
def served(run: Run, warehouse: Warehouse) -> Iterator[Proxy]:
    """Stand between the commands and BigQuery."""
    with proxy(warehouse.url) as served:
        run.environment["BIGQUERY_EMULATOR_HOST"] = served.url
        yield served


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def hold(served: Proxy, mart: str) -> tuple[Event, Event]:
    """Hold the first query of a mart; return an event of its arrival, and one that lets it go."""
    arrived, go = Event(), Event()

    def wait(request: Request) -> None:
        if f".{mart}`" in request.sql and not arrived.is_set():
            arrived.set()
            go.wait(60)

    served.before = wait
    return arrived, go


def test_null_empty_text_and_time_have_one_form(run: Run, tmp_path: Path) -> None:
    passes(run("publish", "csv"))
    lines = (tmp_path / "users.csv").read_bytes()
    assert b',"female","","=1+1","a ""b""\nc",' in lines and b',"female",,"@a",' in lines
    users = read(tmp_path / "users.csv")
    assert [row["registered_at"] for row in users] == [
        "2020-05-31T23:59:59.000000Z",
        *2 * ["1990-05-31T23:59:59.999000Z"],
    ]
    assert {len(row[name]) for row in users for name in ("fetched_at", "loaded_at")} == {27}
    assert b',"1234",-21.6687,53.7805,"-3:30",' in (tmp_path / "locations.csv").read_bytes()


def test_formulas_are_texts_on_request_only(run: Run, tmp_path: Path) -> None:
    passes(run("publish", "csv", "--for-spreadsheets"))
    users = read(tmp_path / "users.csv")
    assert [row["first_name"] for row in users] == ["'=1+1", "'@a", "Ann"]
    assert [row["phone"] for row in users] == ["1", "'+1", "1"]
    places = read(tmp_path / "locations.csv")
    assert {row["timezone_offset"] for row in places} == {"'-3:30", "'+5:45"}
    assert {row["latitude"] for row in places} == {"-21.6687"}


def test_files_are_of_one_moment(
    run: Run, served: Proxy, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Between the queries the tables change as by a load and a build, and by a full refresh."""
    keys = {f"{run.analytics}_restricted.logins": "login_uuid"}
    keys |= {f"{run.analytics}.{mart}": f"{mart[:-1]}_id" for mart in ("users", "locations")}

    def change(request: Request) -> None:
        if ".logins`" in request.sql:
            for table, key in keys.items():
                one = f"select * replace ('new' as {key}) from {table} limit 1"
                warehouse.rows(f"insert into {table} {one}")
                warehouse.rows(f"create or replace table {table} as select * from {table}")

    served.before = change
    try:
        passes(run("publish", "csv"))
    finally:
        for table, key in keys.items():
            warehouse.rows(f"delete from {table} where {key} = 'new'")
    users, logins, places = (
        {row[key] for row in read(tmp_path / f"{mart}.csv")}
        for mart, key in (
            ("users", "user_id"),
            ("logins", "login_uuid"),
            ("locations", "location_id"),
        )
    )
    assert users == logins and len(users) == len(places) == 3


def test_two_runs_take_turns(run: Run, served: Proxy, tmp_path: Path) -> None:
    arrived, go = hold(served, "locations")
    first = run.start("publish", "csv", "--with-secrets")
    assert arrived.wait(60)
    second = run.start("publish", "csv")
    while not second.wait(0.05) and "waiting for another run" not in second.errors:
        pass
    go.set()
    for process in (first, second):
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert output.count("Wrote 3 rows") == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == NAMES
    assert [len(read(tmp_path / name)) for name in NAMES] == [3, 3, 3]
    assert "password" not in (tmp_path / "logins.csv").read_text()
    assert mode(tmp_path / "logins.csv") == mode(tmp_path / "users.csv")


def test_killed_run_leaves_nothing(run: Run, served: Proxy, tmp_path: Path) -> None:
    arrived, go = hold(served, "locations")
    process = run.start("publish", "csv", "--with-secrets")
    assert arrived.wait(60)
    [unfinished] = tmp_path.rglob("*logins*")
    assert mode(unfinished) == 0o600 and "secret1" in unfinished.read_text()
    process.kill()
    process.communicate()
    go.set()
    assert not {*NAMES}.intersection(file.name for file in tmp_path.iterdir())
    passes(run("publish", "csv", "--with-secrets"))
    assert sorted(file.name for file in tmp_path.iterdir()) == NAMES
    assert mode(tmp_path / "logins.csv") == 0o600


def test_full_disk_is_named_and_files_stay(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "users.csv"
    old.write_text("of yesterday")
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
    assert done.returncode == 1 and line.startswith(
        f"publish: cannot read or write {tmp_path}: File"
    )
    assert list(tmp_path.iterdir()) == [old] and old.read_text() == "of yesterday"


@pytest.mark.parametrize("command", [["csv"], ["report", "--html"]], ids=" ".join)
@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_file_in_place_of_folder_is_named(
    run: Run, tmp_path: Path, command: list[str], name: str
) -> None:
    (tmp_path / "file").write_text("of yesterday")
    done = run("publish", *command, "--output", tmp_path / name)
    [line] = for_people(done.stderr)
    assert done.returncode == 1 and line.startswith(
        f"publish: cannot read or write {tmp_path / name}: Not a"
    )
    assert (tmp_path / "file").read_text() == "of yesterday"


@pytest.mark.parametrize("arguments", [["csv"], ["csv", "--output", ""], ["report"]])
def test_empty_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("EXPORT_DIR", "")
    assert _build_parser().parse_args(arguments).output == Path("exports")
