"""The loader, or the embedded BigQuery under it, is killed; the same command lands the users, once.

After a restart the embedded BigQuery has its tables, and has forgotten all job ids, as BigQuery
does after months.
"""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic
from typing import NoReturn
from uuid import uuid4

import pytest
from support.commands import Process, Run, make_settings
from support.factories import Load, land, make_raw, user
from support.fault_proxy import (
    FIRST_RUN,
    LEDGER,
    STEPS,
    TABLE,
    UPLOADED,
    ProxiedCommand,
    loader_step,
    proxied,
)
from support.load_checks import expected_load, finish, landed_loads
from support.proxy import CutError, Request
from support.warehouse import Warehouse, client

from local.__main__ import PROJECT, environment
from local.bigquery import start

USERS = 1500  # two pages
LOADER, BIGQUERY, BOTH = "the loader", "BigQuery", "the loader and then BigQuery"
# A restart of BigQuery makes a difference only where something is written.
STEPS_OF = {LOADER: STEPS.values(), BIGQUERY: (TABLE, UPLOADED, LEDGER)}
STEPS_OF[BOTH] = STEPS_OF[BIGQUERY]
# The kills that leave most behind; `make test-faults` kills everywhere.
QUICK = {(each, UPLOADED, True) for each in STEPS_OF} | {(LOADER, LEDGER, True)}
KILLS = [
    pytest.param(*kill, marks=[] if kill in QUICK else pytest.mark.slow_fault)
    for killed, steps in STEPS_OF.items()
    for step in steps
    for after in (False, True)
    for kill in [(killed, step, after)]
]


class Killable:
    """An embedded BigQuery that can be killed and started again, on the same port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process, self.url = start(data_dir)
        self.warehouse = Warehouse(self.url, PROJECT, client(self.url))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.process, url = start(self.data_dir)
        assert url == self.url


@pytest.fixture(scope="module")
def bigquery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    bigquery = Killable(tmp_path_factory.mktemp("killed") / "bigquery")
    yield bigquery
    bigquery.kill()


@pytest.fixture
def loader(bigquery: Killable, api_url: str, tmp_path: Path) -> Iterator[ProxiedCommand]:
    settings = make_settings(tmp_path) | {"RETRY_SECONDS": "2"}
    run = Run(environment(bigquery.url, RANDOMUSER_URL=api_url) | settings)
    with proxied(run, "ingest", step_of=loader_step) as loader:
        yield loader


def load(load_id: str) -> tuple[str, ...]:
    return ("--users", str(USERS), "--load-id", load_id)


def check_end(process: Process, *statuses: int) -> None:
    """Check that the loader ended with such a status, and in one clear line if it failed."""
    output, errors = process.communicate()
    assert process.returncode in statuses and "Traceback" not in errors, output + errors
    assert process.returncode != 1 or errors.splitlines()[-1].startswith("ingest: BigQuery ")


@pytest.mark.parametrize(("killed", "step", "after"), KILLS)
def test_same_command_finishes_load_killed_at_any_step(
    loader: ProxiedCommand, bigquery: Killable, killed: str, step: str, after: bool
) -> None:
    """Each request of the step is the last one of a loader, or of the BigQuery under it."""

    def kill_bigquery(_: Request) -> NoReturn:
        bigquery.kill()
        raise CutError

    tables, new = bigquery.warehouse, expected_load(USERS, "x")
    others = [] if step in FIRST_RUN else [expected_load(1, "0")]
    for time in count(1):
        loader.proxy.requests.clear()
        loader.run.environment["RAW_DATASET"] = f"raw_{uuid4().hex[:12]}"
        if others:
            make_raw(loader.run, tables)
            land(loader.run, tables, Load("0", datetime.now(UTC), [user(1)]))
        if killed == BIGQUERY:
            reached = loader.act_at(step, kill_bigquery, after=after, times=(time,))
            check_end(loader.start(*load("x")), 0, 1)
            is_killed = len(reached) >= time
        else:
            is_killed = loader.kill_at(step, *load("x"), after=after, time=time)
        if not is_killed:
            break
        if killed != LOADER:
            bigquery.restart()
        users_without_ledger = expected_load(USERS, "x", ledger_rows=0)
        left = landed_loads(loader.run, tables)
        assert left in (others, [*others, users_without_ledger], [*others, new])
        loader.finish(*load("x"))
        assert landed_loads(loader.run, tables) == [*others, new]
    assert time > 1
    # Nothing of a load that is not killed happens outside of the steps.
    assert set(map(loader_step, loader.proxy.requests)) <= set(STEPS.values())


@pytest.mark.slow_fault
@pytest.mark.parametrize(("killed", "moments"), [(LOADER, 30), (BOTH, 5), (BIGQUERY, 5)])
def test_same_command_finishes_load_killed_at_random_moments(
    loader: ProxiedCommand, bigquery: Killable, killed: str, moments: int
) -> None:
    started_at = monotonic()
    loader.finish(*load("0"))
    duration, expected = monotonic() - started_at, [expected_load(USERS, "0")]
    for seed in range(moments):
        process = loader.start(*load(f"seed {seed}"))
        process.wait(Random(seed).uniform(0, duration))
        if killed != BIGQUERY:
            process.kill()
        if killed != LOADER:
            bigquery.restart()
        check_end(process, 0, 1, -signal.SIGKILL)
        finish(loader.start(*load(f"seed {seed}")))
        expected.append(expected_load(USERS, f"seed {seed}"))
    assert landed_loads(loader.run, bigquery.warehouse) == sorted(expected)
