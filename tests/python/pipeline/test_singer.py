"""Each test that the Singer SDK has for targets has a counterpart, or a reason for none."""

import json
import tomllib
from pathlib import Path

import pytest
from support.commands import ROOT, Run
from support.factories import changed_user, fetch_users
from support.warehouse import Warehouse

SINGER = tomllib.loads((ROOT / "tests/python/support/singer_target_tests.toml").read_text("utf-8"))
# More fields than the API has, in the order in which a second load adds them to the first.
ADDED = {
    "fruits": ["apple", {"PearTree": [1, None]}, []],
    "ClientName": {"clientName": {"CLIENTNAME": "x"}},
    "agent:type": "colon",
    "a.b": "dot",
    "a b": "space",
    "$": "dollar",
    "quote'\"`\\": "quotes",
    "naïve 名": "letters",
    "": "no name",
    "Login": {"uuid": "not the key", "UserName": "not the name"},
    "NAT": "not the nationality",
    "big": 9007199254740993,
    "object_store": {},
}


@pytest.mark.parametrize("test", SINGER)
def test_each_singer_target_test_has_counterpart_or_reason(test: str) -> None:
    assert set(SINGER[test]) <= {"checks", "here", "why"} and len(SINGER[test]) >= 2
    for counterpart in SINGER[test].get("here", []):
        file, _, name = counterpart.partition("::")
        text = (ROOT / file).read_text("utf-8")
        assert not name or f"\ndef {name}(" in text or f"- name: {name}\n" in text, counterpart


def test_unknown_fields_of_any_name_are_kept(
    run: Run, warehouse: Warehouse, api_url: str, tmp_path: Path
) -> None:
    plain, *others = fetch_users(api_url, 3)
    users = [plain, *(changed_user(user) | ADDED for user in others)]
    file = tmp_path / "response.json"
    info = {"seed": "s", "results": 3, "page": 1, "version": "1.4"}
    file.write_text(json.dumps({"results": users, "info": info}), "utf-8")
    landed = run("ingest", "--from-file", file)
    assert landed.returncode == 0, landed.stderr
    ever = "loaded_at >= timestamp '1970-01-01'"
    raw = f"select payload from {run.raw}.users where {ever} order by record_index"
    assert [json.loads(str(payload)) for (payload,) in warehouse.rows(raw)] == users

    built = run("dbt", "run")
    assert built.returncode == 0, built.stdout
    rows = warehouse.rows(f"select user_id, first_name, nationality from {run.analytics}.users")
    sent = [(user["login"]["uuid"], user["name"]["first"], user["nat"]) for user in users]
    assert sorted(rows) == sorted(sent)
    named = f"select login_uuid, username from {run.analytics}_restricted.logins"
    names = [(user["login"]["uuid"], user["login"]["username"]) for user in users]
    assert sorted(warehouse.rows(named)) == sorted(names)
