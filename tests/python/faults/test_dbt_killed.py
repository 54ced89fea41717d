"""`dbt build` is killed outright, anywhere; the same command again makes the marts, once."""

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
from support.commands import Process, Run
from support.factories import Load, changed, land, make_raw, people
from support.proxy import Answer, CutError, Proxy, Request, proxy
from support.reliability_page import Reliability
from support.warehouse import Warehouse

PART = "Crash recovery"
MOMENTS = 10
BUILD = ("dbt", "build", "--exclude-resource-type", "unit_test")
TABLES = {
    "base_randomuser__users": "base",
    "users": "a mart",
    "logins": "a mart",
    "locations": "a mart",
    "users_history": "the history",
}
STEPS = {
    "made": "{} is made",
    "batch": "the batch for {} is made",
    "merge": "the batch is merged into {}",
}
MADE = [(table, "made") for table in TABLES]
MERGED = [(table, step) for table in TABLES for step in ("batch", "merge")]
Boundary = tuple[tuple[str, str], bool]  # the table and its step; after it, or before
# Where a kill leaves most behind: `make test` kills at these alone, one after the other.
QUICK: list[Boundary] = [
    (("base_randomuser__users", "merge"), True),
    (("logins", "merge"), False),
    (("logins", "merge"), True),
]
ONCE = "the same command made every user once in every mart, and its tests passed"


@dataclass
class Dbt:
    """dbt, with a proxy before its BigQuery."""

    run: Run
    bigquery: Proxy
    users: list[dict[str, Any]]
    warehouse: Warehouse
    landed: set[str] = field(default_factory=set)
    steps: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> Process:
        return self.run.start(*BUILD, BIGQUERY_EMULATOR_HOST=self.bigquery.url)

    def ends_well(self) -> None:
        self.steps.clear()
        self.bigquery.before, self.bigquery.after = self._come, lambda *_: None
        process = self.start()
        output, _ = process.communicate()
        assert process.returncode == 0, output

    def _come(self, request: Request) -> None:
        if step := step_of(request):
            self.steps.append(step)

    def killed(self, step: tuple[str, str], after: bool) -> None:
        """Run dbt until it comes to a step, and kill it there."""

        def kill() -> NoReturn:
            process.kill()
            raise CutError

        def come(request: Request) -> None:
            if not after and step_of(request) == step:
                kill()

        def done(request: Request, _: Answer) -> None:
            if after and step_of(request) == step:
                kill()

        self.bigquery.before, self.bigquery.after = come, done
        process = self.start()
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output

    def killed_but_not_its_statement(self, step: tuple[str, str]) -> None:
        """Kill dbt at a step, which BigQuery takes when the next dbt comes to it as well."""
        killed, both_came, ended = Event(), Event(), Event()

        def come(request: Request) -> None:
            if step_of(request) != step:
                return
            if not killed.is_set():
                process.kill()
                killed.set()
                both_came.wait(60)
            else:
                both_came.set()
                ended.wait(60)

        def done(request: Request, answer: Answer) -> None:
            if step_of(request) == step and not ended.is_set():
                assert answer.status == 200
                ended.set()

        self.bigquery.before, self.bigquery.after = come, done
        process = self.start()
        process.communicate()
        again = self.start()
        output, _ = again.communicate()
        assert again.returncode == 0 and ended.is_set(), output

    def land(self) -> None:
        """Land a load: half of it new users, the other half known ones that have changed."""
        number = len(self.landed) // 5
        batch = self.users[max(0, number - 1) * 5 : number * 5 + 5]
        self.landed |= {user["login"]["uuid"] for user in batch}
        named = [changed(user, name={"first": f"Name{number}"}) for user in batch]
        land(self.run, self.warehouse, Load(f"load {number:03}", datetime.now(UTC), named))

    def all_is_there_once(self) -> None:
        rows, here = self.warehouse.rows, self.run.analytics
        sent = rows(
            "select lower(json_value(payload, '$.login.uuid')) from "
            f"{self.run.raw}.users where loaded_at >= timestamp '1970-01-01'"
        )
        keys = sorted((key,) for key in self.landed)
        assert sorted(set(sent)) == keys
        assert rows(f"select user_id from {here}.users order by 1") == keys
        assert rows(f"select login_uuid from {here}_restricted.logins order by 1") == keys
        living = f"select count(*), count(distinct location_id) from {here}.locations"
        assert rows(living) == [(len(keys), len(keys))]
        history = f"{here}_snapshots.users_history"
        current = f"from {history} where dbt_valid_to is null order by 1, 2"
        people = rows(f"select user_id, first_name from {here}.users order by 1, 2")
        assert rows(f"select user_id, first_name {current}") == people
        assert rows(f"select count(*) - count(distinct dbt_scd_id) from {history}") == [(0,)]

    def tables_beside(self, table: str) -> int:
        sets = (self.run.analytics + of for of in ("", "_restricted", "_snapshots"))
        client = self.warehouse.client
        names = [it.table_id for of in sets for it in client.list_tables(of)]
        return sum(name.startswith(f"{table}__dbt_tmp") for name in names)


