"""Google's own analyzer accepts all SQL that the project sends in production."""

import re
from typing import Any

import pytest
from support.googlesql import GoogleSQL, RefusedError
from support.sql_recorder import Recording, Statement

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

Analysis = tuple[GoogleSQL, list[str]]


@pytest.fixture(scope="session")
def analysis(recording: Recording) -> Analysis:
    google, errors = GoogleSQL(recording.tables), []
    # what is sent again has the same columns
    for statement in {statement.sql: statement for statement in recording.statements}.values():
        try:
            google.check(statement)
        except RefusedError as error:
            errors.append(str(error))
            if re.search(r"^\s*create ", statement.sql, re.MULTILINE):
                break  # later statements may read what it creates
    return google, errors


def test_production_sends_only_bigquery_sql(recording: Recording, analysis: Analysis) -> None:
    errors = analysis[1]
    assert not errors, "\n".join(errors)
    assert not recording.failed, recording.failed


def test_jobs_have_labels_that_bigquery_accepts(recording: Recording) -> None:
    for statement in recording.statements:
        labels = statement.labels
        assert all(re.fullmatch("[a-z0-9_-]{0,63}", value) for value in labels.values()), labels
        if statement.phase == "incremental" and (
            statement.node_id or statement.command == "ingest"
        ):
            suffix = "___" if statement.node_id else ""
            assert labels["load_id"] == f"2026-01-01t01_00_00_00_00{suffix}", statement
        if statement.node_id:
            assert labels["node_id"] == re.sub(r"\W", "_", statement.node_id.lower())[:63]


def test_scripts_about_users_have_only_bigquery_sql(
    recording: Recording, analysis: Analysis
) -> None:
    show, forget = recording.scripts
    for statement in [*show.split(";\n"), *forget.split(";\n")]:
        sql = re.sub(r"^(\s*--.*\n)*\s*set \w+ =", "select", statement)
        sql = re.sub(r"^\s*if .* then\n", "", sql)
        for name, value in VARIABLES.items():
            sql = re.sub(rf"\b{name}\b", value, sql)
        if not re.match(r"\s*(/\*.*\*/\s*)?(declare|begin|commit|end) ", sql):
            analysis[0].check(Statement(sql, command="run-operation"))
    writes = r"^\s*(insert into|update|merge into|delete from) "
    assert len(re.findall(writes, forget, re.MULTILINE)) >= 8


def test_recording_covers_every_node_and_command(recording: Recording) -> None:
    nodes = {
        key
        for key, node in recording.manifest["nodes"].items()
        if not key.startswith(("seed.", "operation."))
        and node["config"]["materialized"] != "ephemeral"
    }
    others = {
        "first": set(recording.manifest["unit_tests"]),
        "incremental": {"source.randomuser.randomuser.users"},
    }
    for phase, expected in others.items():
        sent = {stmt.node_id for stmt in recording.statements if stmt.phase == phase}
        assert nodes | expected <= sent
    commands = {stmt.command for stmt in recording.statements}
    assert {"ingest", "publish csv", "publish report", "publish alert"} <= commands
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


# What Google's analyzer accepts for other products, and a mistake in each kind of statement.
REFUSED = {
    "select\n  nobody\nfrom `p.d.users`": "Unrecognized name: nobody [at 2:3]",
    "select iferror(1, 2)": "Function not found: iferror",
    "select payload = payload from p.d.users": "Equality is not defined",
    "create table p.d.new cluster by payload as select payload from p.d.users": "CLUSTER BY",
    "select * exclude (payload) from p.d.users": "Syntax error",
    "select @load_id": "Query parameter 'load_id' not found",
    "create table p.d.new options(name='x') as select 1 as a": "Unknown option: name",
    "create table p.d.new (a int64) as select 'a' as a": "Column 'a' has type INT64",
    "merge into p.d.users as a using p.d.users as b on a.user_id = b.user_id "
    "when matched then update set loaded_at = b.user_id": "Value of type STRING",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_refuses_other_sql_and_says_where(sql: str) -> None:
    users = {"p.d.users": {"user_id": "string", "loaded_at": "timestamp", "payload": "json"}}
    with pytest.raises(RefusedError) as refused:
        GoogleSQL(users).check(Statement(sql, phase="first", node_id="model.randomuser.users"))
    assert str(refused.value).startswith(f"model.randomuser.users, first: {REFUSED[sql]}")
