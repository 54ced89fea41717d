"""Google's own analyzer accepts all SQL that the project sends in production."""

import re
from typing import Any

import pytest
from support.commands import Run, passes
from support.googlesql import BIGQUERY, GoogleSQL, RefusedError, find_errors
from support.sql_recorder import Recording, Statement
from support.warehouse import Warehouse

TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}  # of BigQuery's API
# GoogleSQL analyzes statements, not scripts: values stand in for the variables of a script.
VARIABLES = {
    "found": "[struct('a' as load_id, current_timestamp() as loaded_at, 'a' as id)]",
    "landed": "[current_timestamp()]",
    "load_ids": "['a']",
    "raw_from": "current_timestamp()",
    "ids": "['a']",
    "addresses": "['a']",
    "shared": "['a']",
    "deleted": "'{}'",
    "travel_days": "7",
}
MARTS = ("users", "logins", "locations", "loads")
USERS = {"p.d.users": {"user_id": "string", "loaded_at": "timestamp", "payload": "json"}}

Analysis = tuple[GoogleSQL, list[str]]


@pytest.fixture
def google() -> GoogleSQL:
    return GoogleSQL(USERS)


@pytest.fixture(scope="session")
def analysis(recording: Recording) -> Analysis:
    google = GoogleSQL(recording.tables)
    return google, find_errors(google, recording.statements, BIGQUERY["unchecked"])


def test_production_sends_only_bigquery_sql(recording: Recording, analysis: Analysis) -> None:
    errors = analysis[1]
    assert not errors, "\n".join(errors)
    assert not recording.failed, recording.failed


def test_jobs_have_labels_that_bigquery_accepts(recording: Recording) -> None:
    for statement in recording.statements:
        labels = statement.labels
        assert all(re.fullmatch("[a-z0-9_-]{0,63}", value) for value in labels.values()), labels
        if statement.phase == "incremental" and (statement.node_id or statement.file == "ingest"):
            suffix = "___" if statement.node_id else ""
            assert labels["load_id"] == f"2026-01-01t01_00_00_00_00{suffix}", statement
        if statement.node_id:
            assert labels["node_id"] == re.sub(r"\W", "_", statement.node_id.lower())[:63]


def test_forget_users_sends_only_bigquery_sql(built: Run, warehouse: Warehouse) -> None:
    client, suffixes = warehouse.client, ("", "_restricted", "_snapshots")
    datasets = [built.raw, *(built.analytics + suffix for suffix in suffixes)]
    tables = [client.get_table(item) for name in datasets for item in client.list_tables(name)]
    google = GoogleSQL(
        {
            f"{table.project}.{table.dataset_id}.{table.table_id}": {
                column.name: TYPES.get(column.field_type, column.field_type)
                for column in table.schema
            }
            for table in tables
        }
    )
    script = "{{ forget_script(['a'], personal_tables(), false) if execute }}"
    writes = list[str]()
    compiled = passes(built("dbt", "--quiet", "--no-write-json", "compile", "--inline", script))
    for statement in compiled.split(";\n"):
        sql = re.sub(r"^(\s*--.*\n)*\s*set \w+ =", "select", statement)
        sql = re.sub(r"^\s*if .* then\n", "", sql)
        for name, value in VARIABLES.items():
            sql = re.sub(rf"\b{name}\b", value, sql)
        if not re.match(r"\s*(declare|begin|commit|end) ", sql):
            google.check(Statement(sql, file="macros/privacy/forget_users.sql"))
        writes += re.findall(r"^\s*(insert into|update|merge into|delete from) ", sql, re.MULTILINE)
    assert len(writes) >= 9


def test_recording_covers_every_node_and_command(recording: Recording) -> None:
    for phase in ("first", "incremental"):
        sent = {stmt.node_id for stmt in recording.statements if stmt.phase == phase}
        nodes = recording.manifest["nodes"] | recording.manifest["unit_tests"]
        expected = {
            key
            for key, node in nodes.items()
            if not key.startswith(("seed.", "operation."))
            and node["config"].get("materialized") != "ephemeral"
        }
        if phase == "incremental":
            expected = {node for node in expected if not node.startswith("unit_test.")}
            expected.add("source.randomuser.randomuser.users")
        assert expected <= sent
    files = {stmt.file for stmt in recording.statements}
    assert {"ingest", "publish csv", "publish report", "publish alert"} <= files
    merged = {stmt.node_id for stmt in recording.statements if "merge into" in stmt.sql}
    assert {f"model.randomuser.{name}" for name in MARTS} <= merged


