"""The loader is killed outright, anywhere; the same command again lands the users, once."""

import itertools
import signal
from collections.abc import Sequence
from random import Random
from threading import Barrier
from time import monotonic
from uuid import uuid4

import pytest
from support.commands import Run
from support.fault_proxy import FIRST_RUN, STEPS, Wires
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
from support.warehouse import Warehouse

PART = "Crash recovery"
USERS = 2500  # three pages, one part
TWO_PARTS = 12_000
MOMENTS = 60
# The steps at which a kill leaves most behind: `make test` kills at these alone.
QUICK = {
    ("a page is asked for", False),
    ("a part is uploaded", True),
    ("the users are moved to raw", False),
    ("the users are moved to raw", True),
    ("the ledger is written", True),
}


def killed(loader: Wires, flags: Sequence[str], step: str, after: bool, time: int = 1) -> None:
    """Run the loader until it comes to a step, and kill it there."""

    def kill() -> None:
        process.kill()
        raise CutError

    loader.at(step, kill, after=after, times=(time,))
    process = loader.start(*flags)
    output, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, output + errors
    loader.be_well()


def test_a_loader_that_is_killed_at_any_step_is_finished_by_the_same_command(
    loader: Wires, warehouse: Warehouse, reliability: Reliability, all_faults: bool
) -> None:
    users = TWO_PARTS if all_faults else USERS
    ends_well(loader.start("--users", str(users), "--load-id", "clean"))
    count = dict(loader.steps)
    assert set(count) == set(STEPS.values())
    run, expected = loader.run, [exactly(users, "clean")]
    for step, after in itertools.product(STEPS.values(), (False, True)):
        if not all_faults and (step, after) not in QUICK:
            continue
        left = "nothing"
        for time in range(1, count[step] + 1) if all_faults else [count[step] // 2 + 1]:
            load_id = f"{words(step, after)} ({time:02})"
            flags = ("--users", str(users), "--load-id", load_id)
            before = landing_tables(run, warehouse)
            if step in FIRST_RUN:
                fresh = {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"}
                loader.run = Run(run.environment | fresh)
            killed(loader, flags, step, after, time)
            ends_well(loader.start(*flags))
            if step in FIRST_RUN:
                assert landed(loader.run, warehouse) == [exactly(users, load_id)]
                loader.run = run
            else:
                expected.append(exactly(users, load_id))
                assert landed(run, warehouse) == sorted(expected)
            if landing_tables(run, warehouse) > before:
                left = LANDING_TABLE
        reliability(PART, f"the loader, {words(step, after)}", ONCE, left)
    in_the_marts_once(run, warehouse, len(expected) * users)


def test_a_loader_that_is_killed_at_random_moments_is_finished_by_the_same_command(
    loader: Wires, warehouse: Warehouse, reliability: Reliability, all_faults: bool
) -> None:
    began = monotonic()
    ends_well(loader.start("--users", str(USERS), "--load-id", "clean"))
    duration = monotonic() - began
    expected = [exactly(USERS, "clean")]
    for seed in range(MOMENTS if all_faults else 5):
        load_id = f"seed {seed:02}"
        flags = ("--users", str(USERS), "--load-id", load_id)
        process = loader.start(*flags)
        process.wait(Random(seed).uniform(0, duration))
        process.kill()
        process.communicate()
        ends_well(loader.start(*flags))
        expected.append(exactly(USERS, load_id))
        assert landed(loader.run, warehouse) == sorted(expected)
    reliability(
        PART, "the loader, at random moments", ONCE, "landing tables, which expire in a day"
    )
    in_the_marts_once(loader.run, warehouse, len(expected) * USERS)


@pytest.mark.parametrize("load_ids", [("same", "same"), ("one", "other")], ids="-".join)
@pytest.mark.parametrize("locked", [True, False], ids=["BigQuery", "emulator"])
def test_two_loaders_at_once_land_each_load_once(
    loader: Wires,
    warehouse: Warehouse,
    reliability: Reliability,
    load_ids: tuple[str, str],
    locked: bool,
) -> None:
    """Both are ready to move their users before either may; `locked`: by a job id, as BigQuery."""
    ends_well(loader.start("--users", "1", "--load-id", "0"))
    both = Barrier(2, timeout=30)

    def wait_for_the_other() -> None:
        both.wait()

    loader.at("the users are moved to raw", wait_for_the_other, times=(1, 2))
    loader.bigquery.locks = locked
    pair = [loader.start("--users", str(USERS), "--load-id", load_id) for load_id in load_ids]
    said = [ends_well(process) for process in pair]
    assert all(line.startswith(f"Loaded {USERS:,} users into ") for line in said)
    expected = [exactly(USERS, load_id) for load_id in sorted(set(load_ids))]
    assert landed(loader.run, warehouse) == [exactly(1, "0"), *expected]
    one = len(set(load_ids)) == 1
    case = "two loaders at once, of one load" if one else "two loaders at once, of a load each"
    reliability(PART, case, "each load landed once, and both said so", "nothing")
    assert not landing_tables(loader.run, warehouse)
