"""Rows that expire: what the vars tell BigQuery, and what the marts keep."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from support.commands import BUILD, Run, make_settings, passes
from support.factories import Load, changed_user, land, make_raw, user
from support.googlesql import GoogleSQL
from support.macros import RefusedError, load_macros
from support.proxy import Request, proxy
from support.sql_recorder import Statement
from support.warehouse import Warehouse

from local.__main__ import environment

KEEP = {"keep_raw_days": 3, "keep_base_days": 45, "keep_failures_days": 7, "time_travel_hours": 48}
VARS = ("--vars", json.dumps(KEEP | {"held_back_loads": "warn"}))
EXPIRE = "delete from {} where load_id = '{}' and loaded_at < current_timestamp()"
OLD, NEW, UNWANTED = "ann@example.com", "new@x.org", "unwanted@x.org"


@pytest.fixture(scope="module")
def run(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A warehouse with loads of which one has expired before it was built."""
    run = Run(environment(warehouse.url) | make_settings(tmp_path_factory.mktemp("retention")))
    make_raw(run, warehouse)
    unwanted = [changed_user(user(number), email=UNWANTED) for number in (2, 4)]
    loads: dict[str, tuple[timedelta, list[Any]]] = {
        "old": (timedelta(days=60), [user(1), user(2)]),
        "never built": (timedelta(days=50), [user(9)]),
        "new": (timedelta(hours=1), [changed_user(user(2), email=NEW), user(3)]),
        "unwanted": (timedelta(minutes=30), unwanted),
        # it has another version of a user who is only in the marts
        "held back": (timedelta(minutes=20), ["text", user(1)]),
    }
    now = datetime.now(UTC)
    land(run, warehouse, *(Load(name, now - age, users) for name, (age, users) in loads.items()))
    warehouse.rows(EXPIRE.format(f"{run.raw}.users", "never built"))
    return run


@pytest.fixture(scope="module")
def sent(run: Run, warehouse: Warehouse) -> Iterator[tuple[Run, list[str]]]:
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
        yield Run(run.environment | {"BIGQUERY_EMULATOR_HOST": served.url}), statements


@pytest.fixture(scope="module")
def created(sent: tuple[Run, list[str]]) -> str:
    """Build the models and a test that stores its rows, and return the statements."""
    run, statements = sent
    select = ("--select", "resource_type:model", "users_are_not_rejected")
    options = ("--indirect-selection", "empty", "--store-failures", *VARS)
    passes(run(*BUILD, *select, *options))
    return "\n".join(statements)


def test_dbt_creates_tables_with_their_retention(created: str) -> None:
    tables = re.findall(r"^create or replace table \S+`(\w+)`(.*?)select", created, re.M | re.S)
    options = {name: re.findall(r"(\w*expiration\w*)=(.+)", text) for name, text in tables}
    assert {name: found for name, found in options.items() if found} == {
        "base_randomuser__users": [("partition_expiration_days", "45")],
        "users_are_not_rejected": [
            ("expiration_timestamp", "timestamp_add(current_timestamp(), interval 7 day)")
        ],
    }


@pytest.mark.usefixtures("created")
def test_operation_sets_retention_of_what_exists(
    sent: tuple[Run, list[str]], warehouse: Warehouse
) -> None:
    run, statements = sent
    statements.clear()
    printed = passes(run("dbt", "run-operation", "apply_retention", *VARS))
    altered = [" ".join(sql.split()) for sql in statements if sql.startswith("alter")]
    restricted = f"{run.analytics}_restricted"
    expected = {
        f"table {run.raw}.users": "partition_expiration_days = 3",
        f"table {restricted}.base_randomuser__users": "partition_expiration_days = 45",
        f"table {restricted}.users_are_not_rejected": (
            "expiration_timestamp = timestamp_add(current_timestamp(), interval 7 day)"
        ),
    }
    for dataset in (run.raw, run.analytics, restricted, f"{run.analytics}_snapshots"):
        expected[f"schema {dataset}"] = "max_time_travel_hours = 48"
    assert sorted(sql.replace("`", "") for sql in altered) == sorted(
        f"alter {name.replace(' ', f' {warehouse.project}.')} set options ({option})"
        for name, option in expected.items()
    )
    google = GoogleSQL({})
    for sql in altered:
        assert sql in printed
        google.check(Statement(sql))