@pytest.mark.parametrize("name", MARTS)
def test_mart_matches_its_contract(recording: Recording, analysis: Analysis, name: str) -> None:
    google, node = analysis[0], recording.manifest["nodes"][f"model.randomuser.{name}"]
    contract = {
        column["name"]: google.type(column["data_type"]) for column in node["columns"].values()
    }
    created: dict[str, Any] = google.tables[node["relation_name"].replace("`", "")]
    assert created == contract
    # `create table` may convert types, so the query itself is compared with the contract too
    assert google.check(Statement(node["compiled_code"])) == contract


REFUSED = {
    "unknown column": ("select\n  nobody\nfrom `p.d.users`", "2:3", "Unrecognized name: nobody"),
    "unknown table": ("select 1 as one from `p`.`d`.`nowhere`", "1:22", "Table not found"),
    "unknown function": ("select strptime('a', 'b')", "1:8", "Function not found: strptime"),
    "not a function of BigQuery": ("select iferror(1, 2)", "1:8", "Function not found: iferror"),
    "wrong type": ("select lower(1)", "1:8", "No matching signature for function LOWER"),
    "two types compared": ("select 1 = 'a'", "1:8", "No matching signature for operator ="),
    "JSON compared": ("select payload = payload from p.d.users", "1:8", "Equality is not defined"),
    "JSON clustered by": (
        "create table `p`.`d`.`new` cluster by payload as select payload from p.d.users",
        "1:39",
        "CLUSTER BY expression must be groupable",
    ),
    "DuckDB's cast": ("select user_id::int64 from p.d.users", "1:15", "Syntax error"),
    "DuckDB's exclude": ("select * exclude (payload) from p.d.users", "1:10", "Syntax error"),
    "DuckDB's filter": ("select count(*) filter (where true)", "1:24", "Syntax error"),
    "DuckDB's type": ("select cast(1 as varchar)", "1:18", "Type not found: varchar"),
    "no parameter": ("select @load_id", "1:8", "Query parameter 'load_id' not found"),
    "unknown option": ("create table p.d.new options(name='x') as select 1 as a", "1:30", "name"),
    "not the contract's type": (
        "create table p.d.new (a int64) as select 'a' as a",
        "1:23",
        "Column 'a' has type INT64 which cannot be coerced from query output type STRING",
    ),
    "wrong type merged": (
        "merge into p.d.users as a using p.d.users as b on a.user_id = b.user_id\n"
        "when matched then update set loaded_at = b.user_id",
        "2:42",
        "Value of type STRING cannot be assigned to loaded_at",
    ),
}


@pytest.mark.parametrize(("sql", "position", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_other_sql_with_file_and_position(
    google: GoogleSQL, sql: str, position: str, message: str
) -> None:
    file = "models/marts/users.sql"
    with pytest.raises(RefusedError) as refused:
        google.check(Statement(sql, file=file, phase="first", node_id="model.randomuser.users"))
    line = sql.splitlines()[int(position[0]) - 1].strip()
    error = str(refused.value)
    assert error.startswith(f"{file}: ") and message in error
    assert error.endswith(f"at {position} of the statement (first, model.randomuser.users): {line}")


def test_later_statement_reads_created_view(google: GoogleSQL) -> None:
    statements = [
        "create view p.d.two as select user_id, 2 as two from p.d.users",
        "select two from p.d.two",
    ]
    assert not find_errors(google, [Statement(sql) for sql in statements], [])


def test_unchecked_entry_must_be_needed_and_documented(google: GoogleSQL) -> None:
    entry = {
        "statement": "search(",
        "error": "Function not found: search",
        "reason": "a function of BigQuery that the published GoogleSQL does not have",
        "documentation": "https://cloud.google.com/bigquery/docs/reference/standard-sql/search_functions",
    }
    statements = [Statement("select search('a', 'b')"), Statement("select 1 as one")]
    assert len(find_errors(google, statements, [])) == 1
    assert not find_errors(google, statements, [entry])
    (stale,) = find_errors(google, statements[1:], [entry])
    assert stale.endswith("no statement needs this entry any more, remove it")
    (undocumented,) = find_errors(
        google, statements, [entry | {"documentation": "https://duckdb.org"}]
    )
    assert undocumented.endswith("the entry has no reason, or no documentation of BigQuery")
