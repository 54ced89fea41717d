"""The incremental path against `dbt build --full-refresh`, on seeded random histories.

So that both cannot be wrong alike, the marts are held against a few lines of Python as well: of
each key the row that landed last.
"""

from collections import Counter
from typing import Any
from uuid import uuid4

from support.commands import Run
from support.factories import land, make_raw, people
from support.random_loads import History
from support.reliability_page import Reliability
from support.warehouse import Warehouse

HISTORIES = 6
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
# A run that is whole, and runs that ended half-way.
WHOLE = ("build", *NO_TESTS)
REBUILD = ("build", "--full-refresh", "--vars", "held_back_loads: warn")
RUNS = [WHOLE, WHOLE, ("run", "--select", "+users"), ("run", "--select", "base_randomuser__users")]
MODELS = {
    "users": "",
    "locations": "",
    "logins": "_restricted",
    "base_randomuser__users": "_restricted",
    "stg_randomuser__users": "",
    "stg_randomuser__locations": "",
    "stg_randomuser__logins": "_restricted",
    "stg_randomuser__rejected": "_restricted",
}


class Marts:
    """The tables and views that dbt made."""

    def __init__(self, run: Run, warehouse: Warehouse) -> None:
        self.run, self.warehouse = run, warehouse

    def rows(self, table: str, but: str = "") -> Counter[str]:
        """Return all rows with all columns `but` some, in no order."""
        sql = f"select {f'* except ({but})' if but else '*'} from {table}"
        found = self.warehouse.client.query_and_wait(sql)
        return Counter(str(sorted(row.items())) for row in found)

    def all_rows(self) -> dict[str, Counter[str]]:
        analytics = self.run.analytics
        return {name: self.rows(f"{analytics}{of}.{name}") for name, of in MODELS.items()}

    def newest(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """Return the rows of the marts in the words of History.newest."""
        here = self.run.analytics
        asked = {
            "users": "select user_id, first_name, lower(trim(city)), u.loaded_at, u.load_id "
            f"from {here}.users as u left join {here}.locations as l "
            "on u.location_id = l.location_id",
            "logins": "select login_uuid, username, loaded_at, load_id "
            f"from {here}_restricted.logins",
            "locations": "select lower(trim(city)), city, latitude, loaded_at, load_id "
            f"from {here}.locations",
        }
        return {name: Counter(self.warehouse.rows(sql)) for name, sql in asked.items()}

    def are_right(self, history: History, when: str) -> None:
        """Compare with the history; an unchanged user's current version has its first load."""
        expected = {name: Counter(rows) for name, rows in history.newest().items()}
        assert self.newest() == expected, when
        load = "loaded_at, load_id, fetched_at"
        dbt = "dbt_scd_id, dbt_updated_at, dbt_valid_from, dbt_valid_to"
        versions = f"{self.run.analytics}_snapshots.users_history where dbt_valid_to is null"
        users = self.rows(f"{self.run.analytics}.users", load)
        assert self.rows(versions, f"{load}, {dbt}") == users, when


def dbt(run: Run, when: str, *words: str) -> None:
    done = run("dbt", *words)
    assert done.returncode == 0, f"{when}: {done.stdout}"


def test_a_rebuild_gives_the_rows_of_the_incremental_path_after_any_order_of_loads(
    run: Run, warehouse: Warehouse, api_url: str, reliability: Reliability, all_faults: bool
) -> None:
    users = people(api_url, 25)
    for seed in range(HISTORIES if all_faults else 1):
        name = uuid4().hex[:12]
        fresh = {"RAW_DATASET": f"raw_{name}", "ANALYTICS_DATASET": f"analytics_{name}"}
        here = Run(run.environment | fresh)
        history, marts = History(seed, users), Marts(here, warehouse)
        make_raw(here, warehouse)
        runs = history.random.randint(4, 7) if all_faults else 4
        for number in range(1, runs + 1):
            land(here, warehouse, *history.next_loads())
            for load_id in history.next_accepted():
                warehouse.rows(
                    f"update {here.raw}.loads set decision = 'accepted', "
                    f"decided_at = timestamp '{history.clock.isoformat()}' "
                    f"where load_id = '{load_id}'"
                )
            when = f"seed {seed}, run {number} of {runs}"
            words = WHOLE if number in (1, runs) else history.random.choice(RUNS)
            dbt(here, when, *words)
            if words == WHOLE:
                marts.are_right(history, when)
        before = marts.all_rows()
        when = f"seed {seed}, a rebuild after {runs} runs"
        dbt(here, when, *REBUILD, *(NO_UNIT_TESTS if all_faults else NO_TESTS))
        for model, rows in marts.all_rows().items():
            assert rows == before[model], f"{when}: {model}"
        marts.are_right(history, when)
    reliability(
        "Rebuild",
        "random histories: loads on time, late and at the same time; users who come again, twice "
        "in a load or without a key; shared addresses; loads that are held back and accepted "
        "later; runs that ended half-way",
        "base, the staging views and the marts have the same rows before and after "
        "`dbt build --full-refresh`",
        "of each key the row that landed last, as a few lines of Python find it",
    )
    reliability(
        "Rebuild",
        "`users_history`, which no rebuild makes anew",
        "every version stays",
        "one current version a user, as in `users`",
    )
