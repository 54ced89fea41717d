"""`python -m ingest` as a command, with the embedded BigQuery and the fake API."""

import json
import re
from pathlib import Path

import yaml
from support.commands import ROOT, Run, passes
from support.load_checks import expected_load, landed_loads
from support.log_lines import for_people
from support.warehouse import Warehouse

from ingest import __version__, tables
from ingest.sources.randomuser import derive_seed
from publish.alerts.sent import ALERTS
from publish.runs import COLUMNS

ALL_TIME = "loaded_at >= timestamp '1970-01-01'"


def test_raw_tables_have_the_columns_of_sources_yaml() -> None:
    file = ROOT / "models/staging/randomuser/_randomuser__sources.yml"
    (source,) = yaml.safe_load(file.read_text())["sources"]
    schemas = {
        "users": tables.RAW,
        "loads": tables.list_ledger_columns("users"),
        "forgotten": tables.FORGOTTEN,
    }
    schemas |= {"alerts": ALERTS, "runs": COLUMNS}
    columns = {table["name"]: table["columns"] for table in source["tables"]}
    for name, schema in schemas.items():
        assert [column["name"] for column in columns[name]] == [field.name for field in schema]


def test_load_lands_three_pages_in_order_once(run: Run, warehouse: Warehouse, api_url: str) -> None:
    load = ("ingest", "--users", "2500", "--load-id", "x")
    table = f"{warehouse.project}.{run.raw}.users"
    assert passes(run(*load)) == f"Loaded 2,500 users into {table}\n  load x\n"
    rows = warehouse.rows(
        "select record_index, page, json_value(payload, '$.login.uuid'), seed, api_version, "
        "length(json_value(payload, '$.login.password')) "
        f"from {run.raw}.users where {ALL_TIME} order by record_index"
    )
    seed = derive_seed("x", 2500)
    expected = [(index, 1 + index // 1000, seed, "1.4") for index in range(2500)]
    assert [(*row[:2], *row[3:5]) for row in rows] == expected
    assert len({row[2] for row in rows}) == 2500
    assert {row[5] for row in rows} <= set(range(24, 33))  # RANDOMUSER_PASSWORD

    ledger = (
        "select source, api_version, seed, users_asked, users_received, users_landed, "
        f"loader_version, started_at <= loaded_at, loaded_at from {run.raw}.loads"
    )
    (before,) = warehouse.rows(ledger)
    assert before[:8] == (api_url, "1.4", seed, 2500, 2500, 2500, __version__, True)

    again = passes(run(*load))
    assert again == f"Already loaded: 2,500 users in {table}\n  load x; nothing to do\n"
    conflict = run("ingest", "--users", "3000", "--load-id", "x")
    assert conflict.returncode == 2
    (line,) = for_people(conflict.stderr)
    assert "load x is another load, of 2,500 users: its request or its files differ" in line
    assert warehouse.rows(ledger) == [before] and landed_loads(run, warehouse) == [
        expected_load(2500, "x")
    ]

    listed = passes(run("ingest", "--list"))
    assert re.search(r"\n\d{4}-\d\d-\d\d \d\d:\d\d +2,500  1\.4 +x\n  from http://", listed)


def test_interval_lands_once_in_any_spelling(run: Run, warehouse: Warehouse) -> None:
    load, interval = ("ingest", "--users", "50", "--load-id"), "2026-01-01T00:00:00+00:00"
    landed = passes(run(*load, "2026-01-01T00", RANDOMUSER_PASSWORD=""))
    assert landed.endswith(f"users\n  load {interval}\n")
    again = passes(run(*load, "2026-01-01 02:00+02:00", RANDOMUSER_PASSWORD=""))
    assert again.startswith("Already loaded: 50 users")
    assert landed_loads(run, warehouse) == [expected_load(50, interval)]
    removes = f"Load {interval} is set aside: the next `dbt build` removes its users from the marts"
    assert passes(run("ingest", "--set-aside", "2026-01-01")).startswith(removes)
    unknown = run("ingest", "--accept", "2026-01-02")
    assert unknown.returncode == 1 and "00:00+00:00: nothing was accepted" in unknown.stderr

    length = f"select max(length(json_value(payload, '$.login.password'))) from {run.raw}.users"
    ((longest,),) = warehouse.rows(f"{length} where {ALL_TIME}")
    assert isinstance(longest, int) and longest < 24  # the API's own passwords


def test_replay_lands_any_json_byte_for_byte_once(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    # BigQuery's JSON would keep neither the order, nor the doubled name, nor these numbers.
    users = [
        '{"b":1.0, "a" : 1e400,"b":"\\u00e9\\/\\u0000", "": {}}',
        '{"name": "Żaneta O\'Дар\u200c 👩‍🚀"}',
        *('[ 1 ,\n\t"a text"]', '"\\"quoted\\"\\\\ \\t"', "17", "null", "1" * 30 + ".10"),
    ]
    info = '"info": {"seed": "abc", "results": 7, "page": 1, "version": "1.4"}'
    file = tmp_path / "response.json"
    file.write_text(f'{{"results": [{", ".join(users)}], {info}}}', "utf-8")
    dry_run = passes(run("ingest", "--dry-run", "--from-file", file))
    assert dry_run.startswith("Would load 7 users") and dry_run.endswith("nothing was landed\n")
    assert landed_loads(run, warehouse) == []

    assert passes(run("ingest", "--from-file", file)).startswith("Loaded 7 users")
    payloads = f"select payload from {run.raw}.users where {ALL_TIME} order by record_index"
    assert [payload for (payload,) in warehouse.rows(payloads)] == users

    assert passes(run("ingest", "--from-file", file)).startswith("Already loaded: 7 users")
    assert [payload for (payload,) in warehouse.rows(payloads)] == users
    ledger = f"select load_id, source, users_asked, users_received, seed from {run.raw}.loads"
    ((load_id, *values),) = warehouse.rows(ledger)
    assert str(load_id).startswith("file-") and values == [str(file), None, 7, "abc"]


def test_raw_of_earlier_version_is_refused_until_it_is_converted(
    run: Run, warehouse: Warehouse
) -> None:
    load, raw = ("ingest", "--users", "5", "--load-id"), run.raw
    passes(run(*load, "2026-01-01T00"))
    payloads = f"select payload from {raw}.users where {ALL_TIME} order by record_index"
    ((sent,), *_) = warehouse.rows(payloads)
    as_json = "replace (if(record_index = 1, to_json('1e400'), parse_json(payload)) as payload)"
    for table, other_type in ((f"{raw}.users", as_json), (f"{raw}.loads", "")):
        old = f"'2026-01-01T00' as load_id, * except (load_id, load_hash) {other_type}"
        where = f"from {table} where {ALL_TIME}"
        warehouse.rows(f"create or replace table {table} as select {old} {where}")
    refused = run(*load, "x")
    assert refused.returncode == 1 and for_people(refused.stderr)[-1].endswith(
        "is of an earlier version: docs/upgrade.md has the statements that convert it"
    )

    (script,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/upgrade.md").read_text(), re.DOTALL)
    for statement in script.replace("raw_randomuser", raw).split(";\n")[:-1]:
        warehouse.rows(statement)
    converted = [str(payload) for (payload,) in warehouse.rows(payloads)]
    assert json.loads(converted[0]) == json.loads(str(sent)) and converted[1] == "1e400"
    assert passes(run(*load, "2026-01-01T00")).startswith("Already loaded: 5 users")
    assert passes(run(*load, "x")).startswith("Loaded 5 users")
    counts = {row[0]: row[1] for row in landed_loads(run, warehouse)}
    assert counts == {"2026-01-01T00:00:00+00:00": 5, "x": 5}
