"""`dbt build` is killed at every write; the same command again makes the marts, once."""

import itertools
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import Event
from time import monotonic
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from support.commands import BUILD, Process, Run
from support.factories import Load, changed_user, fetch_users, land, make_raw
from support.proxy import CutError, Proxy, Request, Response, proxy
from support.reliability_page import Reliability
from support.warehouse import Warehouse

PART = "Crash recovery"
MOMENTS = 10
TABLES = {
    "base_randomuser__users": "base",
    "users": "a mart",
    "logins": "a mart",
    "locations": "a mart",
    "loads": "the table of loads",
    "loads_history": "the history of loads",
}
STEPS = {
    "made": "{} is made",
    "batch": "the batch for {} is made",
    "merge": "the batch is merged into {}",
}
MADE = [(table, "made") for table in TABLES]
MERGED = [(table, step) for table in TABLES for step in ("batch", "merge")]
Boundary = tuple[tuple[str, str], bool]  # the table and its step; after it, or before
# Kills here leave most behind: `make test` kills dbt at these alone, one after the other.
QUICK: list[Boundary] = [
    (("base_randomuser__users", "merge"), True),
    (("logins", "merge"), False),
    (("logins", "merge"), True),
]
ONCE = "the same command made every user once in every mart, and its tests passed"


@dataclass
class Dbt:
    """dbt, whose requests pass through a proxy."""

    run: Run
    bigquery: Proxy
    users: list[dict[str, Any]]
    warehouse: Warehouse
    landed: set[str] = field(default_factory=set)
    steps: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> Process:
        return self.run.start(*BUILD, BIGQUERY_EMULATOR_HOST=self.bigquery.url)

    def finish(self) -> None:
        self.steps.clear()
        self.bigquery.before, self.bigquery.after = self._count, lambda *_: None
        process = self.start()
        output, _ = process.communicate()
        assert process.returncode == 0, output

    def _count(self, request: Request) -> None:
        if step := step_of(request):
            self.steps.append(step)

    def kill_at(self, step: tuple[str, str], after: bool) -> None:
        """Run dbt until it comes to a step, and kill it there."""

        def kill() -> NoReturn:
            process.kill()
            raise CutError

        def on_request(request: Request) -> None:
            if not after and step_of(request) == step:
                kill()

        def on_response(request: Request, _: Response) -> None:
            if after and step_of(request) == step:
                kill()

        self.bigquery.before, self.bigquery.after = on_request, on_response
        process = self.start()
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output

    def kill_while_statement_runs(self, step: tuple[str, str]) -> None:
        """Kill dbt at a step whose statement BigQuery runs while the next dbt sends it again."""
        is_killed, both_sent, has_ended = Event(), Event(), Event()

        def on_request(request: Request) -> None:
            if step_of(request) != step:
                return
            if not is_killed.is_set():
                process.kill()
                is_killed.set()
                both_sent.wait(60)
            else:
                both_sent.set()
                has_ended.wait(60)

        def on_response(request: Request, response: Response) -> None:
            if step_of(request) == step and not has_ended.is_set():
                assert response.status == 200
                has_ended.set()

        self.bigquery.before, self.bigquery.after = on_request, on_response
        process = self.start()
        process.communicate()
        again = self.start()
        output, _ = again.communicate()
        assert again.returncode == 0 and has_ended.is_set(), output

    def land(self) -> None:
        """Land a load: half of it new users, the other half known ones that have changed."""
        number = len(self.landed) // 5
        batch = self.users[max(0, number - 1) * 5 : number * 5 + 5]
        self.landed |= {user["login"]["uuid"] for user in batch}
        named = [changed_user(user, name={"first": f"Name{number}"}) for user in batch]
        land(self.run, self.warehouse, Load(f"load {number:03}", datetime.now(UTC), named))

    def check_marts_hold_users_once(self) -> None:
        rows, dataset = self.warehouse.rows, self.run.analytics
        sent = rows(
            "select lower(json_value(payload, '$.login.uuid')) from "
            f"{self.run.raw}.users where loaded_at >= timestamp '1970-01-01'"
        )
        keys = sorted((key,) for key in self.landed)
        assert sorted(set(sent)) == keys
        assert rows(f"select user_id from {dataset}.users order by 1") == keys
        assert rows(f"select login_uuid from {dataset}_restricted.logins order by 1") == keys
        counts = f"select count(*), count(distinct location_id) from {dataset}.locations"
        assert rows(counts) == [(len(keys), len(keys))]
        users = rows(f"select user_id, first_name from {dataset}.users order by 1, 2")
        current = f"from {dataset}.users_history where is_current order by 1, 2"
        assert rows(f"select user_id, first_name {current}") == users
        ledger = rows(f"select load_id from {self.run.raw}.loads order by 1")
        states = rows(f"select load_id, state from {dataset}.loads order by 1")
        assert states == [(load_id, "used") for (load_id,) in ledger]
        assert rows(f"select load_id from {dataset}_snapshots.loads_history order by 1") == ledger

    def count_batches(self, target: str) -> int:
        """Return how many tables of batches for a table are left."""
        datasets = (self.run.analytics + suffix for suffix in ("", "_restricted", "_snapshots"))
        client = self.warehouse.client
        names = [table.table_id for dataset in datasets for table in client.list_tables(dataset)]
        return sum(name.startswith(f"{target}__dbt_tmp") for name in names)


