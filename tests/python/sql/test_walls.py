"""Who may read the tables, as target prod tells BigQuery: grants and policy tags from vars."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.macros import RefusedError, load_macros
from support.sql_recorder import ANALYSTS, LEFT, SECURITY, TAGS, Recording

PHASES = ("first", "incremental")
READERS = {name: {ANALYSTS} for name in ("users", "locations", "loads", "users_history")}
READERS |= {"logins": {SECURITY}}
TAGGED = {"base_randomuser__users", "users", "logins", "locations"}


def test_groups_may_read_marts_and_history_only(recording: Recording) -> None:
    for phase in PHASES:
        groups = recording.access[phase].groups
        assert {table.split(".")[1]: names for table, names in groups.items()} == READERS


def test_view_of_history_may_read_what_its_readers_may_not(recording: Recording) -> None:
    for phase in PHASES:
        authorized = {("analytics_of_prod_restricted", "users_history")}
        assert recording.access[phase].authorized == authorized


def test_group_that_is_no_reader_any_more_is_revoked_once(recording: Recording) -> None:
    grants = [("grant", f'"{ANALYSTS}"')] * 4 + [("grant", f'"{SECURITY}"')]
    assert sorted(recording.access["first"].changes) == grants
    revokes = [("revoke", f'"{LEFT}"')] * 5
    assert sorted(recording.access["incremental"].changes) == grants + revokes


@pytest.mark.parametrize("phase", PHASES)
def test_every_build_tags_columns_of_a_class_in_tables(recording: Recording, phase: str) -> None:
    nodes = {node["name"]: node for node in recording.manifest["nodes"].values()}
    tags = {table.split(".")[1]: tags for table, tags in recording.access[phase].tags.items()}
    assert {table for table, columns in tags.items() if any(columns.values())} == TAGGED
    for table in TAGGED:
        for name, column in nodes[table]["columns"].items():
            tag = TAGS.get(column["config"]["meta"]["class"])
            assert tags[table][name] == ([tag] if tag else [])
    assert tags["logins"]["password"] == [TAGS["credential"]]


@pytest.mark.parametrize(
    ("target", "is_table", "variables", "is_tagged"),
    [
        ("prod", True, {"policy_tags": TAGS}, True),
        ("prod", False, {"policy_tags": TAGS}, False),
        ("dev", True, {"policy_tags": TAGS}, False),
        ("prod", True, {}, False),
    ],
)
def test_tags_are_for_tables_of_prod_if_the_var_is_set(
    target: str, is_table: bool, variables: dict[str, Any], is_tagged: bool
) -> None:
    sent: list[Any] = []
    dbt = SimpleNamespace(bigquery__alter_column_comment=lambda *sent_by: sent.append(sent_by))
    phone: dict[str, Any] = {"config": {"meta": {"class": "personal"}}}
    relation = SimpleNamespace(is_table=is_table)
    macros = load_macros(target, variables, dbt=dbt)
    macros.bigquery__alter_column_comment(relation, {"phone": phone})
    tags = {"policy_tags": [TAGS["personal"]]} if is_tagged else {}
    assert sent == [(relation, {"phone": phone | tags})]


@pytest.mark.parametrize(("target", "readers"), [("prod", []), ("dev", [ANALYSTS])])
def test_grants_are_for_prod_if_the_var_is_set(target: str, readers: list[str]) -> None:
    assert load_macros(target, {"readers": readers}).grants_to("readers") == {}


def test_reader_that_is_no_group_is_refused() -> None:
    macros = load_macros(variables={"restricted_readers": ["user:ann@x.org"]})
    with pytest.raises(RefusedError, match=r"`restricted_readers` must .* `user:ann@x.org`"):
        macros.grants_to("restricted_readers")
