"""Incremental builds give the rows of `dbt build --full-refresh`, on random loads.

Both could be wrong alike, so the marts are compared with a few lines of Python too: the row of
each key that landed last.
"""

from collections import Counter
from typing import Any
from uuid import uuid4

from support.commands import Run
from support.factories import decide, fetch_users, land, make_raw
from support.random_loads import RandomLoads
from support.warehouse import Warehouse

SEEDS = 6
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
# A whole run, and runs that ended half-way.
WHOLE = ("build", *NO_TESTS)
REBUILD = ("build", "--full-refresh")
TESTS = (*NO_UNIT_TESTS, "--vars", "held_back_loads: warn")
RUNS = [WHOLE, WHOLE, ("run", "--select", "+users"), ("run", "--select", "base_randomuser__users")]
# The dataset of each model, and the columns that tell when it was built.
MODELS = {
    "users": ("", ""),
    "locations": ("", ""),
    "users_history": ("", ""),
    "loads": ("", "built_at"),
    "logins": ("_restricted", ""),
    "base_randomuser__users": ("_restricted", ""),
    "stg_randomuser__rejected": ("_restricted", ""),
}


class Marts:
    """The tables and views that dbt made."""

    def __init__(self, run: Run, warehouse: Warehouse) -> None:
        self.run, self.warehouse = run, warehouse

    def rows(self, table: str, without: str = "") -> Counter[str]:
        """Return all rows `without` some columns, in no order."""
        sql = f"select {f'* except ({without})' if without else '*'} from {table}"
        rows = self.warehouse.client.query_and_wait(sql)
        return Counter(str(sorted(row.items())) for row in rows)

    def all_rows(self) -> dict[str, Counter[str]]:
        analytics = self.run.analytics
        return {
            name: self.rows(f"{analytics}{suffix}.{name}", without)
            for name, (suffix, without) in MODELS.items()
        }

    def read(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """Return the rows of the marts, as RandomLoads.expected_marts gives them."""
        dataset = self.run.analytics
        queries = {
            "users": "select user_id, first_name, lower(trim(city)), u.loaded_at, u.load_id "
            f"from {dataset}.users as u left join {dataset}.locations as l "
            "on u.location_id = l.location_id",
            "logins": "select login_uuid, username, loaded_at, load_id "
            f"from {dataset}_restricted.logins",
            "locations": "select lower(trim(city)), city, latitude, loaded_at, load_id "
            f"from {dataset}.locations",
            "users_history": "select user_id, first_name, lower(trim(city)), valid_from, valid_to "
            f"from {dataset}.users_history as u left join {dataset}.locations as l "
            "on u.location_id = l.location_id",
        }
        return {name: Counter(self.warehouse.rows(sql)) for name, sql in queries.items()}

    def check(self, loads: RandomLoads, when: str) -> None:
        """Compare with the loads; an unchanged user's current version keeps its first load."""
        expected = {name: Counter(rows) for name, rows in loads.expected_marts().items()}
        assert self.read() == expected, when
        load, analytics = "loaded_at, load_id, fetched_at", self.run.analytics
        versions = self.rows(
            f"{analytics}.users_history where is_current",
            f"{load}, valid_from, valid_to, is_current",
        )
        assert versions == self.rows(f"{analytics}.users", load), when


def dbt(run: Run, when: str, *arguments: str) -> None:
    done = run("dbt", *arguments)
    assert done.returncode == 0, f"{when}: {done.stdout}"


def test_rebuild_gives_rows_of_incremental_builds(
    run: Run, warehouse: Warehouse, api_url: str, all_faults: bool
) -> None:
    users = fetch_users(api_url, 25)
    for seed in range(SEEDS if all_faults else 1):
        name = uuid4().hex[:12]
        fresh = {"RAW_DATASET": f"raw_{name}", "ANALYTICS_DATASET": f"analytics_{name}"}
        run = Run(run.environment | fresh)
        loads, marts = RandomLoads(seed, users), Marts(run, warehouse)
        make_raw(run, warehouse)
        runs = loads.random.randint(4, 7) if all_faults else 3
        for number in range(1, runs + 1):
            land(run, warehouse, *loads.next_loads())
            for load_id, decision in loads.next_decisions().items():
                decide(run, warehouse, decision, load_id, loads.clock)
            when = f"seed {seed}, run {number} of {runs}"
            command = WHOLE if number in (1, runs) else loads.random.choice(RUNS)
            dbt(run, when, *command)
            if command == WHOLE:
                marts.check(loads, when)
        before = marts.all_rows()
        when = f"seed {seed}, a rebuild after {runs} runs"
        dbt(run, when, *REBUILD, *(TESTS if all_faults else NO_TESTS))
        for model, rows in marts.all_rows().items():
            assert rows == before[model], f"{when}: {model}"
        marts.check(loads, when)