def apply_retention(variables: dict[str, object], run_query: Callable[[str], Any]) -> None:
    """Call the operation; a model and a test that has stored its rows exist."""
    place = {"database": "p", "schema": "d"}
    meta = SimpleNamespace(source="randomuser", records="users")
    plain, loads = SimpleNamespace(meta=SimpleNamespace()), SimpleNamespace(meta=meta)
    base = {"relation_name": "p.d.base", "resource_type": "model", "config": plain}
    nodes = {
        "model.randomuser.base_randomuser__users": SimpleNamespace(**place, **base),
        "model.randomuser.loads": SimpleNamespace(**place, **base | {"config": loads}),
        "test": SimpleNamespace(**place, resource_type="test", alias="failures", config=plain),
    }
    relation = SimpleNamespace(create=lambda *names: ".".join(names))
    context: dict[str, Any] = {
        "graph": SimpleNamespace(nodes=nodes, sources={}),
        "source": lambda *names: ".".join(names),
        "api": SimpleNamespace(Relation=relation),
        "load_relation": bool,
        "print": str,
        "run_query": run_query,
    }
    load_macros(variables=variables, **context).apply_retention()


def test_operation_takes_back_what_is_not_set() -> None:
    statements: list[str] = []
    apply_retention({}, statements.append)
    assert statements == [
        "alter table randomuser.users set options (partition_expiration_days = null)",
        "alter table p.d.base set options (partition_expiration_days = null)",
        "alter schema `p`.`d` set options (max_time_travel_hours = null)",
        "alter table p.d.failures set options (expiration_timestamp = null)",
    ]
    google = GoogleSQL({})
    for sql in statements:
        google.check(Statement(sql))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("keep_raw_days", 2, "is 2: rows would expire that are read since `tested_from`"),
        ("keep_failures_days", "7 days", "must be a number of days from 1 on; it is `7 days`"),
        ("time_travel_hours", 47, "must be 48, 72, 96, 120, 144 or 168; it is `47`"),
    ],
)
def test_operation_refuses_wrong_value_before_it_changes_anything(
    warehouse: Warehouse, name: str, value: object, reason: str
) -> None:
    def run_query(sql: str) -> Any:
        assert "alter" not in sql
        return SimpleNamespace(columns=[[row[0] for row in warehouse.rows(sql)]])

    with pytest.raises(RefusedError, match=f"the var `{name}` {reason}"):
        apply_retention({name: value}, run_query)


@pytest.mark.usefixtures("created")
def test_full_refresh_keeps_what_has_expired(
    sent: tuple[Run, list[str]], warehouse: Warehouse
) -> None:
    run = sent[0]
    emails = f"select email from {run.analytics}.users order by user_id"
    assert warehouse.rows(emails) == [(OLD,), (UNWANTED,), (OLD,), (UNWANTED,)]
    for table in (f"{run.raw}.users", f"{run.analytics}_restricted.base_randomuser__users"):
        warehouse.rows(EXPIRE.format(table, "old"))
    passes(run("ingest", "--set-aside", "unwanted"))
    # what is still in base is merged anew
    warehouse.rows(f"update {run.analytics}.users set email = 'before' where true")
    passes(run(*BUILD, "--full-refresh", *VARS))
    assert warehouse.rows(emails) == [("before",), (NEW,), (OLD,)]
    states = f"select load_id, state, users_accepted from {run.analytics}.loads order by 1"
    assert warehouse.rows(states) == [
        ("held back", "held back", 1),
        ("never built", "expired", None),
        ("new", "used", 2),
        ("old", "used", 2),
        ("unwanted", "set aside", 2),
    ]
