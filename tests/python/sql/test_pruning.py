"""Statements of an incremental run read only recent partitions of raw and base.

Both are partitioned by day on `loaded_at`. BigQuery prunes partitions if a filter compares the
column itself with a constant:
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression
"""

import re
from types import SimpleNamespace

import pytest
from support.cost import MINIMUM_BYTES, Scan, ScanEstimator, column_sizes
from support.macros import RefusedError, load_macros
from support.sql_recorder import Recording, Statement
from support.warehouse import Warehouse

from ingest.tables import define_records

MAXIMUM_HOURS = 31 * 24  # the loader looks for unfinished loads of the last 30 days
PARTITIONED = re.compile(r"\.(raw_of_prod\.users|base_randomuser__users)$")
BASE = "model.randomuser.base_randomuser__users"
READERS = {BASE, "ingest", "publish alert"}
READERS |= {f"model.randomuser.{mart}" for mart in ("users", "logins", "locations")}
RECENT = "loaded_at >= timestamp_sub(current_timestamp(), interval 1 day)"
MONTH = {"users": 200_000, "locations": 200_000, "loads": 50_000, "runs": 50_000}  # rows

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
    hours = {table: scan.hours for table, scan in scans.items() if PARTITIONED.search(table)}
    return [table for table in hours if hours[table] > MAXIMUM_HOURS]


def test_incremental_run_reads_only_recent_partitions(scans: Scans) -> None:
    readers, errors = set(), []
    for statement, tables in scans:
        if statement.phase == "incremental" and any(map(PARTITIONED.search, tables)):
            readers.add(name := statement.node_id or statement.command)
            if unpruned := find_unpruned(tables):
                errors.append(f"{name} reads all of {', '.join(unpruned)}:\n{statement.sql}")
    assert readers >= READERS
    assert not errors, "\n".join(errors)


def test_page_of_report_bills_at_most_140_mb_with_200000_users(
    scans: Scans, warehouse: Warehouse
) -> None:
    read, billed = set(), 0.0
    for statement, tables in scans:
        for name, scan in tables.items():
            if statement.command == "publish report --html" and scan.columns:
                read.add(table := name.rpartition(".")[2])
                sizes = column_sizes(warehouse.client, name)
                size = sum(sizes[column] for column in scan.columns)
                billed += max(MINIMUM_BYTES, MONTH.get(table, 50_000) * size)
    assert read >= set(MONTH)
    # Of these, BigQuery bills 10 MB for each table of a statement, however small it is.
    assert billed <= 140e6, billed


@pytest.mark.usefixtures("scans")
def test_raw_and_base_are_partitioned_by_day(
    recording: Recording, estimator: ScanEstimator
) -> None:
    raw = define_records("p.raw_of_prod.users").to_api_repr()
    assert raw["timePartitioning"] == {"type": "DAY", "field": "loaded_at"}
    assert raw["requirePartitionFilter"] is True
    base = recording.manifest["nodes"][BASE]["relation_name"]
    assert estimator.partitions[base.replace("`", "")] == 24


@pytest.mark.usefixtures("scans")
def test_view_of_base_can_be_pruned(recording: Recording, estimator: ScanEstimator) -> None:
    view = recording.manifest["nodes"]["model.randomuser.stg_randomuser__rejected"]["relation_name"]
    (scan,) = estimator.estimate(f"select loaded_at from {view} where {RECENT}").values()
    assert scan.hours == 24


@pytest.mark.parametrize(
    "sql",
    [
        "select * from `p.raw_of_prod.users` where load_id = 'a'",
        "select * from p.raw_of_prod.users where loaded_at >= timestamp '1970-01-01 00:00:00+00'",
        "select * from p.raw_of_prod.users where date(loaded_at) >= current_date()",
        "select * from p.raw_of_prod.users where loaded_at >= (select max(x) from p.d.t)",
        f"select * from p.raw_of_prod.users where {RECENT} or load_id = 'a'",
        "with a as (select * from p.d.base_randomuser__users) select * from a",
        f"merge into p.d.base_randomuser__users as a using p.d.t as b on b.{RECENT} and a.x = b.x "
        "when matched then update set x = 1",
    ],
)
def test_finds_statement_that_reads_old_partitions(sql: str) -> None:
    names = ("p.raw_of_prod.users", "p.d.base_randomuser__users", "p.d.t")
    tables = {name: ["x", "load_id", "loaded_at"] for name in names}
    assert find_unpruned(ScanEstimator(tables).estimate(sql))


def test_rejects_merge_without_pruning_column() -> None:
    config = {"meta": SimpleNamespace(pruned_by="loaded_at")}
    merge = load_macros(config=config).bigquery__get_merge_sql
    with pytest.raises(RefusedError, match="cannot be pruned: it has no column `loaded_at`"):
        merge("a.b", "a.c", "id", [{"name": "id"}])
