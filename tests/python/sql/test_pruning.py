"""Statements of an incremental run read only recent partitions of raw and base.

Both are partitioned by day on `loaded_at`. BigQuery prunes partitions if a filter compares the
column itself with a constant:
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression
"""

import re

import pytest
from cost import MINIMUM_BYTES, Scan, ScanEstimator, column_sizes
from support.commands import Run
from support.sql_recorder import Recording, Statement
from support.warehouse import Warehouse

from ingest.tables import define_users

MAXIMUM_HOURS = 31 * 24  # the loader looks for unfinished loads of the last 30 days
PARTITIONED = re.compile(r"\.(raw_of_prod\.users|base_randomuser__users)$")
BASE = "model.randomuser.base_randomuser__users"
READERS = {BASE, "ingest", "publish alert"}
READERS |= {f"model.randomuser.{mart}" for mart in ("users", "logins", "locations")}
RECENT = "loaded_at >= timestamp_sub(current_timestamp(), interval 1 day)"
TABLES = {
    "p.raw_of_prod.users": ["load_id", "loaded_at"],
    "p.d.base_randomuser__users": ["x", "loaded_at"],
    "p.d.t": ["x", "loaded_at"],
}

Scans = list[tuple[Statement, dict[str, Scan]]]


@pytest.fixture(scope="module")
def estimator(recording: Recording) -> ScanEstimator:
    return ScanEstimator(recording.tables)


@pytest.fixture(scope="module")
def scans(recording: Recording, estimator: ScanEstimator) -> Scans:
    """Estimate the scans of each statement that is not of a unit test."""
    return [
        (statement, estimator.estimate(statement.sql, statement.parameters))
        for statement in recording.statements
        if "unit_test." not in (statement.node_id or "")
    ]


def find_unpruned(scans: dict[str, Scan]) -> list[str]:
    """Return the tables that are read without a recent constant on `loaded_at`."""
    return [
        table
        for table, scan in scans.items()
        if PARTITIONED.search(table) and scan.hours > MAXIMUM_HOURS
    ]


def test_incremental_run_reads_only_recent_partitions(scans: Scans) -> None:
    sent = [(statement, tables) for statement, tables in scans if statement.phase == "incremental"]
    assert {
        statement.node_id or statement.file
        for statement, tables in sent
        if any(map(PARTITIONED.search, tables))
    } >= READERS
    errors = {
        f"{statement.file} ({statement.node_id}) reads all of {', '.join(names)}:\n{statement.sql}"
        for statement, tables in sent
        if (names := find_unpruned(tables))
    }
    assert not errors, "\n".join(errors)


def test_page_of_report_bills_at_most_140_mb_with_200000_users(
    scans: Scans, warehouse: Warehouse
) -> None:
    tables = [
        (name, scan.columns)
        for statement, tables in scans
        if statement.file == "publish report --html"
        for name, scan in tables.items()
        if scan.columns
    ]
    assert {name.rpartition(".")[2] for name, _ in tables} >= {
        "users",
        "locations",
        "loads",
        "runs",
    }
    billed = 0.0
    for name, columns in tables:
        rows = (
            200_000 if name.endswith(("users", "locations")) else 50_000
        )  # a month of hourly runs
        sizes = column_sizes(warehouse.client, name)
        billed += max(MINIMUM_BYTES, rows * sum(sizes[column] for column in columns))
    # Of these, BigQuery bills 10 MB for each table of a statement, however small it is.
    assert billed <= 140e6, billed


@pytest.mark.usefixtures("scans")
def test_raw_and_base_are_partitioned_by_day(
    recording: Recording, estimator: ScanEstimator
) -> None:
    raw = define_users("p.raw_of_prod.users").to_api_repr()
    assert raw["timePartitioning"] == {"type": "DAY", "field": "loaded_at"}
    assert raw["requirePartitionFilter"] is True
    base = recording.manifest["nodes"][BASE]["relation_name"]
    assert estimator.partitions[base.replace("`", "")] == 24


@pytest.mark.usefixtures("scans")
def test_views_of_base_can_be_pruned(recording: Recording, estimator: ScanEstimator) -> None:
    views = [
        node["relation_name"]
        for node in recording.manifest["nodes"].values()
        if BASE in node["depends_on"].get("nodes", []) and node["config"]["materialized"] == "view"
    ]
    assert views
    for view in views:
        tables = estimator.estimate(f"select loaded_at from {view} where {RECENT}")
        assert [scan.hours for scan in tables.values()] == [24]


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
def test_finds_statement_that_reads_old_partitions(sql: str) -> None:
    assert find_unpruned(ScanEstimator(TABLES).estimate(sql))


def test_rejects_merge_without_pruning_column(run: Run) -> None:
    merge = "bigquery__get_merge_sql(this, 'a.c', 'id', [{'name': 'id'}])"
    model = "{{ config(meta={'pruned_by': 'loaded_at'}) }}{{ " + merge + " }}"
    done = run("dbt", "compile", "--inline", model)
    assert done.returncode != 0
    assert "cannot be pruned: it has no column `loaded_at`" in done.stdout