def step_of(request: Request) -> tuple[str, str] | None:
    """Return the table that a request writes, and how; None if it writes none."""
    sql = request.json.get("configuration", {}).get("query", {}).get("query", "")
    write = re.search(
        r"^\s*(create or replace table|merge into|insert|update|delete|truncate) .*?"
        r"`(\w+?)(__dbt_tmp\w*)?`\s",
        sql,
        re.MULTILINE,
    )
    if not write or write[2] not in TABLES:
        return None
    how = "merge" if "merge" in write[1] else "batch" if write[3] else "made"
    return write[2], how


@pytest.fixture
def dbt(run: Run, warehouse: Warehouse, api_url: str) -> Iterator[Dbt]:
    with proxy(warehouse.url) as bigquery:
        dbt = Dbt(run, bigquery, fetch_users(api_url, 250), warehouse)
        make_raw(run, warehouse)
        dbt.land()
        yield dbt


def describe(boundary: Boundary) -> str:
    (table, step), after = boundary
    return f"dbt build, {'after' if after else 'before'} {STEPS[step].format(TABLES[table])}"


@pytest.mark.slow_fault
def test_same_command_finishes_first_build_killed_at_any_write(
    dbt: Dbt, reliability: Reliability
) -> None:
    run = dbt.run
    for step, after in itertools.product(MADE, (False, True)):
        dbt.run = Run(run.environment | {"ANALYTICS_DATASET": f"analytics_{uuid4().hex[:12]}"})
        dbt.kill_at(step, after)
        dbt.finish()
        assert set(dbt.steps) <= {*MADE, *MERGED}
        dbt.check_marts_hold_users_once()
        reliability(PART, describe((step, after)), ONCE, "nothing")


def test_same_command_finishes_build_killed_at_any_write(
    dbt: Dbt, reliability: Reliability, all_faults: bool
) -> None:
    dbt.finish()
    assert sorted(dbt.steps) == sorted(MADE)
    every = [[boundary] for boundary in itertools.product(MERGED, (False, True))]
    for boundaries in every if all_faults else [QUICK]:
        dbt.land()
        for boundary in boundaries:
            (table, _), _ = boundary
            before = dbt.count_batches(table)
            dbt.kill_at(*boundary)
            more = dbt.count_batches(table) > before
            left = "a table of the batch, which expires in twelve hours" if more else "nothing"
            reliability(PART, describe(boundary), ONCE, left)
        dbt.finish()
        # What a killed build has merged is not merged again.
        assert {(table, "batch") for table in TABLES} <= set(dbt.steps) <= set(MERGED)
        dbt.check_marts_hold_users_once()


@pytest.mark.slow_fault
def test_statement_outliving_killed_build_doubles_nothing(
    dbt: Dbt, reliability: Reliability
) -> None:
    dbt.finish()
    for table, kind in TABLES.items():
        dbt.land()
        dbt.kill_while_statement_runs((table, "merge"))
        dbt.check_marts_hold_users_once()
        merge = STEPS["merge"].format(kind)
        case = f"dbt build, while {merge}, which goes on during the next build"
        left = "a table of the batch, which expires in twelve hours"
        reliability(PART, case, ONCE, left)


@pytest.mark.slow_fault
def test_same_command_finishes_build_killed_at_random_moments(
    dbt: Dbt, reliability: Reliability
) -> None:
    dbt.finish()
    dbt.land()
    started_at = monotonic()
    dbt.finish()
    duration = monotonic() - started_at
    for seed in range(MOMENTS):
        dbt.land()
        process = dbt.start()
        if not process.wait(Random(seed).uniform(0, duration)):
            process.kill()
        process.communicate()
        dbt.finish()
        dbt.check_marts_hold_users_once()
    left = "tables of batches, which expire in twelve hours"
    reliability(PART, "dbt build, at random moments", ONCE, left)
