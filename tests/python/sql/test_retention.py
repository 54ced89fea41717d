"""Rows that expire: what the vars tell BigQuery, and what the marts keep."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run, passes
from support.factories import Load, changed_user, land, make_raw, user
from support.googlesql import GoogleSQL
from support.proxy import Request, proxy
from support.sql_recorder import Statement
from support.warehouse import Warehouse

KEEP = {"keep_raw_days": 3, "keep_base_days": 45, "keep_failures_days": 7, "time_travel_hours": 48}
UNSET: dict[str, int] = {}
NOW = datetime.now(UTC)


@pytest.fixture
def landed(run: Run, warehouse: Warehouse) -> Run:
    """Two loads: the newer has another version of one of the users."""
    make_raw(run, warehouse)
    old = Load("old", NOW - timedelta(days=60), [user(1), user(2)])
    new = Load("new", NOW - timedelta(hours=1), [changed_user(user(2), email="new@x.org"), user(3)])
    land(run, warehouse, old, new)
    return run


@pytest.fixture
def sent(landed: Run, warehouse: Warehouse) -> Iterator[tuple[Run, list[str]]]:
    """A way to run commands, and the statements that they send."""
    statements: list[str] = []

    def record(request: Request) -> None:
        """Record the statement; the embedded BigQuery cannot alter these options."""
        if request.sql:
            statements.append(re.sub(r"^/\*.*?\*/\s*", "", request.sql))
            if statements[-1].startswith("alter"):
                request.replace_sql("select 1")

    with proxy(warehouse.url) as served:
        served.before = record
        yield Run(landed.environment | {"BIGQUERY_EMULATOR_HOST": served.url}), statements


def test_dbt_creates_tables_with_their_retention(sent: tuple[Run, list[str]]) -> None:
    run, statements = sent
    nodes = ("base_randomuser__users", "loads", "users_are_not_rejected")
    options = ("--indirect-selection", "empty", "--store-failures", "--vars", json.dumps(KEEP))
    passes(run(*BUILD, "--select", *nodes, *options))
    created = {
        name: re.findall(r"(\w*expiration\w*)=(.+)", sql.partition("select")[0])
        for sql in statements
        if (name := "".join(re.findall(r"^create or replace table \S+`(\w+)`", sql)))
    }
    assert created == {
        "base_randomuser__users": [("partition_expiration_days", "45")],
        "loads": [],
        "users_are_not_rejected": [
            ("expiration_timestamp", "timestamp_add(current_timestamp(), interval 7 day)")
        ],
    }


@pytest.mark.parametrize("keep", [KEEP, UNSET], ids=["set", "unset"])
def test_operation_sets_retention_of_what_exists(
    sent: tuple[Run, list[str]], warehouse: Warehouse, keep: dict[str, int]
) -> None:
    run, statements = sent
    restricted = f"{run.analytics}_restricted"
    for dataset in (run.analytics, restricted, f"{run.analytics}_snapshots"):
        warehouse.client.create_dataset(dataset)
    failures = "users_are_not_rejected"
    for table in ("base_randomuser__users", failures):
        warehouse.rows(f"create table {restricted}.{table} as select 1 as users")
    statements.clear()
    printed = passes(run("dbt", "run-operation", "apply_retention", "--vars", json.dumps(keep)))
    altered = [" ".join(sql.split()) for sql in statements if sql.startswith("alter")]
    days = {name: keep.get(name, "null") for name in KEEP}
    end = "timestamp_add(current_timestamp(), interval 7 day)" if keep else "null"
    options = {
        f"table {run.raw}.users": f"partition_expiration_days = {days['keep_raw_days']}",
        f"table {restricted}.base_randomuser__users": (
            f"partition_expiration_days = {days['keep_base_days']}"
        ),
        f"table {restricted}.{failures}": f"expiration_timestamp = {end}",
    }
    for dataset in (run.raw, run.analytics, restricted, f"{run.analytics}_snapshots"):
        options[f"schema {dataset}"] = f"max_time_travel_hours = {days['time_travel_hours']}"
    assert sorted(sql.replace("`", "") for sql in altered) == sorted(
        f"alter {name.replace(' ', f' {warehouse.project}.')} set options ({option})"
        for name, option in options.items()
    )
    for sql in altered:
        assert sql in printed
        GoogleSQL({}).check(Statement(sql))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("keep_raw_days", 2, "is 2: rows would expire that are read since `tested_from`"),
        ("keep_failures_days", "7 days", "must be a number of days from 1 on; it is `7 days`"),
        ("time_travel_hours", 47, "must be 48, 72, 96, 120, 144 or 168; it is `47`"),
    ],
)
def test_operation_refuses_wrong_value(
    sent: tuple[Run, list[str]], name: str, value: object, reason: str
) -> None:
    run, statements = sent
    done = run("dbt", "run-operation", "apply_retention", "--vars", json.dumps({name: value}))
    assert done.returncode != 0
    assert f"the var `{name}` {reason}" in done.stdout
    assert not [sql for sql in statements if sql.startswith("alter")]


def test_full_refresh_keeps_what_has_expired(landed: Run, warehouse: Warehouse) -> None:
    keep = ("--vars", json.dumps(KEEP | {"held_back_loads": "warn"}))
    base = f"{landed.analytics}_restricted.base_randomuser__users"
    expire = "delete from {} where load_id = '{}' and loaded_at < current_timestamp()"
    unwanted = [changed_user(user(number), email="unwanted@x.org") for number in (2, 4)]
    land(
        landed,
        warehouse,
        Load("never built", NOW - timedelta(days=50), [user(9)]),
        Load("unwanted", NOW - timedelta(minutes=30), unwanted),
        # it has another version of a user who is only in the marts
        Load("held back", NOW - timedelta(minutes=20), ["text", user(1)]),
    )
    warehouse.rows(expire.format(f"{landed.raw}.users", "never built"))
    emails = f"select email from {landed.analytics}.users order by user_id"
    first, third = ("ann@example.com",), ("ann@example.com",)
    passes(landed(*BUILD_WITHOUT_TESTS, *keep))
    assert warehouse.rows(emails) == [first, ("unwanted@x.org",), third, ("unwanted@x.org",)]

    for table in (f"{landed.raw}.users", base):
        warehouse.rows(expire.format(table, "old"))
    passes(landed("ingest", "--set-aside", "unwanted"))
    # what is still in base is merged anew
    warehouse.rows(f"update {landed.analytics}.users set email = 'before' where true")
    passes(landed(*BUILD, "--full-refresh", *keep))
    assert warehouse.rows(emails) == [("before",), ("new@x.org",), third]
    states = f"select load_id, state, users_accepted from {landed.analytics}.loads order by 1"
    assert warehouse.rows(states) == [
        ("held back", "held back", 1),
        ("never built", "expired", None),
        ("new", "used", 2),
        ("old", "used", 2),
        ("unwanted", "set aside", 2),
    ]
