"""The whole pipeline, as its users drive it, on the embedded BigQuery."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.commands import BUILD, BUILD_WITHOUT_TESTS, RESPONSES, ROOT, Run, passes
from support.factories import Load, changed_user, land, make_raw, user
from support.forgetting import FORGET, ids_flags
from support.log_lines import for_people
from support.warehouse import Warehouse


def count_rows(run: Run, warehouse: Warehouse) -> set[object]:
    """Return the numbers of rows that the marts have."""
    marts = (".users", ".locations", ".users_history", "_restricted.logins")
    counts = (f"select count(*) from {run.analytics}{mart}" for mart in marts)
    return {warehouse.rows(count)[0][0] for count in counts}


def test_users_reach_tested_tables_and_files_once(
    built: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    assert count_rows(built, warehouse) == {400}
    passes(built("publish", "csv", "--output", tmp_path))
    header = (tmp_path / "logins.csv").read_text(encoding="utf-8").splitlines()[0]
    assert '"login_uuid"' in header and '"username"' in header
    assert not re.search("password|salt|md5|sha1|sha256", header)
    passes(built("publish", "csv", "--output", tmp_path, "--with-secrets"))
    with (tmp_path / "logins.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [row["login_uuid"] for row in rows]
    assert len(rows) == 400 and keys == sorted(keys) and any(row["password"] for row in rows)
    report = passes(built("publish", "report"))
    for name in ("raw users", "users", "logins", "locations"):
        assert re.search(rf"^  {name} +400 ", report, re.MULTILINE)
    assert re.search(r"\d+ passed, \d warned, 0 failed", report)
    assert "randomuser.users: pass" in report


def test_real_responses_warn_of_shared_names_and_passwords(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    files = [RESPONSES / f"randomuser-1.4{which}.json" for which in ("", "-passwords")]
    assert "Loaded 100 users" in passes(run("ingest", "--load-id", "r", "--from-file", *files))
    assert "Already loaded" in passes(run("ingest", "--load-id", "r", "--from-file", *files))
    passes(run(*BUILD))
    results = json.loads((tmp_path / "target/run_results.json").read_text())["results"]
    warned = {node["unique_id"].split(".")[2] for node in results if node["status"] == "warn"}
    assert warned == {"unique_logins_username", "unique_logins_password"}
    passes(run("publish", "history"))
    passes(run(*BUILD_WITHOUT_TESTS))
    assert count_rows(run, warehouse) == {100}
    assert passes(run("publish", "report")).endswith("no check is recorded\n")


def test_freshness_fails_when_newest_load_is_old(run: Run, warehouse: Warehouse) -> None:
    make_raw(run, warehouse)
    land(run, warehouse, Load("old", datetime.now(UTC) - timedelta(hours=25), [user(1)]))
    stale = run("dbt", "source", "freshness")
    assert stale.returncode == 1 and "ERROR STALE" in stale.stdout


def test_only_local_macros_mention_the_emulator() -> None:
    folders = ("models", "macros", "snapshots", "tests/generic")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.*")]
    mentions = [f for f in files if re.search(r"emulator|bqemu", f.read_text(), re.IGNORECASE)]
    assert {file.parent for file in mentions} == {ROOT / "macros/local"}


def test_publish_before_build_leaves_files_alone(run: Run, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "users.csv").write_text("of yesterday")
    for command in (("publish", "report"), ("ingest", "--users", "5")):
        output = passes(run(*command))
        assert command[0] == "ingest" or "error: no whole `dbt build` is recorded" in output
        done = run("publish", "csv")
        assert done.returncode == 1 and not done.stdout
        (line,) = for_people(done.stderr)
        assert line.startswith("publish: ") and "run `dbt build` first" in line
        assert line.endswith(f"the files in {exports} are unchanged")
    assert [file.read_text() for file in exports.iterdir()] == ["of yesterday"]


def test_load_beyond_look_back_is_named_until_a_rebuild(run: Run, warehouse: Warehouse) -> None:
    """It became visible more than `lookback_hours` after its time."""
    now, states = datetime.now(UTC), f"select load_id, state from {run.analytics}.loads order by 1"
    make_raw(run, warehouse)
    land(run, warehouse, Load("in time", now, [user(1)]))
    passes(run("dbt", "run", "--select", "+users"))
    land(run, warehouse, Load("too late", now - timedelta(hours=7), [user(1), user(2)]))
    test = "raw_users_are_accounted_for"
    build = (*BUILD, "--select", f"+{test}", "--indirect-selection", "empty")
    assert run(*build).returncode == 1
    (named,) = warehouse.read_failures(Path(run.environment["DBT_TARGET_PATH"]), test)
    assert (named["load_id"], named["expected"], named["found"]) == ("too late", 2, 0)
    assert warehouse.rows(states) == [("in time", "used"), ("too late", "not built")]
    passes(run(*build, "--full-refresh"))
    assert warehouse.rows(states) == [("in time", "used"), ("too late", "used")]
    expected = [("in time", 1), ("too late", 1)]
    assert warehouse.count_by_load(f"{run.analytics}.users") == expected


def test_dev_days_limit_what_is_built_and_not_what_is_forgotten(
    run: Run, warehouse: Warehouse
) -> None:
    """Two users share a password, which the settings of this build do not accept."""
    now = datetime.now(UTC)
    people = [changed_user(user(n), location={"city": f"Town {n}"}) for n in range(30)]
    make_raw(run, warehouse)
    land(run, warehouse, Load("old", now - timedelta(hours=50), people[:10]))
    land(run, warehouse, Load("new", now - timedelta(hours=1), people[10:20]))
    settings = ("--vars", "{dev_days: 2, duplicate_passwords: error}")
    passes(run(*BUILD_WITHOUT_TESTS, *settings))
    people[29]["login"]["password"] = people[28]["login"]["password"]
    land(run, warehouse, Load("newest", now, people[20:]))
    build = run(*BUILD, *settings)
    assert build.returncode == 1
    assert re.findall(r"Failure in test (\w+)", build.stdout) == ["unique_logins_password"]
    assert count_rows(run, warehouse) == {20}
    receipt = passes(run(*FORGET, *ids_flags(people[0]["login"]["uuid"]), *settings))
    assert f"        1  {run.raw}.users\n" in receipt
    refused = run("dbt", "parse", "--target", "prod", *settings)
    assert "`dev_days` is 2, but builds for target prod read all loads" in refused.stdout
