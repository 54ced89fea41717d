"""No statement of an incremental run reads more of raw or of base than it must.

Both are partitioned by day on `loaded_at`. BigQuery reads the days alone that a constant says,
and it sees one where the column is compared with it as it is:
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlglot
from conftest import Run
from sqlglot import exp
from statements import Recording, Statement

from ingest.tables import users

LONGEST = timedelta(days=31)  # the loader looks for unfinished loads of the last 30 days
TABLES = {"raw_of_prod.users", "base_randomuser__users"}
BASE = {"model.randomuser.base_randomuser__users"}


def guarded(recording: Recording) -> set[str]:
    """Name raw, base and the views of base: who filters such a view filters base."""
    nodes = recording.manifest["nodes"].values()
    return TABLES | {it["name"] for it in nodes if it["config"].get("materialized") == "view"}


def unpruned(statement: Statement, tables: set[str], now: datetime) -> list[str]:
    """Name the tables that a statement reads without a recent constant on `loaded_at`."""
    tree = sqlglot.parse_one(statement.sql, read="bigquery")
    if isinstance(tree, exp.Create) and tree.kind == "VIEW":
        return []  # reads nothing
    parameters = {it.name: it.value for it in statement.parameters}
    found = []
    for table in tree.find_all(exp.Table):
        name = table.name.split(".")[-1]
        written = f"{table.db}.{name}" if table.db else ".".join(table.name.split(".")[-2:])
        if not {name, written} & tables or isinstance(table.parent, exp.Insert | exp.Schema):
            continue
        condition = _condition(table)
        bounds = [_bound(it, table.alias_or_name, parameters, now) for it in condition]
        if not any(bound and now - bound < LONGEST for bound in bounds):
            found.append(written)
    return found


def _condition(table: exp.Table) -> list[exp.Expr]:
    """Give what must hold of every row that is read of a table: the parts of an `and`."""
    around = table.find_ancestor(exp.Select, exp.Merge)
    if isinstance(around, exp.Merge):
        condition = around.args["on"]
    else:
        condition = around.args.get("where") if around else None
    if condition is None:
        return []
    inner = condition.this if isinstance(condition, exp.Where) else condition
    parts = inner.flatten() if isinstance(inner, exp.And) else [inner]
    return [part.unnest() for part in parts]


def _bound(
    part: exp.Expr, alias: str, parameters: dict[str | None, Any], now: datetime
) -> datetime | None:
    """Give the constant that `loaded_at` must be greater than, if that is what a part says."""
    column = part.this
    if not (isinstance(part, exp.GTE | exp.GT) and isinstance(column, exp.Column)):
        return None
    if column.name != "loaded_at" or column.table not in ("", alias):
        return None
    constant = part.expression
    if isinstance(constant, exp.Parameter):
        return datetime.fromisoformat(str(parameters[constant.name]))
    if isinstance(constant, exp.Cast) and isinstance(constant.this, exp.Literal):
        return datetime.fromisoformat(constant.this.name)
    if isinstance(constant, exp.TimestampSub) and isinstance(constant.this, exp.CurrentTimestamp):
        unit = f"{constant.args['unit'].name.lower()}s"
        return now - timedelta(**{unit: int(constant.args["expression"].name)})
    return None


def test_every_statement_of_an_incremental_run_reads_recent_partitions_of_raw_and_base_alone(
    recording: Recording,
) -> None:
    now, tables = datetime.now(UTC), guarded(recording)
    sent = [it for it in recording.statements if it.phase == "incremental"]
    reading = [it for it in sent if any(name.split(".")[-1] in it.sql for name in tables)]
    assert len(reading) > 15
    faults = {
        f"{it.file} ({it.node_id}) reads all of {', '.join(names)}:\n{it.sql}"
        for it in sent
        if (names := unpruned(it, tables, now))
    }
    assert not faults, "\n".join(faults)


def test_raw_demands_a_filter_and_raw_and_base_are_partitioned_by_day(recording: Recording) -> None:
    raw = users("p.raw_of_prod.users").to_api_repr()
    assert raw["timePartitioning"] == {"type": "DAY", "field": "loaded_at"}
    assert raw["requirePartitionFilter"] is True
    model = [it.sql for it in recording.statements if it.node_id in BASE]
    base = [sql for sql in model if re.search(r"create or replace table .*__users`\n", sql)]
    assert base and all("partition by timestamp_trunc(loaded_at, day)" in sql for sql in base)


def test_a_view_of_base_hands_on_the_column_that_base_is_partitioned_by(
    recording: Recording,
) -> None:
    views = [
        it
        for it in recording.statements
        if "create or replace view" in it.sql and it.phase == "first"
    ]
    assert len(views) == 4
    for view in views:
        tree = sqlglot.parse_one(view.sql, read="bigquery")
        (renamed,) = [it for it in tree.find_all(exp.CTE) if it.alias == "renamed"]
        columns = [it for it in renamed.this.selects if it.alias_or_name == "loaded_at"]
        assert [type(it) for it in columns] == [exp.Column]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from p.raw_of_prod.users",
        "select * from `p.raw_of_prod.users` where load_id = 'a'",
        "select * from p.raw_of_prod.users where loaded_at >= timestamp '1970-01-01 00:00:00+00'",
        "select * from p.raw_of_prod.users where date(loaded_at) >= current_date()",
        "select * from p.raw_of_prod.users where loaded_at >= (select max(x) from p.d.t)",
        "select * from p.raw_of_prod.users "
        "where loaded_at >= timestamp_sub(current_timestamp(), interval 1 day) or load_id = 'a'",
        "with a as (select * from p.d.base_randomuser__users) select * from a",
        "merge into p.d.base_randomuser__users as a using p.d.t as b on a.x = b.x "
        "when matched then update set x = 1",
        "merge into p.d.base_randomuser__users as a using p.d.t as b "
        "on b.loaded_at >= timestamp_sub(current_timestamp(), interval 1 day) and a.x = b.x "
        "when matched then update set x = 1",
    ],
)
def test_a_statement_without_a_recent_constant_on_the_partition_column_is_found(sql: str) -> None:
    assert unpruned(Statement(sql), TABLES, datetime.now(UTC))


def test_a_merge_into_a_table_without_the_column_it_is_pruned_by_is_refused(run: Run) -> None:
    merge = "{target: a.b, source: a.c, unique_key: id, dest_columns: [{name: id}]}"
    done = run("dbt", "run-operation", "bigquery__get_merge_sql", "--args", merge)
    assert done.returncode != 0
    assert "a.b has no column `loaded_at`, by which every merge is pruned: add it" in done.stdout
