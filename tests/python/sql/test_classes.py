"""Every column has a class, and none has a lower class than the columns it is made from."""

import re
from collections import defaultdict
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

import pytest
import yaml
from sqlglot import parse_one
from support.column_classes import ColumnClasses
from support.commands import ROOT
from support.sql_recorder import Recording
from support.warehouse import Warehouse

BuiltColumns = dict[str, list[str]]

CLASS = "columns.{}.config.meta.class"

# The name of a node, a path in it, the new value there or None to delete it, and what the message
# says after the name.
INCOMPLETE = [
    ("users", CLASS.format("phone"), None, ".phone has no class"),
    ("users_history", CLASS.format("phone"), "secret", ".phone has no class"),
    ("locations", "columns.city", None, ".city is not in the YAML"),
]
UNPROTECTED = [
    ("base_randomuser__users", CLASS.format("title"), "public", ".title is public"),
    ("users", CLASS.format("phone"), "public", ".phone is public"),
    ("users_history", CLASS.format("email"), "public", ".email is public"),
    ("logins", CLASS.format("password"), "personal", ".password is personal"),
    ("loads", "config.meta.masked", ["incomplete_share"], ".female_share is public"),
    ("stg_randomuser__rejected", "schema", "analytics", ".payload is a credential in analytics"),
    ("unique_logins_username", "schema", "analytics", " stores its failures in analytics"),
    ("locations", "columns.location_id.config.meta.key", None, " has personal columns"),
    ("users_match_documented_fields", "config.meta.masked", ["field"], " prints sent"),
]


@pytest.fixture(scope="module")
def built_columns(recording: Recording, warehouse: Warehouse) -> BuiltColumns:
    """List the columns of each table and view in the embedded BigQuery."""
    assert not recording.failed, recording.failed
    tables = ColumnClasses(recording.manifest).tables
    return {
        name: [column.name for column in warehouse.client.get_table(name).schema] for name in tables
    }


def test_columns_have_classes_that_protect_them(
    recording: Recording, built_columns: BuiltColumns
) -> None:
    problems = ColumnClasses(recording.manifest).find_problems(built_columns)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("mistakes", [INCOMPLETE, UNPROTECTED], ids=["incomplete", "unprotected"])
def test_finds_mistakes_and_nothing_else(
    mistakes: list[tuple[str, str, Any, str]], recording: Recording, built_columns: BuiltColumns
) -> None:
    manifest = deepcopy(recording.manifest)
    nodes = {node["name"]: node for node in manifest["nodes"].values()}
    for name, path, value, _ in mistakes:
        *parents, last = path.split(".")
        changed = reduce(getitem, parents, nodes[name])
        changed[last] = value
        if value is None:
            del changed[last]
    problems = sorted(ColumnClasses(manifest).find_problems(built_columns))
    messages = sorted(name + text for name, _, _, text in mistakes)
    assert len(problems) == len(messages), problems
    assert all(map(str.startswith, problems, messages)), problems


def test_anchors_are_lists() -> None:
    """dbt 2 refuses maps, dbt 1 takes both."""
    files = [
        path for name in ("models", "seeds", "snapshots") for path in (ROOT / name).rglob("*.yml")
    ]
    anchors = {path.name: yaml.safe_load(path.read_text()).get("anchors", []) for path in files}
    assert any(anchors.values())
    assert [name for name, value in anchors.items() if not isinstance(value, list)] == []


def test_report_alert_and_ledger_hold_public_columns_only(recording: Recording) -> None:
    classes, outputs = ColumnClasses(recording.manifest), defaultdict[str, set[str]](set)
    for statement in recording.statements:
        query: Any = statement.sql
        if re.search(r"insert into `\S+\.loads`", query):
            query = parse_one(query, dialect="bigquery").expression
        # The sent alerts hold only what the other queries returned.
        elif statement.command not in ("publish report", "publish alert") or ".alerts`" in query:
            continue
        outputs[statement.command] |= set(classes.trace(query).values())
    assert set(outputs) == {"ingest", "publish report", "publish alert"}
    assert set().union(*outputs.values()) == {"public"}
