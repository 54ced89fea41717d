"""Each test that the Singer SDK has for targets has a counterpart, or a reason for none."""

import json
import tomllib
from pathlib import Path

import pytest
from support.commands import ROOT, Run, passes
from support.factories import changed_user, response_file, user
from support.warehouse import Warehouse

LIST = ROOT / "tests/python/support/singer_target_tests.toml"
# Names that are no column's, or differ from a known one in case; see also odd_users.ODD_KEYS.
ADDED = {
    "fruits": ["apple", {"PearTree": [1, None]}, []],
    "ClientName": {"clientName": {"CLIENTNAME": "x"}},
    "agent:type": "colon",
    "Login": {"uuid": "not the key", "UserName": "not the name"},
    "NAT": "not the nationality",
    "big": 9007199254740993,
}


@pytest.mark.parametrize(("test", "counterpart"), tomllib.loads(LIST.read_text()).items())
def test_each_singer_target_test_has_counterpart_or_reason(test: str, counterpart: str) -> None:
    assert test.startswith("Target")
    assert counterpart.endswith(".") or (ROOT / counterpart).is_file()


def test_unknown_fields_of_any_name_are_kept(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    users = [user(1), *(changed_user(user(number)) | ADDED for number in (2, 3))]
    passes(run("ingest", "--from-file", response_file(tmp_path, "response", users)))
    ever = "loaded_at >= timestamp '1970-01-01' order by record_index"
    raw = warehouse.rows(f"select payload from {run.raw}.users where {ever}")
    assert [json.loads(str(payload)) for (payload,) in raw] == users

    passes(run("dbt", "run", "--select", "+base_randomuser__users"))
    base = f"{run.analytics}_restricted.base_randomuser__users"
    rows = warehouse.rows(f"select user_id, username, nationality from {base} where {ever}")
    assert rows == [(u["login"]["uuid"], u["login"]["username"], u["nat"]) for u in users]
