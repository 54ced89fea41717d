"""The loader is killed at every step; the same command again lands the users, once."""

import itertools
import signal
from collections.abc import Sequence
from random import Random
from threading import Barrier
from time import monotonic
from uuid import uuid4

import pytest
from support.commands import Run
from support.fault_proxy import FIRST_RUN, STEPS, ProxiedLoader
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
from support.warehouse import Warehouse

PART = "Crash recovery"
USERS = 2500  # three pages, one part
TWO_PARTS = 12_000
MOMENTS = 60
# Kills at these steps leave most behind: `make test` kills the loader at no others.
QUICK = {
    ("a page is requested", False),
    ("a part is uploaded", True),
    ("the users are moved to raw", False),
    ("the users are moved to raw", True),
    ("the ledger is written", True),
}


def kill_loader_at(
    loader: ProxiedLoader, flags: Sequence[str], step: str, after: bool, time: int = 1
) -> None:
    """Run the loader until it comes to a step, and kill it there."""

    def kill() -> None:
        process.kill()
        raise CutError

    loader.act_at(step, kill, after=after, times=(time,))
    process = loader.start(*flags)
    output, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, output + errors
    loader.pass_everything()


def test_same_command_finishes_loader_killed_at_any_step(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, all_faults: bool
) -> None:
    users = TWO_PARTS if all_faults else USERS
    finish(loader.start("--users", str(users), "--load-id", "clean"))
    count = dict(loader.steps)
    assert set(count) == set(STEPS.values())
    loader.pass_everything()  # and count again: later loads create no tables
    finish(loader.start("--users", str(users), "--load-id", "later"))
    count |= loader.steps
    run, expected = loader.run, [expected_load(users, name) for name in ("clean", "later")]
    for step, after in itertools.product(STEPS.values(), (False, True)):
        if not all_faults and (step, after) not in QUICK:
            continue
        left = "nothing"
        for time in range(1, count[step] + 1) if all_faults else [count[step] // 2 + 1]:
            load_id = f"{boundary(step, after)} ({time:02})"
            flags = ("--users", str(users), "--load-id", load_id)
            before = landing_tables(run, warehouse)
            if step in FIRST_RUN:
                fresh = {"RAW_DATASET": f"raw_{uuid4().hex[:12]}"}
                loader.run = Run(run.environment | fresh)
            kill_loader_at(loader, flags, step, after, time)
            finish(loader.start(*flags))
            if step in FIRST_RUN:
                assert landed_loads(loader.run, warehouse) == [expected_load(users, load_id)]
                loader.run = run
            else:
                expected.append(expected_load(users, load_id))
                assert landed_loads(run, warehouse) == sorted(expected)
            if landing_tables(run, warehouse) > before:
                left = LANDING_TABLE
        reliability(PART, f"the loader, {boundary(step, after)}", ONCE, left)
    check_marts_hold_users_once(run, warehouse, len(expected) * users)


def test_same_command_finishes_loader_killed_at_random_moments(
    loader: ProxiedLoader, warehouse: Warehouse, reliability: Reliability, all_faults: bool
) -> None:
    started_at = monotonic()
    finish(loader.start("--users", str(USERS), "--load-id", "clean"))
    duration = monotonic() - started_at
    expected = [expected_load(USERS, "clean")]
    for seed in range(MOMENTS if all_faults else 5):
        load_id = f"seed {seed:02}"
        flags = ("--users", str(USERS), "--load-id", load_id)
        process = loader.start(*flags)
        process.wait(Random(seed).uniform(0, duration))
        process.kill()
        process.communicate()
        finish(loader.start(*flags))
        expected.append(expected_load(USERS, load_id))
        assert landed_loads(loader.run, warehouse) == sorted(expected)
    reliability(
        PART, "the loader, at random moments", ONCE, "landing tables, which expire in a day"
    )
    check_marts_hold_users_once(loader.run, warehouse, len(expected) * USERS)


@pytest.mark.parametrize("load_ids", [("same", "same"), ("one", "other")], ids="-".join)
# BigQuery refuses a job id that is taken; the emulator runs it twice.
@pytest.mark.parametrize("refuses_known_jobs", [True, False], ids=["BigQuery", "emulator"])
def test_two_loaders_at_once_land_each_load_once(
    loader: ProxiedLoader,
    warehouse: Warehouse,
    reliability: Reliability,
    load_ids: tuple[str, str],
    refuses_known_jobs: bool,
) -> None:
    """Both loaders wait for each other just before they move their users."""
    finish(loader.start("--users", "1", "--load-id", "0"))
    both = Barrier(2, timeout=30)

    def wait_for_the_other() -> None:
        both.wait()

    loader.act_at("the users are moved to raw", wait_for_the_other, times=(1, 2))
    loader.bigquery.refuses_known_jobs = refuses_known_jobs
    pair = [loader.start("--users", str(USERS), "--load-id", load_id) for load_id in load_ids]
    printed = [finish(process) for process in pair]
    assert all(line.startswith(f"Loaded {USERS:,} users into ") for line in printed)
    expected = [expected_load(USERS, load_id) for load_id in sorted(set(load_ids))]
    assert landed_loads(loader.run, warehouse) == [expected_load(1, "0"), *expected]
    is_same = len(set(load_ids)) == 1
    case = "two loaders at once, of one load" if is_same else "two loaders at once, of a load each"
    reliability(PART, case, "each load landed once, and both said so", "nothing")
    assert not landing_tables(loader.run, warehouse)
