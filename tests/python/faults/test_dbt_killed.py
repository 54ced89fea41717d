"""`dbt build` is killed at every write; the same command again makes the marts, once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import Event
from time import monotonic
from uuid import uuid4

import pytest
from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run
from support.factories import Load, User, changed_user, fetch_users, land, make_raw
from support.fault_proxy import ProxiedCommand, proxied
from support.load_checks import finish
from support.proxy import Request, Response
from support.warehouse import Warehouse

TABLES = ("base_randomuser__users", "users", "logins", "locations", "loads", "loads_history")
MADE, BATCH, MERGED = "is made", "the batch for it is made", "the batch is merged into it"
EACH_LOAD = {(table, step) for table in TABLES for step in (BATCH, MERGED)}
WRITE = re.compile(
    r"^\s*(create or replace table|merge into|insert|update|delete|truncate) .*?"
    r"`(\w+?)(__dbt_tmp\w*)?`\s",
    re.MULTILINE,
)
Boundary = tuple[str, str, bool]  # a table and how it is written; after it, or before
# This kill leaves most behind: base and other marts may have the load. `make test` has it alone.
QUICK: list[Boundary] = [("logins", MERGED, False)]
NO_TESTS = BUILD_WITHOUT_TESTS[len(BUILD) :]


def boundaries(table: str, *steps: str) -> list[Boundary]:
    return [(table, step, after) for step in steps for after in (False, True)]


def write_of(request: Request) -> tuple[str, str] | None:
    """Return the table that a request writes, and how; None if it writes none."""
    write = WRITE.search(request.sql)
    if not write:
        return None
    return write[2], MERGED if "merge" in write[1] else BATCH if write[3] else MADE


@dataclass
class Pipeline:
    """`dbt build`, and the users that have landed for it."""

    build: ProxiedCommand
    warehouse: Warehouse
    users: list[User]
    names: dict[str, str] = field(default_factory=dict)
    """Of each landed user, by id, the first name that was sent last."""

    def land(self) -> None:
        """Land a load: half of it new users, the other half known ones that have changed."""
        number = len(self.names) // 5
        batch = self.users[max(0, number - 1) * 5 : number * 5 + 5]
        self.names |= {user["login"]["uuid"]: f"Name{number}" for user in batch}
        sent = [changed_user(user, name={"first": f"Name{number}"}) for user in batch]
        load = Load(f"load {number:03}", datetime.now(UTC), sent)
        land(self.build.run, self.warehouse, load)

    def finish(self, *flags: str) -> set[tuple[str, str]]:
        """Run dbt to its end, check the tables, and return what it wrote."""
        self.build.proxy.requests.clear()
        self.build.finish(*flags)
        self.check_tables()
        return {write for write in map(write_of, self.build.proxy.requests) if write}

    def check_tables(self) -> None:
        """Check users and history; dbt's tests hold the other marts to these."""
        rows, dataset = self.warehouse.rows, self.build.run.analytics
        users = sorted(self.names.items())
        assert rows(f"select user_id, first_name from {dataset}.users order by 1") == users
        history = f"from {dataset}.users_history where is_current order by 1"
        assert rows(f"select user_id, first_name {history}") == users
        loads = [(f"load {number:03}", "used") for number in range(len(users) // 5)]
        assert rows(f"select load_id, state from {dataset}.loads order by 1") == loads
        snapshot = f"{dataset}_snapshots.loads_history"
        changes = rows(f"select load_id, 'used' from {snapshot} order by 1")
        assert changes == loads

    def kill_at(self, table: str, step: str, after: bool) -> None:
        assert self.build.kill_at((table, step), *NO_TESTS, after=after)

    def kill_while_statement_runs(self, table: str) -> None:
        """Kill dbt while BigQuery runs a merge, which the next dbt sends again meanwhile."""
        step, is_sent_again, has_ended = (table, MERGED), Event(), Event()

        def hold(_: Request) -> None:
            if len(sent) == 1:
                process.kill()
                is_sent_again.wait(60)
            else:
                is_sent_again.set()
                has_ended.wait(60)

        def note_end(request: Request, response: Response) -> None:
            if write_of(request) == step and response.status == 200:
                has_ended.set()

        sent = self.build.act_at(step, hold, times=(1, 2))
        self.build.proxy.after = note_end
        process = self.build.start()
        process.communicate()
        finish(self.build.start())
        assert len(sent) == 2 and has_ended.is_set()


@pytest.fixture
def pipeline(run: Run, warehouse: Warehouse, api_url: str) -> Iterator[Pipeline]:
    with proxied(run, *BUILD, step_of=write_of) as build:
        make_raw(run, warehouse)
        pipeline = Pipeline(build, warehouse, fetch_users(api_url, 100))
        pipeline.land()
        yield pipeline


@pytest.mark.slow_fault
def test_same_command_finishes_first_build_killed_at_any_write(pipeline: Pipeline) -> None:
    for table in TABLES:
        pipeline.build.run.environment["ANALYTICS_DATASET"] = f"analytics_{uuid4().hex[:12]}"
        for boundary in boundaries(table, MADE):
            pipeline.kill_at(*boundary)
        pipeline.finish()


def test_same_command_finishes_build_killed_at_any_write(
    pipeline: Pipeline, all_faults: bool
) -> None:
    assert pipeline.finish(*NO_TESTS) == {(table, MADE) for table in TABLES}
    every = [boundaries(table, BATCH, MERGED) for table in TABLES]
    for kills in every if all_faults else [QUICK]:
        pipeline.land()
        for kill in kills:
            pipeline.kill_at(*kill)
        written = pipeline.finish()
        # What a killed build has merged is not merged again, but the states of loads. Base comes
        # before all but the snapshot, which reads the ledger.
        merged = {table for table, step, after in kills if step == MERGED and after}
        merged |= {TABLES[0]} if kills[0][0] != "loads_history" else set()
        again = {table for table in merged if (table, MERGED) in written}
        assert again <= {"loads", "loads_history"}
        assert {(table, BATCH) for table in TABLES} <= written <= EACH_LOAD


@pytest.mark.slow_fault
def test_statement_outliving_killed_build_doubles_nothing(pipeline: Pipeline) -> None:
    pipeline.finish()
    for table in TABLES:
        pipeline.land()
        pipeline.kill_while_statement_runs(table)
        pipeline.check_tables()


@pytest.mark.slow_fault
def test_same_command_finishes_build_killed_at_random_moments(pipeline: Pipeline) -> None:
    pipeline.finish()
    pipeline.land()
    started_at = monotonic()
    pipeline.finish()
    duration = monotonic() - started_at
    for seed in range(10):
        pipeline.land()
        process = pipeline.build.start()
        if not process.wait(Random(seed).uniform(0, duration)):
            process.kill()
        process.communicate()
        pipeline.finish()
