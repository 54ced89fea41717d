"""All that production sends is BigQuery's SQL, says Google's own analyzer."""

from typing import Any

import pytest
from support.googlesql import BIGQUERY, GoogleSQL, RefusedError, complaints
from support.sql_recorder import Recording, Statement

MARTS = ("users", "logins", "locations")
USERS = {"p.d.users": {"user_id": "string", "loaded_at": "timestamp", "payload": "json"}}

Verdict = tuple[GoogleSQL, list[str]]


@pytest.fixture
def google() -> GoogleSQL:
    return GoogleSQL(USERS)


@pytest.fixture(scope="session")
def verdict(recording: Recording) -> Verdict:
    checked = GoogleSQL(recording.tables)
    return checked, complaints(checked, recording.statements, BIGQUERY["unchecked"])


def test_every_statement_that_production_can_send_is_bigquery_sql(
    recording: Recording, verdict: Verdict
) -> None:
    assert not verdict[1], "\n".join(verdict[1])
    assert not recording.failed, recording.failed


def test_the_recording_holds_a_statement_of_everything_that_the_project_builds_and_tests(
    recording: Recording,
) -> None:
    for phase in ("first", "incremental"):
        sent = {it.node_id for it in recording.statements if it.phase == phase}
        nodes = recording.manifest["nodes"] | recording.manifest["unit_tests"]
        expected = {it for it in nodes if not it.startswith(("seed.", "operation."))}
        if phase == "incremental":
            expected = {it for it in expected if not it.startswith("unit_test.")}
            expected.add("source.randomuser.randomuser.users")
        assert expected <= sent
    files = {it.file for it in recording.statements}
    assert {"ingest", "publish csv", "publish report", "publish alert"} <= files
    merged = {it.node_id for it in recording.statements if "merge into" in it.sql}
    assert {f"model.randomuser.{name}" for name in MARTS} <= merged


@pytest.mark.parametrize("name", MARTS)
def test_a_mart_has_the_columns_and_types_of_its_contract(
    recording: Recording, verdict: Verdict, name: str
) -> None:
    checked, node = verdict[0], recording.manifest["nodes"][f"model.randomuser.{name}"]
    contract = {
        column["name"]: checked.type(column["data_type"]) for column in node["columns"].values()
    }
    made: dict[str, Any] = checked.tables[node["relation_name"].replace("`", "")]
    assert made == contract
    # `create table` would convert what it can; the query itself gives the contract's types
    assert checked.check(Statement(node["compiled_code"])) == contract


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


@pytest.mark.parametrize(("sql", "position", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_bigquery_sql_is_refused_with_file_and_position(
    google: GoogleSQL, sql: str, position: str, complaint: str
) -> None:
    file = "models/marts/users.sql"
    with pytest.raises(RefusedError) as refused:
        google.check(Statement(sql, file=file, phase="first", node_id="model.randomuser.users"))
    line = sql.splitlines()[int(position[0]) - 1].strip()
    told = str(refused.value)
    assert told.startswith(f"{file}: ") and complaint in told
    assert told.endswith(f"at {position} of the statement (first, model.randomuser.users): {line}")


def test_what_a_statement_makes_is_there_for_the_next_ones(google: GoogleSQL) -> None:
    sent = [
        "create view p.d.two as select user_id, 2 as two from p.d.users",
        "select two from p.d.two",
    ]
    assert not complaints(google, [Statement(sql) for sql in sent], [])


def test_a_listed_statement_goes_unchecked_as_long_as_it_needs_it_and_bigquery_documents_it(
    google: GoogleSQL,
) -> None:
    entry = {
        "statement": "search(",
        "complaint": "Function not found: search",
        "reason": "a function that BigQuery has and GoogleSQL as published has not",
        "documentation": "https://cloud.google.com/bigquery/docs/reference/standard-sql/search_functions",
    }
    searching = [Statement("select search('a', 'b')"), Statement("select 1 as one")]
    assert len(complaints(google, searching, [])) == 1
    assert not complaints(google, searching, [entry])
    (stale,) = complaints(google, searching[1:], [entry])
    assert stale.endswith("no statement needs this any more, take it out")
    (undocumented,) = complaints(
        google, searching, [entry | {"documentation": "https://duckdb.org"}]
    )
    assert undocumented.endswith("no reason, or no documentation of BigQuery")
