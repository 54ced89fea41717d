"""The loader, or the embedded BigQuery under it, is killed; the same command lands the users, once.

After a restart the embedded BigQuery has its tables, and has forgotten all job ids.
"""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic
from uuid import uuid4

import pytest
from support.commands import Process, Run
from support.fault_proxy import FIRST_RUN, LEDGER, STEPS, UPLOADED, proxied_loader
from support.load_checks import (
    ONCE,
    boundary,
    check_marts_hold_users_once,
    expected_load,
    finish,
    landed_loads,
)
from support.proxy import CutError
from support.reliability_page import Reliability
from support.warehouse import Warehouse, client

from local.__main__ import PROJECT
from local.bigquery import start

PART = "Crash recovery"
USERS = 1500  # two pages
# `make test` kills at the boundaries that leave most behind.
QUICK = [(UPLOADED, False), (UPLOADED, True), (LEDGER, True)]
ALL = [(step, after) for step in STEPS.values() for after in (False, True)]
# A restart makes a difference only where something is written.
WRITES = [case for case in ALL if case[0] in {UPLOADED, LEDGER, "the ledger is made"}]
LOADER, BIGQUERY, BOTH = "the loader", "the embedded BigQuery", "the loader and then BigQuery"


class Killable:
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
        with suppress(CutError):
            self.kill()
        self.process, url = start(self.data_dir)
        assert url == self.url


@pytest.fixture
def bigquery(tmp_path: Path) -> Iterator[Killable]:
    bigquery = Killable(tmp_path / "bigquery")
    yield bigquery
    assert bigquery.process.stdin
    bigquery.process.stdin.close()
    bigquery.process.wait()


def flags(load_id: str) -> tuple[str, ...]:
    return ("--users", str(USERS), "--load-id", load_id)


def check_end(process: Process, *statuses: int) -> None:
    """Check that the loader ended with one of these statuses, and in one clear line if it failed."""
    output, errors = process.communicate()
    assert process.returncode in statuses and "Traceback" not in errors, output + errors
    assert process.returncode != 1 or errors.splitlines()[-1].startswith("ingest: BigQuery ")


@pytest.mark.parametrize(
    ("killed", "cases", "moments"), [(LOADER, ALL, 30), (BOTH, WRITES, 5), (BIGQUERY, WRITES, 5)]
)
def test_same_command_finishes_killed_load(
    run: Run,
    bigquery: Killable,
    reliability: Reliability,
    all_faults: bool,
    killed: str,
    cases: list[tuple[str, bool]],
    moments: int,
) -> None:
    run = Run(run.environment | {"BIGQUERY_EMULATOR_HOST": bigquery.url, "RETRY_SECONDS": "3"})
    happened = ("the loader ended in one clear line; " if killed == BIGQUERY else "") + ONCE
    with proxied_loader(run) as loader:
        finish(loader.start(*flags("0")))
        count, started_at = dict(loader.steps), monotonic()
        assert set(count) == set(STEPS.values())
        loader.pass_everything()
        finish(loader.start(*flags("1")))
        count, duration = count | loader.steps, monotonic() - started_at
        expected = [expected_load(USERS, "0"), expected_load(USERS, "1")]
        for step, after in cases if all_faults else QUICK:
            for time in range(1, count[step] + 1):
                load_id = f"{boundary(step, after)} ({time})"
                if step in FIRST_RUN:
                    loader.run = Run(run.environment | {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"})
                if killed == BIGQUERY:
                    loader.act_at(step, bigquery.kill, after=after, times=(time,))
                    check_end(loader.start(*flags(load_id)), 1)
                    loader.pass_everything()
                else:
                    loader.kill_at(step, *flags(load_id), after=after, time=time)
                if killed != LOADER:
                    bigquery.restart()
                rows = {row[0]: row for row in landed_loads(loader.run, bigquery.warehouse)}
                left = rows.get(load_id)
                assert left in (None, *(expected_load(USERS, load_id, n) for n in (0, 1)))
                finish(loader.start(*flags(load_id)))
                if step in FIRST_RUN:
                    landed = landed_loads(loader.run, bigquery.warehouse)
                    assert landed == [expected_load(USERS, load_id)]
                    loader.run = run
                else:
                    expected.append(expected_load(USERS, load_id))
            case, what = f"{killed}, {boundary(step, after)}", "nothing"
            if left:
                what = "the users, in raw, once" + ", and the load in the ledger" * (left[5] == 1)
            reliability(PART, case, happened, what)
        for seed in range(moments if all_faults else 1):
            process = loader.start(*flags(f"seed {seed}"))
            process.wait(Random(seed).uniform(0, duration))
            if killed != BIGQUERY:
                process.kill()
            if killed != LOADER:
                bigquery.restart()
            check_end(process, 0, 1, -signal.SIGKILL)
            finish(loader.start(*flags(f"seed {seed}")))
            expected.append(expected_load(USERS, f"seed {seed}"))
    assert landed_loads(run, bigquery.warehouse) == sorted(expected)
    reliability(PART, f"{killed}, at random moments", ONCE, "nothing, or the users, in raw, once")
    if killed == LOADER:
        check_marts_hold_users_once(run, bigquery.warehouse, len(expected) * USERS)