def step_of(request: Request) -> tuple[str, str] | None:
    """Return which table a request writes, and how; None for one that writes no table."""
    sql = request.json.get("configuration", {}).get("query", {}).get("query", "")
    wrote = re.search(
        r"^\s*(create or replace table|merge into|insert|update|delete|truncate) .*?"
        r"`(\w+?)(__dbt_tmp\w*)?`\s",
        sql,
        re.MULTILINE,
    )
    if not wrote or wrote[2] not in TABLES:
        return None
    how = "merge" if "merge" in wrote[1] else "batch" if wrote[3] else "made"
    return wrote[2], how


@pytest.fixture
def dbt(run: Run, warehouse: Warehouse, api_url: str) -> Iterator[Dbt]:
    with proxy(warehouse.url) as bigquery:
        made = Dbt(run, bigquery, people(api_url, 250), warehouse)
        make_raw(run, warehouse)
        made.land()
        yield made


def words(boundary: Boundary) -> str:
    (table, step), after = boundary
    return f"dbt build, {'after' if after else 'before'} {STEPS[step].format(TABLES[table])}"


@pytest.mark.slow_fault
def test_a_first_build_that_is_killed_at_any_write_is_finished_by_the_same_command(
    dbt: Dbt, reliability: Reliability
) -> None:
    run = dbt.run
    for step, after in itertools.product(MADE, (False, True)):
        dbt.run = Run(run.environment | {"ANALYTICS_DATASET": f"analytics_{uuid4().hex[:12]}"})
        dbt.killed(step, after)
        dbt.ends_well()
        assert set(dbt.steps) <= {*MADE, *MERGED}
        dbt.all_is_there_once()
        reliability(PART, words((step, after)), ONCE, "nothing")


def test_a_build_that_is_killed_at_any_write_is_finished_by_the_same_command(
    dbt: Dbt, reliability: Reliability, all_faults: bool
) -> None:
    dbt.ends_well()
    assert sorted(dbt.steps) == sorted(MADE)
    every = [[boundary] for boundary in itertools.product(MERGED, (False, True))]
    for boundaries in every if all_faults else [QUICK]:
        dbt.land()
        for boundary in boundaries:
            (table, _), _ = boundary
            before = dbt.tables_beside(table)
            dbt.killed(*boundary)
            more = dbt.tables_beside(table) > before
            left = "a table of the batch, which expires in twelve hours" if more else "nothing"
            reliability(PART, words(boundary), ONCE, left)
        dbt.ends_well()
        # What a killed build has merged is not merged again.
        assert {(table, "batch") for table in TABLES} <= set(dbt.steps) <= set(MERGED)
        dbt.all_is_there_once()


@pytest.mark.slow_fault
def test_a_statement_that_outlives_its_killed_build_doubles_nothing(
    dbt: Dbt, reliability: Reliability
) -> None:
    dbt.ends_well()
    for table, kind in TABLES.items():
        dbt.land()
        dbt.killed_but_not_its_statement((table, "merge"))
        dbt.all_is_there_once()
        merge = STEPS["merge"].format(kind)
        case = f"dbt build, while {merge}, which goes on during the next build"
        left = "a table of the batch, which expires in twelve hours"
        reliability(PART, case, ONCE, left)


@pytest.mark.slow_fault
def test_a_build_that_is_killed_at_random_moments_is_finished_by_the_same_command(
    dbt: Dbt, reliability: Reliability
) -> None:
    dbt.ends_well()
    dbt.land()
    began = monotonic()
    dbt.ends_well()
    duration = monotonic() - began
    for seed in range(MOMENTS):
        dbt.land()
        process = dbt.start()
        if not process.wait(Random(seed).uniform(0, duration)):
            process.kill()
        process.communicate()
        dbt.ends_well()
        dbt.all_is_there_once()
    left = "tables of batches, which expire in twelve hours"
    reliability(PART, "dbt build, at random moments", ONCE, left)
