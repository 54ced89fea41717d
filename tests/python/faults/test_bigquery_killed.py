"""The embedded BigQuery is killed under the loader, and started again on its tables."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from support.commands import Process, Run
from support.fault_proxy import FIRST_RUN, proxied_loader
from support.load_checks import (
    LANDING_TABLE,
    ONCE,
    boundary,
    check_marts_hold_users_once,
    expected_load,
    finish,
    landed_loads,
    landing_tables,
)
from support.proxy import CutError
from support.reliability_page import Reliability
from support.warehouse import Warehouse, client

from local.__main__ import PROJECT
from local.bigquery import start

PART = "Crash recovery"
USERS = 2500
WRITES = [
    "the dataset is made",
    "the table of users is made",
    "the ledger is made",
    "the landing table is made",
    "a part is uploaded",
    "the users are moved to raw",
    "the ledger is written",
    "the landing table is dropped",
]
QUICK_WRITES = {("the users are moved to raw", True)}


class RestartableBigQuery:
    """An embedded BigQuery that can be killed and started again, on the same port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process, self.url = start(data_dir)
        self.warehouse = Warehouse(self.url, PROJECT, client(self.url))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        raise CutError

    def restart(self) -> None:
        self.stop()
        self.process, url = start(self.data_dir)
        assert url == self.url

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture
def bigquery(tmp_path: Path) -> Iterator[RestartableBigQuery]:
    bigquery = RestartableBigQuery(tmp_path / "bigquery")
    yield bigquery
    bigquery.stop()


def fails_clearly(process: Process) -> bool:
    """Check that a loader ended well or in one clear line; return whether it failed."""
    output, errors = process.communicate()
    last = errors.splitlines()[-1]
    is_clear = last.startswith("ingest: ") and "Traceback" not in errors
    assert process.returncode == 0 or (process.returncode == 1 and is_clear), output + errors
    return process.returncode == 1


def test_killed_embedded_bigquery_leaves_nothing_half_done(
    run: Run, bigquery: RestartableBigQuery, reliability: Reliability, all_faults: bool
) -> None:
    """The loader gives up in a clear line, and finishes when BigQuery is back."""
    settings = {"BIGQUERY_EMULATOR_HOST": bigquery.url, "RETRY_SECONDS": "2"}
    run = Run(run.environment | settings)
    expected = []
    with proxied_loader(run) as loader:
        loader.bigquery.refuses_known_jobs = False  # its jobs are lost
        for step, after in itertools.product(WRITES, (False, True)):
            if not all_faults and (step, after) not in QUICK_WRITES:
                continue
            load_id, before = boundary(step, after), landing_tables(run, bigquery.warehouse)
            flags = ("--users", str(USERS), "--load-id", load_id)
            if step in FIRST_RUN:
                loader.run = Run(run.environment | {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"})
            loader.act_at(step, bigquery.kill, after=after)
            failed = fails_clearly(loader.start(*flags))
            assert failed == (step != "the landing table is dropped")  # which expires anyway
            loader.pass_everything()
            bigquery.restart()
            left = "nothing"
            if landing_tables(run, bigquery.warehouse) > before:
                left = LANDING_TABLE
            finish(loader.start(*flags))
            assert expected_load(USERS, load_id) in landed_loads(loader.run, bigquery.warehouse)
            if step not in FIRST_RUN:
                expected.append(expected_load(USERS, load_id))
            loader.run = run
            case, how = (
                f"the embedded BigQuery, {load_id}",
                "in one clear line" if failed else "well",
            )
            reliability(PART, case, f"the loader ended {how}; {ONCE}", left)
        for seed in range(10 if all_faults else 1):
            flags = ("--users", str(USERS), "--load-id", f"seed {seed}")
            process = loader.start(*flags)
            process.wait(Random(seed).uniform(0.2, 0.8))
            with suppress(CutError):
                bigquery.kill()
            fails_clearly(process)
            bigquery.restart()
            finish(loader.start(*flags))
            expected.append(expected_load(USERS, f"seed {seed}"))
        case = "the embedded BigQuery, at random moments"
        left = "landing tables, which expire in a day"
        reliability(PART, case, f"the loader ended in one clear line, or well; {ONCE}", left)
    assert landed_loads(run, bigquery.warehouse) == sorted(expected)
    check_marts_hold_users_once(run, bigquery.warehouse, len(expected) * USERS)
