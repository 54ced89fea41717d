"""No statement of an incremental run reads more of raw or of base than it must.

Both are partitioned by day on `loaded_at`. BigQuery reads the days alone that a constant says,
and it sees one where the column is compared with it as it is:
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression
"""

import re

import pytest
from cost import Read, Reader
from support.commands import Run
from support.sql_recorder import Recording, Statement

from ingest.tables import define_users

LONGEST = 31 * 24  # hours: the loader looks for unfinished loads of the last 30 days
GUARDED = re.compile(r"\.(raw_of_prod\.users|base_randomuser__users)$")
BASE = "model.randomuser.base_randomuser__users"
READING = {BASE, "ingest", "publish alert", "publish report"}
READING |= {f"model.randomuser.{mart}" for mart in ("users", "logins", "locations")}
RECENT = "loaded_at >= timestamp_sub(current_timestamp(), interval 1 day)"
TABLES = {
    "p.raw_of_prod.users": ["load_id", "loaded_at"],
    "p.d.base_randomuser__users": ["x", "loaded_at"],
    "p.d.t": ["x", "loaded_at"],
}

Reads = list[tuple[Statement, dict[str, Read]]]


@pytest.fixture(scope="module")
def reader(recording: Recording) -> Reader:
    return Reader(recording.tables)


@pytest.fixture(scope="module")
def reads(recording: Recording, reader: Reader) -> Reads:
    """What each statement reads that is not of a unit test."""
    project = [it for it in recording.statements if "unit_test." not in (it.node_id or "")]
    return [(it, reader.read(it.sql, it.parameters)) for it in project]


def unpruned(reads: dict[str, Read]) -> list[str]:
    """Name the tables that are read without a recent constant on `loaded_at`."""
    return [it for it, read in reads.items() if GUARDED.search(it) and read.hours > LONGEST]


def test_every_statement_of_an_incremental_run_reads_recent_partitions_of_raw_and_base_alone(
    reads: Reads,
) -> None:
    sent = [(it, found) for it, found in reads if it.phase == "incremental"]
    assert {
        it.node_id or it.file for it, found in sent if any(map(GUARDED.search, found))
    } >= READING
    faults = {
        f"{it.file} ({it.node_id}) reads all of {', '.join(names)}:\n{it.sql}"
        for it, found in sent
        if (names := unpruned(found))
    }
    assert not faults, "\n".join(faults)


@pytest.mark.usefixtures("reads")
def test_raw_demands_a_filter_and_raw_and_base_are_partitioned_by_day(
    recording: Recording, reader: Reader
) -> None:
    raw = define_users("p.raw_of_prod.users").to_api_repr()
    assert raw["timePartitioning"] == {"type": "DAY", "field": "loaded_at"}
    assert raw["requirePartitionFilter"] is True
    base = recording.manifest["nodes"][BASE]["relation_name"]
    assert reader.partitions[base.replace("`", "")] == 24


@pytest.mark.usefixtures("reads")
def test_a_view_of_base_hands_on_the_column_that_base_is_partitioned_by(
    recording: Recording, reader: Reader
) -> None:
    nodes = [
        it
        for it in recording.manifest["nodes"].values()
        if BASE in it["depends_on"].get("nodes", [])
    ]
    views = [it["relation_name"] for it in nodes if it["config"]["materialized"] == "view"]
    assert len(views) == 4
    for view in views:
        found = reader.read(f"select loaded_at from {view} where {RECENT}")
        assert [read.hours for read in found.values()] == [24]


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
    assert unpruned(Reader(TABLES).read(sql))


@pytest.mark.parametrize(
    "merge",
    [
        "bigquery__get_merge_sql(this, 'a.c', 'id', [{'name': 'id'}])",
        "bigquery__snapshot_merge_sql(this, 'a.c', ['id'])",
    ],
)
def test_a_merge_into_a_table_without_the_column_it_is_pruned_by_is_refused(
    run: Run, merge: str
) -> None:
    model = "{{ config(meta={'pruned_by': 'loaded_at'}) }}{{ " + merge + " }}"
    done = run("dbt", "compile", "--inline", model)
    assert done.returncode != 0
    assert "cannot be pruned: it has no column `loaded_at`" in done.stdout
