"""The embedded BigQuery is killed under the loader, and started again on its tables."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from support.commands import Process, Run
from support.fault_proxy import FIRST_RUN, wires
from support.load_checks import (
    LANDING_TABLE,
    ONCE,
    ends_well,
    exactly,
    in_the_marts_once,
    landed,
    landing_tables,
    words,
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


class Mortal:
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
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    bigquery = Mortal(tmp_path / "bigquery")
    yield bigquery
    bigquery.stop()


def gave_up(process: Process) -> bool:
    """Check that it ended in a clear line, if not well; return whether it did not."""
    output, errors = process.communicate()
    last = errors.splitlines()[-1]
    clear = process.returncode == 1 and last.startswith("ingest: ") and "Traceback" not in errors
    assert clear or process.returncode == 0, output + errors
    return clear


def test_an_embedded_bigquery_that_is_killed_leaves_nothing_half_done(
    run: Run, mortal: Mortal, reliability: Reliability, all_faults: bool
) -> None:
    """The loader gives up in a clear line, and finishes when BigQuery is back."""
    here = {"BIGQUERY_EMULATOR_HOST": mortal.url, "RETRY_SECONDS": "2"}
    run = Run(run.environment | here)
    expected = []
    with wires(run) as loader:
        loader.bigquery.locks = False  # jobs die with it
        for step, after in itertools.product(WRITES, (False, True)):
            if not all_faults and (step, after) not in QUICK_WRITES:
                continue
            load_id, before = words(step, after), landing_tables(run, mortal.warehouse)
            flags = ("--users", str(USERS), "--load-id", load_id)
            if step in FIRST_RUN:
                loader.run = Run(run.environment | {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"})
            loader.at(step, mortal.kill, after=after)
            assert gave_up(loader.start(*flags))
            loader.be_well()
            mortal.restart()
            left = "nothing"
            if landing_tables(run, mortal.warehouse) > before:
                left = LANDING_TABLE
            ends_well(loader.start(*flags))
            assert exactly(USERS, load_id) in landed(loader.run, mortal.warehouse)
            if step not in FIRST_RUN:
                expected.append(exactly(USERS, load_id))
            loader.run = run
            case = f"the embedded BigQuery, {load_id}"
            reliability(PART, case, f"the loader ended in one clear line; {ONCE}", left)
        for seed in range(10 if all_faults else 1):
            flags = ("--users", str(USERS), "--load-id", f"seed {seed}")
            process = loader.start(*flags)
            process.wait(Random(seed).uniform(0.2, 0.8))
            with suppress(CutError):
                mortal.kill()
            gave_up(process)
            mortal.restart()
            ends_well(loader.start(*flags))
            expected.append(exactly(USERS, f"seed {seed}"))
        case = "the embedded BigQuery, at random moments"
        left = "landing tables, which expire in a day"
        reliability(PART, case, f"the loader ended in one clear line, or well; {ONCE}", left)
    assert landed(run, mortal.warehouse) == sorted(expected)
    in_the_marts_once(run, mortal.warehouse, len(expected) * USERS)
