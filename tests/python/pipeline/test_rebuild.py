"""Incremental builds give the rows of `dbt build --full-refresh`, on random loads.

Both could be wrong alike, so the marts are compared with a few lines of Python too: the row of
each key that landed last.
"""

from collections import Counter

import pytest
from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run, passes
from support.factories import decide, fetch_users, land, make_raw
from support.random_loads import RandomLoads
from support.warehouse import Warehouse

# Four runs with all that matters: users who landed late, twice in a load, or in two loads of one
# time; loads that are held back, accepted later, set aside (so that some users go, and some get a
# version back that is older than the look-back), accepted again, or never used.
FIRST_SEED = 4150
# The others are only for `make test-faults`.
SLOW_SEEDS = [pytest.param(seed, marks=pytest.mark.slow_fault) for seed in range(1, 6)]
# Whole runs, and runs that ended half-way.
PARTS = [("dbt", "run", "--select", model) for model in ("+users", "base_randomuser__users")]
RUNS: list[tuple[str, ...]] = [BUILD_WITHOUT_TESTS, BUILD_WITHOUT_TESTS, *PARTS]


def read_tables(run: Run, warehouse: Warehouse) -> dict[str, str]:
    """Return all rows that dbt made, without the time when each load was counted."""
    loads = f"{run.analytics}.loads"
    rows = warehouse.rows(f"select * except (built_at) from {loads} order by load_id")
    return warehouse.read_texts(run.analytics) | {loads: str(rows)}


def check_marts(run: Run, warehouse: Warehouse, loads: RandomLoads, when: str) -> None:
    """Compare with the loads; an unchanged user's current version keeps its first load."""
    dataset, city = run.analytics, "lower(trim(city))"
    address = f"left join {dataset}.locations as l on u.location_id = l.location_id"
    queries = {
        "users": f"select user_id, first_name, {city}, u.loaded_at, u.load_id "
        f"from {dataset}.users as u {address}",
        "locations": f"select {city}, city, latitude, loaded_at, load_id from {dataset}.locations",
        "users_history": f"select user_id, first_name, {city}, valid_from, valid_to "
        f"from {dataset}.users_history as u {address}",
    }
    for name, rows in loads.expected_marts().items():
        assert Counter(warehouse.rows(queries[name])) == Counter(rows), f"{name}, {when}"
    load, version = "loaded_at, load_id, fetched_at", "valid_from, valid_to, is_current"
    users = warehouse.rows(f"select * except ({load}) from {dataset}.users order by user_id")
    current = f"select * except ({load}, {version}) from {dataset}.users_history where is_current"
    assert warehouse.rows(f"{current} order by user_id") == users, when


@pytest.mark.parametrize("seed", [FIRST_SEED, *SLOW_SEEDS])
def test_rebuild_gives_rows_of_incremental_builds(
    run: Run, warehouse: Warehouse, api_url: str, seed: int
) -> None:
    loads = RandomLoads(seed, fetch_users(api_url, 25))
    make_raw(run, warehouse)
    runs = loads.random.randint(4, 7)
    for number in range(1, runs + 1):
        land(run, warehouse, *loads.next_loads())
        for load_id, decision in loads.next_decisions().items():
            decide(run, warehouse, decision, load_id, loads.clock)
        command = RUNS[0] if number in (1, runs) else loads.random.choice(RUNS)
        passes(run(*command))
        if command == RUNS[0]:
            check_marts(run, warehouse, loads, f"run {number} of {runs}")
    before = read_tables(run, warehouse)
    tested = (*BUILD, "--vars", "held_back_loads: warn")
    passes(run(*(RUNS[0] if seed == FIRST_SEED else tested), "--full-refresh"))
    assert read_tables(run, warehouse) == before
    check_marts(run, warehouse, loads, "a rebuild")
