"""A load id has one load: two loaders at once, other content, and a wrong clock change nothing."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import msgspec
import pytest
from support.commands import Process, Run
from support.factories import response_file, user
from support.fault_proxy import LEDGER, UPLOADED, ProxiedLoader, proxied_loader
from support.load_checks import ONCE, expected_load, finish, landed_loads
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from ingest import landing, tables
from ingest.response import Info, Page
from ingest.settings import Settings
from ingest.warehouse import Warehouse as Raw

PART = "Crash recovery"
USERS = 1500  # two pages
LOAD = ("--users", str(USERS), "--load-id", "x")
STARTED = "an upload starts"


def wait_at(both: Barrier) -> None:
    both.wait()


def is_refused(process: Process, users: int) -> str:
    """Check that a load is refused because its id has another load, and return the line."""
    output, errors = process.communicate()
    line = errors.splitlines()[-1]
    assert process.returncode == 2 and not output and "Traceback" not in errors, errors
    assert line.startswith(f"ingest: load x is another load, of {users:,} users: ")
    assert line.endswith("; nothing was landed: use another --load-id")
    return line


@pytest.mark.parametrize("load_id", ["x", "y"], ids=["one load", "a load each"])
def test_two_loaders_at_once_land_each_load_once(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, load_id: str
) -> None:
    """Both loaders wait for each other just before their load jobs."""
    finish(loader.start("--users", "1", "--load-id", "0"))
    loader.act_at(UPLOADED, lambda: wait_at(both), times=(1, 2))
    both = Barrier(2, timeout=60)
    pair = [loader.start("--users", str(USERS), "--load-id", name) for name in ("x", load_id)]
    for process in pair:
        assert finish(process).startswith(f"Loaded {USERS:,} users into ")
    expected = [expected_load(USERS, name) for name in sorted({"x", load_id})]
    assert landed_loads(loader.run, warehouse) == [expected_load(1, "0"), *expected]
    case = f"two loaders at once, of {'one load' if load_id == 'x' else 'a load each'}"
    reliability(PART, case, "each load landed once, and both said so", "nothing")


def test_one_of_two_loads_at_once_with_one_id_is_refused(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability
) -> None:
    finish(loader.start("--users", "1", "--load-id", "0"))
    loader.act_at(UPLOADED, lambda: wait_at(both), times=(1, 2))
    both = Barrier(2, timeout=60)
    pair = {users: loader.start("--users", str(users), *LOAD[2:]) for users in (USERS, 20)}
    landed = [
        users for users, process in pair.items() if process.wait(60) and not process.returncode
    ]
    refused = {USERS: 20, 20: USERS}[landed[0]]
    is_refused(pair[refused], landed[0])
    finish(pair[landed[0]])
    assert landed_loads(loader.run, warehouse)[1:] == [expected_load(landed[0], "x")]
    case = "two loaders at once, of different loads with one load id"
    reliability(PART, case, "one load landed, once; the other was refused with exit 2", "nothing")


@pytest.mark.parametrize("users", [USERS, 20], ids=["the same load", "another load"])
def test_loader_meets_load_of_another_that_died_meanwhile(
    run: Run, loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, users: int
) -> None:
    finish(loader.start("--users", "1", "--load-id", "0"))
    with proxied_loader(run) as other:
        loader.act_at(STARTED, lambda: other.kill_at(UPLOADED, *LOAD, after=True))
        process = loader.start("--users", str(users), *LOAD[2:])
        if users == USERS:
            finish(process)
            outcome = "the loader counted its users as the load, once"
        else:
            is_refused(process, USERS)
            assert landed_loads(run, warehouse)[1:] == [expected_load(USERS, "x", 0)]
            finish(other.start(*LOAD))
            outcome = (
                "the loader was refused with exit 2; the command of the other finished its load"
            )
    assert landed_loads(run, warehouse)[1:] == [expected_load(USERS, "x")]
    which = "the same load" if users == USERS else "another load with the same id"
    case = f"a loader, while one of {which} lands its users and is killed"
    reliability(PART, case, outcome, "nothing")


@pytest.mark.parametrize("died", [False, True], ids=["landed", "died before its ledger row"])
def test_other_content_under_same_id_is_refused(
    *,
    loader: ProxiedLoader,
    warehouse: Warehouse,
    reliability: Reliability,
    tmp_path: Path,
    died: bool,
) -> None:
    file, other = (response_file(tmp_path, str(number), [user(number)]) for number in (1, 2))
    replayed, replayed_other = (("--load-id", "x", "--from-file", str(f)) for f in (file, other))
    for load, users, others in (
        (LOAD, USERS, (("--users", "20", "--load-id", "x"), replayed)),
        (replayed, 1, (LOAD, replayed_other, (*replayed_other, str(file)))),
    ):
        raw = f"raw_{uuid4().hex[:12]}"
        loader.run = Run(loader.run.environment | {"RAW_DATASET": raw})
        if died:
            loader.kill_at(LEDGER, *load)
        else:
            finish(loader.start(*load))
        for flags in others:
            is_refused(loader.start(*flags), users)
        if load == LOAD:
            is_refused(loader.start(*load, **{"RANDOMUSER_PASSWORD": ""}), users)
        assert landed_loads(loader.run, warehouse) == [expected_load(users, "x", 0 if died else 1)]
        finish(loader.start(*load))
        assert landed_loads(loader.run, warehouse) == [expected_load(users, "x")]
    what = "after a run that died before its ledger row" if died else "after it landed"
    case = f"other users, passwords or files under the id of a load, {what}"
    reliability(PART, case, f"refused with exit 2; {ONCE}", "the load, as it was")


class Wrong(datetime):
    """A clock that is 40 days ahead, or behind."""

    error = timedelta(days=40)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.error


@pytest.mark.parametrize("days", [40, -40])
def test_clock_of_loader_changes_no_time(
    run: Run, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr(Wrong, "error", timedelta(days=days))
    monkeypatch.setattr(tables, "datetime", Wrong)
    settings = Settings.read(
        google_cloud_project=warehouse.project,
        bigquery_emulator_host=warehouse.url,
        raw_dataset=run.raw,
    )
    page = Page(Info("s", 1, 1, "1.4"), [msgspec.Raw(b"{}")], Wrong.now(UTC))
    load = landing.Load("x", "test", 1, "hash")
    for is_new in (True, False):
        landed = landing.land(Raw(settings, "x"), load, lambda: iter([page]))
        assert landed == (1, 0, is_new)
    for table, columns in (("users", "fetched_at, loaded_at"), ("loads", "started_at, loaded_at")):
        ((earliest, latest),) = warehouse.rows(
            f"select min(least({columns})), max(greatest({columns})) from {run.raw}.{table} "
            "where loaded_at >= timestamp '1970-01-01'"
        )
        assert isinstance(earliest, datetime) and isinstance(latest, datetime)
        assert datetime.now(UTC) - timedelta(hours=1) < earliest <= latest <= datetime.now(UTC)
