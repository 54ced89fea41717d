"""The whole pipeline, as its users drive it, on the embedded BigQuery."""

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.commands import BUILD, BUILD_WITHOUT_TESTS, RESPONSES, ROOT, Run, passes
from support.factories import Load, changed_user, land, make_raw, user
from support.forgetting import forget
from support.log_lines import for_people
from support.warehouse import Warehouse

Counts = Callable[[], dict[str, object]]


@pytest.fixture
def counts(run: Run, warehouse: Warehouse) -> Counts:
    def count() -> dict[str, object]:
        tables = {name: f"{run.analytics}.{name}" for name in ("users", "locations")}
        tables["logins"] = f"{run.analytics}_restricted.logins"
        tables["history"] = f"{run.analytics}.users_history"
        return {
            name: warehouse.rows(f"select count(*) from {table}")[0][0]
            for name, table in tables.items()
        }

    return count


def test_users_reach_tested_tables_and_files_once(run: Run, counts: Counts, tmp_path: Path) -> None:
    passes(run("ingest", "--users", "1500", "--load-id", "one"))
    for command in (("dbt", "source", "freshness"), BUILD):
        passes(run(*command))
        passes(run("publish", "history"))
    first = counts()
    assert first == {"users": 1500, "logins": 1500, "locations": 1500, "history": 1500}
    passes(run("ingest", "--users", "1500", "--load-id", "one"))
    passes(run(*BUILD))
    assert counts() == first

    passes(run("publish", "csv"))
    with (tmp_path / "exports/logins.csv").open(encoding="utf-8", newline="") as file:
        assert {"login_uuid", "username"} <= set(next(csv.reader(file)))
    text = (tmp_path / "exports/logins.csv").read_text(encoding="utf-8")
    for secret in ("password", "salt", "md5", "sha1", "sha256"):
        assert secret not in text.splitlines()[0]
    passes(run("publish", "csv", "--with-secrets"))
    with (tmp_path / "exports/logins.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [row["login_uuid"] for row in rows]
    assert len(rows) == 1500 and keys == sorted(keys) and all(row["password"] for row in rows)

    report = passes(run("publish", "report"))
    for name in ("raw users", "users", "logins", "locations"):
        assert re.search(rf"^  {name} +1,500 ", report, re.MULTILINE)
    assert re.search(r"\d+ passed, \d warned, 0 failed", report)
    assert "randomuser.users: pass" in report


def test_real_responses_warn_of_shared_names_and_passwords(
    run: Run, counts: Counts, tmp_path: Path
) -> None:
    files = [RESPONSES / f"randomuser-1.4{which}.json" for which in ("", "-passwords")]
    assert "Loaded 100 users" in passes(run("ingest", "--load-id", "r", "--from-file", *files))
    assert "Already loaded" in passes(run("ingest", "--load-id", "r", "--from-file", *files))
    passes(run(*BUILD))
    passes(run("publish", "history"))
    results = json.loads((tmp_path / "target/run_results.json").read_text())["results"]
    warned = {node["unique_id"].split(".")[2] for node in results if node["status"] == "warn"}
    assert warned == {"unique_logins_username", "unique_logins_password"}
    assert set(counts().values()) == {100}
    passes(run(*BUILD_WITHOUT_TESTS))
    assert set(counts().values()) == {100}
    assert passes(run("publish", "report")).endswith("no check is recorded\n")
    strict = run("dbt", "build", "--select", "logins", "--vars", "duplicate_passwords: error")
    assert strict.returncode == 1


def test_freshness_fails_when_newest_load_is_old(run: Run, warehouse: Warehouse) -> None:
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    warehouse.rows(
        f"update {run.raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) "
        "where loaded_at >= timestamp '1970-01-01'"
    )
    stale = run("dbt", "source", "freshness")
    assert stale.returncode == 1 and "ERROR STALE" in stale.stdout


def test_only_local_macros_mention_the_emulator() -> None:
    folders = ["models", "macros", "snapshots", "tests"]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.*")]
    files = [
        f
        for f in files
        if f.is_file() and f.suffix != ".pyc" and not {"python", "airflow"} & {*f.parts}
    ]
    mentions = [f for f in files if re.search(r"emulator|bqemu", f.read_text(), re.IGNORECASE)]
    assert {file.parent for file in mentions} == {ROOT / "macros/local"}


def test_publish_before_build_leaves_files_alone(run: Run, tmp_path: Path) -> None:
    def refuse() -> None:
        done = run("publish", "csv")
        assert done.returncode == 1 and not done.stdout
        (line,) = for_people(done.stderr)
        assert line.startswith("publish: ") and "run `dbt build` first" in line
        assert line.endswith(f"the files in {exports} are unchanged")

    exports = tmp_path / "exports"
    refuse()
    assert "error: no whole `dbt build` is recorded" in passes(run("publish", "report"))
    passes(run("ingest", "--users", "5"))
    passes(run("dbt", "source", "freshness"))
    files = [exports / f"{name}.csv" for name in ("users", "logins", "locations")]
    exports.mkdir()
    for file in files:
        file.write_text("of yesterday")
    refuse()
    assert sorted(exports.iterdir()) == sorted(files)
    assert {file.read_text() for file in files} == {"of yesterday"}


def test_late_load_is_merged_and_newest_version_stays(run: Run, warehouse: Warehouse) -> None:
    def load(name: str, loaded_at: datetime, *numbers: int) -> None:
        users = [{"login": user(n)["login"], "name": {"first": name}} for n in numbers]
        land(run, warehouse, Load(name, loaded_at, users))

    def first_names() -> list[tuple[object, ...]]:
        return warehouse.rows(f"select first_name from {run.analytics}.users order by user_id")

    # Forty days without a load, and then a user comes again who has changed.
    on_time = datetime.now(UTC) - timedelta(days=40)
    make_raw(run, warehouse)
    load("OnTime", on_time, 1, 2, 2)
    passes(run(*BUILD_WITHOUT_TESTS))
    load("Late", on_time - timedelta(hours=5), 2, 3, 3)
    passes(run(*BUILD_WITHOUT_TESTS))
    assert first_names() == [("OnTime",), ("OnTime",), ("Late",)]
    passes(run(*BUILD_WITHOUT_TESTS, "--full-refresh"))
    assert first_names() == [("OnTime",), ("OnTime",), ("Late",)]
    load("Newer", datetime.now(UTC), 1)
    passes(run(*BUILD))
    assert first_names() == [("Newer",), ("OnTime",), ("Late",)]


def test_load_beyond_look_back_is_named_until_rebuild(run: Run, warehouse: Warehouse) -> None:
    """Its row in the ledger became visible more than `lookback_hours` after its time."""

    def read_states() -> list[tuple[object, ...]]:
        return warehouse.rows(f"select load_id, state from {run.analytics}.loads order by 1")

    now = datetime.now(UTC)
    make_raw(run, warehouse)
    land(run, warehouse, Load("on-time", now, [user(1)]))
    passes(run(*BUILD_WITHOUT_TESTS))
    land(run, warehouse, Load("too-late", now - timedelta(hours=7), [user(1), user(2)]))
    missing = run(*BUILD, "--store-failures")
    assert missing.returncode == 1
    (failed,) = re.findall(r"Failure in test (\w+)", missing.stdout)
    assert failed == "raw_users_are_accounted_for"
    named = f"select users, load_id, expected, found from {run.analytics}_restricted.{failed}"
    assert warehouse.rows(named) == [("accepted or rejected", "too-late", 2, 0)]
    assert read_states() == [("on-time", "used"), ("too-late", "not built")]
    passes(run(*BUILD, "--full-refresh"))
    assert read_states() == [("on-time", "used"), ("too-late", "used")]
    users = f"select load_id from {run.analytics}.users order by user_id"
    assert warehouse.rows(users) == [("on-time",), ("too-late",)]


def test_dev_days_limit_what_is_built_and_not_what_is_forgotten(
    run: Run, warehouse: Warehouse, counts: Counts
) -> None:
    make_raw(run, warehouse)
    old = [changed_user(user(n), location={"city": f"Town {n}"}) for n in range(10)]
    land(run, warehouse, Load("old", datetime.now(UTC) - timedelta(hours=50), old))
    passes(run("ingest", "--users", "20", "--load-id", "new"))
    days = ("--vars", "dev_days: 2")
    passes(run(*BUILD_WITHOUT_TESTS, *days))
    passes(run(*BUILD, *days))
    assert set(counts().values()) == {20}
    receipt = "\n".join(forget(run, old[0]["login"]["uuid"]))
    assert f"        1  {run.raw}.users" in receipt
    passes(run(*BUILD_WITHOUT_TESTS, "--full-refresh"))
    assert set(counts().values()) == {29}
    refused = run("dbt", "parse", "--target", "prod", *days)
    assert "`dev_days` is 2, but builds for target prod read all loads" in refused.stdout
