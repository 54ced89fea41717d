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
    """Check that the loader ended with such a status, and in one clear line if it failed."""
    output, errors = process.communicate()
    assert process.returncode in statuses and "Traceback" not in errors, output + errors
    assert process.returncode != 1 or errors.splitlines()[-1].startswith("ingest: BigQuery ")


@pytest.mark.parametrize(("killed", "cases"), [(LOADER, ALL), (BOTH, WRITES), (BIGQUERY, WRITES)])
def test_same_command_finishes_loader_killed_at_any_step(
    *,
    run: Run,
    bigquery: Killable,
    reliability: Reliability,
    all_faults: bool,
    killed: str,
    cases: list[tuple[str, bool]],
) -> None:
    run = Run(run.environment | {"BIGQUERY_EMULATOR_HOST": bigquery.url, "RETRY_SECONDS": "3"})
    with proxied_loader(run) as loader:
        finish(loader.start(*flags("0")))
        count = dict(loader.steps)
        assert set(count) == set(STEPS.values())
        loader.pass_everything()  # and count again: later loads create no tables
        finish(loader.start(*flags("1")))
        count |= loader.steps
        expected = [expected_load(USERS, load_id) for load_id in "01"]
        for step, after in cases if all_faults else QUICK:
            for time in range(1, count[step] + 1):
                load_id = f"{boundary(step, after)} ({time})"
                if is_first_run := step in FIRST_RUN:
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
                finish(loader.start(*flags(load_id)))
                new = expected_load(USERS, load_id)
                expected += [] if is_first_run else [new]
                landed = landed_loads(loader.run, bigquery.warehouse)
                assert landed == ([new] if is_first_run else sorted(expected))
                loader.run = run
            what = {new: "the load", None: "nothing"}.get(left, "the users, in raw, once")
            assert left in (None, new, expected_load(USERS, load_id, ledger_rows=0))
            happened = ("the loader ended in one clear line; " if killed == BIGQUERY else "") + ONCE
            reliability(PART, f"{killed}, {boundary(step, after)}", happened, what)
    if killed == LOADER:
        check_marts_hold_users_once(run, bigquery.warehouse, len(expected) * USERS)


@pytest.mark.parametrize("killed", [LOADER, BOTH, BIGQUERY])
def test_same_command_finishes_loader_killed_at_random_moment(
    run: Run, bigquery: Killable, reliability: Reliability, all_faults: bool, killed: str
) -> None:
    run = Run(run.environment | {"BIGQUERY_EMULATOR_HOST": bigquery.url, "RETRY_SECONDS": "3"})
    started_at = monotonic()
    finish(run.start("ingest", *flags("0")))
    duration, expected = monotonic() - started_at, [expected_load(USERS, "0")]
    moments = (30 if killed == LOADER else 5) if all_faults else 1
    for seed in range(moments):
        load = ("ingest", *flags(f"seed {seed}"))
        process = run.start(*load)
        process.wait(Random(seed).uniform(0, duration))
        if killed != BIGQUERY:
            process.kill()
        if killed != LOADER:
            bigquery.restart()
        check_end(process, 0, 1, -signal.SIGKILL)
        finish(run.start(*load))
        expected.append(expected_load(USERS, f"seed {seed}"))
    assert landed_loads(run, bigquery.warehouse) == sorted(expected)
    reliability(
        PART, f"{killed}, at random moments", ONCE, "nothing, the users in raw, or the load"
    )
