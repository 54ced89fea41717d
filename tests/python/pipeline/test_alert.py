"""`python -m publish alert`: what it finds in dbt's files and in the ledger, and says of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.alert_harness import SOURCE, STALE, Machine, warned
from support.commands import Run, passes
from support.fake_slack import FakeSlack
from support.warehouse import Warehouse

from publish.artifacts import FILES

PASSWORD = "correct-horse-battery"  # noqa: S105
UNIQUE = "unique_logins_password"  # really warns: the passwords of the build are few words
EVER = "loaded_at >= timestamp '1970-01-01'"


def test_a_source_that_is_really_stale_is_said_once_and_so_is_its_recovery(
    run: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    machine = Machine(run, Path(run.environment["DBT_TARGET_PATH"]), slack)
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    assert machine.says() == []
    warehouse.rows(
        f"update {run.raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) "
        f"where {EVER}"
    )
    assert run("dbt", "source", "freshness").returncode == 1
    assert machine.says() == [f"error: {STALE}"]
    assert machine.says() == []
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    assert machine.says() == ["recovered: source `randomuser.users`"]
    assert machine.says() == []


def test_a_source_without_any_load_is_said_to_hold_none(run: Run, slack: FakeSlack) -> None:
    machine = Machine(run, Path(run.environment["DBT_TARGET_PATH"]), slack)
    assert machine.says() == [
        "error: no source's freshness has been checked: run `dbt source freshness`"
    ]
    assert run("dbt", "source", "freshness").returncode == 1
    assert sorted(machine.says()) == [
        "error: source `randomuser.users` is stale: it holds no recent load, 24 hours are allowed",
        "recovered: the freshness of the sources",
    ]


def test_tests_that_warn_are_said_with_how_many_rows_and_where_they_are_stored(
    built: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    machine = Machine(built, Path(built.environment["DBT_TARGET_PATH"]), slack)
    said = machine.says()
    results = warned(machine.target)
    assert UNIQUE in results and len(said) == len(results)
    stored = results[UNIQUE]["relation_name"].replace("`", "")
    rows = len(warehouse.rows(f"select * from `{stored}`"))
    assert rows > 0
    some = f"{rows:,} row{'' if rows == 1 else 's'}"
    assert f"warning: test `{UNIQUE}` warns: {some}, stored in `{stored}`" in said
    assert machine.says() == []


def test_a_failed_test_comes_first_and_getting_worse_or_less_bad_is_a_change(
    machine: Machine,
) -> None:
    other = "unique_logins_username"
    one = {"status": "warn", "failures": 1, "relation_name": None, "rows": ["load_id=7"]}
    machine.results(**{UNIQUE: {"status": "fail", "failures": 1234}, other: one})
    failed, *rest = machine.says()
    assert failed.startswith(f"error: test `{UNIQUE}` failed: 1,234 rows, stored in `")
    assert rest == [f"warning: test `{other}` warns: 1 row: load_id=7"]
    machine.results(**{UNIQUE: {"status": "warn"}, other: {"status": "error"}})
    assert [line.partition(":")[0] for line in machine.says()] == ["error", "warning"]
    machine.results(**{UNIQUE: {"status": "pass"}, other: {"status": "pass"}})
    assert machine.says() == [f"recovered: test `{UNIQUE}`", f"recovered: test `{other}`"]


def test_a_cause_is_said_with_how_many_models_wait_for_it_and_what_did_not_run_is_as_it_was(
    machine: Machine,
) -> None:
    machine.results(**{UNIQUE: {"status": "warn", "failures": 2}})
    assert len(machine.says()) == 1
    machine.results(
        **{
            UNIQUE: {"status": "skipped"},
            "locations": {"status": "error"},
            "users": {"status": "skipped"},
            "logins": {"status": "skipped"},
        }
    )
    assert machine.says(ALERT_FAILED_TASKS="build") == [
        "error: model `locations` was not built: dbt's log says why; "
        "2 models were not built for that",
        "error: task `build` failed: its log says why",
    ]
    machine.edit("build", lambda it: it.update(results=[]))
    assert machine.says() == []


def test_the_last_build_is_read_whatever_dbt_did_since_and_none_is_said_to_be_none(
    machine: Machine,
) -> None:
    settings = {"DBT_TARGET_PATH": str(machine.target)}
    machine.results(logins={"status": "error"})
    passes(machine.run("dbt", "show", "--inline", "select 1 as one", **settings))
    results = json.loads((machine.target / "run_results.json").read_text())
    assert results["args"]["which"] == "show"
    assert machine.says() == ["error: model `logins` was not built: dbt's log says why"]
    report = passes(machine.run("publish", "report"))
    assert re.search(r"^  \d\d passed, 0 warned, 0 failed$", report, re.MULTILINE)

    (machine.target / FILES["build"]).unlink()
    assert "of a `dbt build` nothing is known here" in machine.alert().stdout
    none = machine.run("publish", "report")
    assert none.returncode == 1 and "run `dbt build` first" in none.stderr


def test_a_check_of_freshness_that_was_not_run_or_failed_counts_as_stale(machine: Machine) -> None:
    counts = "error: source `randomuser.users` counts as stale: "
    sources = machine.target / "sources.json"
    kept = sources.read_text()
    sources.unlink()
    assert machine.says() == [f"{counts}its freshness has not been checked"]
    sources.write_text(kept)
    machine.edit("sources")
    assert machine.says() == ["recovered: source `randomuser.users`"]

    ago = datetime.now(UTC) - timedelta(hours=25)
    machine.edit("sources", lambda it: it["metadata"].update(generated_at=ago.isoformat()))
    since = f"{ago:%Y-%m-%d %H:%M} UTC"
    assert machine.says() == [
        f"{counts}its freshness has not been checked since {since}, 24 hours are allowed"
    ]
    failed = [{"unique_id": SOURCE, "status": "runtime error", "error": "so@example.com"}]
    machine.edit("sources")
    assert len(machine.says()) == 1
    machine.edit("sources", lambda it: it.update(results=failed))
    assert machine.says() == [f"{counts}the check of its freshness failed"]


def test_a_load_that_died_half_way_is_said_and_so_is_that_it_was_finished(
    machine: Machine, warehouse: Warehouse
) -> None:
    run, raw = machine.run, machine.run.raw
    for load_id in ("one", "<two>"):
        passes(run("ingest", "--users", "5", "--load-id", load_id))
    warehouse.rows(f"delete from {raw}.loads where load_id = '<two>'")
    assert machine.says() == []  # its row may still be on its way
    warehouse.rows(
        f"update {raw}.users set loaded_at = timestamp_sub(loaded_at, interval 1 hour) where {EVER}"
    )
    assert machine.says() == [
        "error: load `&lt;two&gt;` is not finished, 5 users lie in raw: run it again"
    ]
    assert machine.says() == []
    passes(run("ingest", "--users", "5", "--load-id", "<two>"))
    assert machine.says() == ["recovered: load `&lt;two&gt;`"]


def test_a_task_that_the_scheduler_saw_fail_is_said_until_it_says_otherwise(
    machine: Machine,
) -> None:
    assert machine.says(ALERT_FAILED_TASKS="ingest, build", ALERT_LOAD_ID="05:00") == [
        "error: task `build` of load `05:00` failed: its log says why",
        "error: task `ingest` of load `05:00` failed: its log says why",
    ]
    assert machine.says() == []  # whoever runs it by hand knows nothing of tasks
    assert machine.says(ALERT_FAILED_TASKS="build") == ["recovered: task `ingest`"]
    assert machine.says(ALERT_FAILED_TASKS="") == ["recovered: task `build`"]


def test_where_bigquery_cannot_be_asked_slack_hears_that_and_which_tasks_failed(
    machine: Machine,
) -> None:
    down = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "ALERT_FAILED_TASKS": "ingest"}
    assert machine.says(**down) == [
        "error: BigQuery refused or did not answer (RetryError): no more is known",
        "error: task `ingest` failed: its log says why",
    ]
    done = machine.alert(**down | {"SLACK_WEBHOOK_URL": ""})
    assert done.returncode == 1
    assert "BigQuery refused or did not answer" in done.stderr


def test_no_message_holds_anything_of_a_user(
    built: Run, machine: Machine, warehouse: Warehouse
) -> None:
    fields = ("email", "phone", "login.uuid", "login.username", "login.md5", "login.sha256")
    values = ", ".join(f"json_value(payload, '$.{field}')" for field in fields)
    rows = warehouse.rows(f"select {values} from {built.raw}.users where {EVER}")
    message = f"Bad int64 value: {rows[0][0]} {PASSWORD}"
    machine.results(
        logins={"status": "error", "message": message},
        users={"status": "partial success", "message": message},
        **{UNIQUE: {"status": "error", "message": message}},
    )
    machine.edit(
        "sources",
        lambda it: it.update(
            results=[{"unique_id": SOURCE, "status": "runtime error", "error": message}]
        ),
    )
    assert len(machine.says()) == 4
    (text,) = machine.slack.taken
    assert PASSWORD not in text
    assert not [value for row in rows for value in map(str, row) if value in text]
