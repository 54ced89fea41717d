"""A load id has one load: two loaders at once, other content, and a wrong clock change nothing."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Barrier

import msgspec
import pytest
from support.commands import Process, Run
from support.factories import make_raw, response_file, user
from support.fault_proxy import LEDGER, UPLOADED, ProxiedCommand, loader_step, proxied
from support.load_checks import expected_load, finish, landed_loads, open_raw
from support.proxy import Request
from support.warehouse import Warehouse

from ingest import landing, tables
from ingest.source import Load
from ingest.sources.randomuser import SOURCE, Info, Users

USERS = 1500  # two pages
LOAD = ("--users", str(USERS), "--load-id", "x")


def check_refused(process: Process, users: int) -> None:
    """Check that a load is refused because its id has another load, of so many users."""
    output, errors = process.communicate()
    line = errors.splitlines()[-1]
    assert process.returncode == 2 and not output and "Traceback" not in errors, errors
    assert line.startswith(f"ingest: load x is another load, of {users:,} users: ")
    assert line.endswith("; nothing was landed: use another --load-id")


@pytest.mark.parametrize(
    ("load_id", "users"),
    [("x", USERS), ("y", USERS), ("x", 20)],
    ids=["one load", "a load each", "different loads with one id"],
)
def test_two_loaders_at_once_land_each_load_once(
    loader: ProxiedCommand, warehouse: Warehouse, load_id: str, users: int
) -> None:
    """Both loaders wait for each other just before their load jobs."""
    make_raw(loader.run, warehouse)
    both = Barrier(2, timeout=60)

    def wait_for_the_other(_: Request) -> None:
        both.wait()

    loader.act_at(UPLOADED, wait_for_the_other, times=(1, 2))
    loads = [("x", USERS), (load_id, users)]
    pair = [(load, loader.start("--users", str(load[1]), "--load-id", load[0])) for load in loads]
    landed = {load for load, process in pair if process.wait(60) and not process.returncode}
    assert landed == {*loads} if users == USERS else len(landed) == 1
    for load, process in pair:
        if load in landed:
            assert finish(process).startswith(f"Loaded {load[1]:,} users into ")
        else:
            check_refused(process, *[size for _, size in landed])
    expected = [expected_load(size, name) for name, size in sorted(landed)]
    assert landed_loads(loader.run, warehouse) == expected


@pytest.mark.parametrize("users", [USERS, 20], ids=["the same load", "another load"])
def test_loader_meets_load_of_another_that_died_meanwhile(
    run: Run, loader: ProxiedCommand, warehouse: Warehouse, users: int
) -> None:
    make_raw(run, warehouse)
    with proxied(run, "ingest", step_of=loader_step) as other:

        def kill_other(_: Request) -> None:
            assert other.kill_at(UPLOADED, *LOAD, after=True)

        loader.act_at("an upload starts", kill_other)
        process = loader.start("--users", str(users), *LOAD[2:])
        if users == USERS:
            finish(process)
        else:
            check_refused(process, USERS)
            assert landed_loads(run, warehouse) == [expected_load(USERS, "x", ledger_rows=0)]
            other.finish(*LOAD)
    assert landed_loads(run, warehouse) == [expected_load(USERS, "x")]


@pytest.mark.parametrize("is_replay", [False, True], ids=["requested", "from a file"])
@pytest.mark.parametrize("died", [False, True], ids=["landed", "died before its ledger row"])
def test_other_content_under_same_id_is_refused(
    *, loader: ProxiedCommand, warehouse: Warehouse, tmp_path: Path, died: bool, is_replay: bool
) -> None:
    files = [str(response_file(tmp_path, str(number), [user(number)])) for number in (1, 2)]
    replays = [("--load-id", "x", "--from-file", file) for file in files]
    load, users = (replays[0], 1) if is_replay else (LOAD, USERS)
    others = [replays[1], (*replays[1], files[0])] if is_replay else [("--users", "20", *LOAD[2:])]
    if died:
        assert loader.kill_at(LEDGER, *load)
    else:
        loader.finish(*load)
    for flags in (*others, LOAD if is_replay else replays[0]):
        check_refused(loader.start(*flags), users)
    if not is_replay:
        check_refused(loader.start(*load, RANDOMUSER_PASSWORD=""), users)
    ledger_rows = 0 if died else 1
    assert landed_loads(loader.run, warehouse) == [expected_load(users, "x", ledger_rows)]
    loader.finish(*load)
    assert landed_loads(loader.run, warehouse) == [expected_load(users, "x")]


@pytest.mark.parametrize("days", [40, -40])
def test_clock_of_loader_changes_no_time(
    run: Run, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=days)

    monkeypatch.setattr(tables, "datetime", Wrong)
    info, sent = Info("s", 1, 1, "1.4"), [msgspec.Raw(b"{}")]
    page = Users(info=info, records=sent, fetched_at=Wrong.now(UTC))
    load = Load("x", "test", "hash", [page], asked=1)
    for is_new in (True, False):
        landed = landing.land(open_raw(run, warehouse), load, SOURCE.person)
        assert landed == (1, 0, is_new)
    near = "abs(timestamp_diff({}, current_timestamp(), minute)) < 60"
    for table, earlier in (("users", "fetched_at"), ("loads", "started_at")):
        is_near = f"{near.format(earlier)} and {near.format('loaded_at')}"
        where = "where loaded_at >= timestamp '1970-01-01'"
        assert warehouse.rows(f"select {is_near} from {run.raw}.{table} {where}") == [(True,)]
