"""`python -m publish alert` with what dbt really left, a real ledger and the fake Slack."""

import json
import shutil
from pathlib import Path

from support.alert_harness import SECRET, STALE, AlertHost
from support.commands import BUILD, Run, passes
from support.factories import user
from support.fake_slack import FakeSlack, Response
from support.log_lines import for_people
from support.odd_users import land_texts
from support.warehouse import Warehouse

UNIQUE = "unique_logins_password"  # really warns: the build's passwords come from a short list
BASE = "model.randomuser.base_randomuser__users"


def test_failures_are_sent_until_a_build_is_well(
    run: Run, slack: FakeSlack, warehouse: Warehouse, tmp_path: Path
) -> None:
    """An empty source, a load that is held back, a build that leaves nothing, and a good one."""

    def record(*command: str) -> int:
        status = f"{run('dbt', *command).returncode}"
        return run("publish", "history", "--exit-status", status, LOAD_ID="odd").returncode

    host = AlertHost(run, warehouse, slack)
    no_build = "error: no whole `dbt build` is recorded in the last 30 days"
    assert host.posted_lines() == [no_build, no_build.replace("build", "source freshness")]
    assert record("source", "freshness") == 3
    assert host.posted_lines() == [
        "error: source `randomuser.users` is stale: it has no recent load, the limit is 24 hours",
        "recovered: a whole `dbt source freshness`",
    ]
    land_texts(run, tmp_path / "odd.json", "odd", ["null", json.dumps(user(1))])
    assert record(*BUILD[1:]) == 3
    held_back, *others = host.posted_lines(ALERT_TASKS="build=failed", ALERT_LOAD_ID="odd")
    assert held_back == (
        "error: load `odd` is held back until `python -m ingest --accept odd` or "
        "`--set-aside odd`: 1 of 2 users are rejected: the user is not a JSON object that "
        "BigQuery can read (1); because of that task `build` of load `odd` failed"
    )
    assert "error" not in str(others) and "loads_have_few_rejected_users" not in str(others)
    assert record("build", "--target", "none") == 2
    assert "error: `dbt build` left no results: it was killed, or" in str(host.posted_lines())
    passes(run("ingest", "--accept", "odd"))
    assert record(*BUILD[1:]) == 0
    for folder in ("DBT_TARGET_PATH", "DBT_LOG_PATH"):  # other machines know the same
        shutil.rmtree(run.environment[folder])
    rejected, *recovered = host.posted_lines(ALERT_TASKS="build=success")
    assert rejected.startswith("warning: test `users_are_not_rejected` warns: 1 row: load_id=odd, ")
    assert recovered == ["recovered: held-back load `odd`", "recovered: `dbt build`"]
    assert passes(run("publish", "report")).startswith("1 error and ")


def test_warning_has_row_count_and_table_but_no_user(
    built: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    host = AlertHost(built, warehouse, slack)
    nodes = f"{built.raw}.runs where node like '%{UNIQUE}%'"
    ((stored,),) = warehouse.rows(f"select relation from {nodes}")
    ((count,),) = warehouse.rows(f"select count(*) from `{stored}`")
    assert (
        f"warning: test `{UNIQUE}` warns: {count:,} rows, stored in `{stored}`"
        in host.posted_lines()
    )
    fields = ("email", "phone", "login.uuid", "login.username", "login.md5", "login.sha256")
    values = ", ".join(f"json_value(payload, '$.{field}')" for field in fields)
    users = warehouse.rows(f"select {values} from {built.raw}.users where loaded_at is not null")
    (text,) = slack.accepted
    assert users and not [value for user in users for value in user if str(value) in text]


def test_failed_model_names_what_it_stopped_and_recovers(alert_host: AlertHost) -> None:
    stopped = ["loads", "locations", "users", "users_history"]

    def record_failure() -> None:
        alert_host.record(
            where=f"regexp_contains(node, r'randomuser\\.({'|'.join(stopped)}|base_.*)$')",
            status=f"if(node = '{BASE}', 'error', 'skipped')",
            details=f"""if(node = '{BASE}', details, '{{"causes": ["{BASE}"]}}')""",
            load_id="'05:00'",
        )

    tasks = {"ALERT_TASKS": "build=failed,publish=upstream_failed", "ALERT_LOAD_ID": "05:00"}
    failed = "error: model `base_randomuser__users` was not built: dbt's log says why; because of "
    record_failure()
    (line,) = alert_host.posted_lines(**tasks)
    models, task = line.removeprefix(f"{failed}that 4 models were not built: ").split(" and ")
    assert sorted(models.split(", ")) == stopped and task == "task `build` of load `05:00` failed"
    alert_host.record()
    record_failure()  # it was well in between, which no alert has said
    assert f"still {failed}" in str(alert_host.posted_lines())
    alert_host.record()
    assert alert_host.posted_lines() == ["recovered: model `base_randomuser__users`"]


def test_build_is_compared_with_builds_of_as_many_loads(alert_host: AlertHost) -> None:
    loads = f"{alert_host.run.analytics}.loads"
    mb = "if(node like 'model.%.users', {}, if(node like 'model.%.loads', 10, 0)) * 1048576"

    def record(users: int, started_at: str = f"(select max(built_at) from {loads})") -> None:
        alert_host.record(bytes_billed=mb.format(users), started_at=started_at)

    for number in range(6):
        record(10 + number)
        record(1, started_at="current_timestamp()")  # no new load
    record(14)
    assert alert_host.posted_lines() == []
    record(60)
    (line,) = alert_host.posted_lines()
    assert line.startswith("warning: `dbt build` billed 70 MB, 3.0 times the 23 MB that are usual")
    assert line.endswith(" with 1 new load; most of it (60 MB) for `users`")
    record(12)
    assert alert_host.posted_lines() == ["recovered: the bytes that `dbt build` billed"]


def test_unfinished_load_stays_until_it_is_in_the_ledger(alert_host: AlertHost) -> None:
    run, rows, load = alert_host.run, alert_host.warehouse.rows, ("--load-id", "<two>")

    def make_older(table: str, column: str, days: int) -> None:
        earlier = f"timestamp_sub({column}, interval {days} day)"
        rows(f"update {run.raw}.{table} set {column} = {earlier} where {column} is not null")

    passes(run("ingest", "--users", "5", *load))
    rows(f"delete from {run.raw}.loads where true")
    assert alert_host.posted_lines() == []  # the loader may still retry
    make_older("users", "loaded_at", 1)
    error = "error: load `&lt;two&gt;` is not finished, 5 users are in raw: run it again"
    assert alert_host.posted_lines() == [error]
    make_older("users", "loaded_at", 30)
    make_older("alerts", "said_at", 30)
    assert alert_host.posted_lines() == [f"still {error}"]
    passes(run("ingest", "--users", "5", *load))
    assert alert_host.posted_lines() == ["recovered: load `&lt;two&gt;`"]


def test_old_held_back_load_and_dropped_mart_are_named(alert_host: AlertHost) -> None:
    rows, marts = alert_host.warehouse.rows, alert_host.run.analytics
    old = "'held back' as state, timestamp_sub(loaded_at, interval 40 day) as loaded_at"
    loads = alert_host.replace_loads(f"select * replace ({old}) from {marts}.loads")
    assert " is held back until `python -m ingest --accept " in str(alert_host.posted_lines())
    rows(f"update `{loads}` set state = 'set aside' where true")
    assert "recovered: held-back load " in str(alert_host.posted_lines())
    rows(f"drop table `{loads}`")
    assert alert_host.posted_lines() == [f"error: table `{loads}` does not exist"]


def test_what_cannot_be_read_is_sent(alert_host: AlertHost) -> None:
    outage = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "ALERT_TASKS": "ingest=failed"}
    assert alert_host.posted_lines(**outage) == [
        "error: BigQuery refused or did not answer (RetryError): nothing else could be checked",
        "error: task `ingest` failed: its log says why",
    ]
    done = alert_host.run_alert(**outage | {"SLACK_WEBHOOK_URL": ""})
    assert done.returncode == 1 and "BigQuery refused or did not answer" in done.stderr
    users = f"{alert_host.run.raw}.users"
    alert_host.warehouse.rows(f"create or replace table {users} (load_id string)")
    assert "is of an earlier version: docs/upgrade.md has " in str(alert_host.posted_lines())
    done = alert_host.run("publish", "history")
    assert done.returncode == 1 and "docs/upgrade.md" in done.stderr


def test_alert_is_sent_until_slack_accepts_it_and_again_after_hours(alert_host: AlertHost) -> None:
    slack, rows, sent = alert_host.slack, alert_host.warehouse.rows, f"{alert_host.run.raw}.alerts"
    alert_host.record_freshness("error", 25)
    printed = passes(alert_host.run_alert(SLACK_WEBHOOK_URL=""))
    slack.responses = [Response(404, "no_service")]
    refused = alert_host.run_alert()
    (line,) = for_people(refused.stderr)
    assert refused.returncode == 1 and not refused.stdout
    assert line.startswith("publish: Slack did not accept the message (HTTP 404 no_service): it ")
    assert alert_host.posted_lines() == [f"error: {STALE}"]
    assert slack.accepted == [printed.strip()]
    rows(f"update {sent} set said_at = timestamp_sub(said_at, interval 2 hour) where true")
    assert alert_host.posted_lines() == []
    assert alert_host.posted_lines(ALERT_REPEAT_HOURS="1.9") == [f"still error: {STALE}"]
    expected = [("source:randomuser.users", "error", STALE)] * 2
    assert rows(f"select key, state, message from {sent}") == expected
    alert_host.record_freshness("pass", 0)
    assert alert_host.posted_lines() == ["recovered: source `randomuser.users`"]


def test_message_has_at_most_30_short_lines_and_all_are_recorded(alert_host: AlertHost) -> None:
    alert_host.warehouse.rows(
        f"insert into {alert_host.run.raw}.runs (invocation_id, command, node, status, ended_at) "
        "select 'a', 'run', concat('model.randomuser.', repeat('m', 500), n), 'error', "
        "current_timestamp() from unnest(generate_array(1, 40)) as n"
    )
    *lines, last = alert_host.posted_lines()
    assert {*lines} == {f"error: model `{'m' * 493}..."} and len(lines) == 30
    assert last == "... and 10 more: `python -m publish report`"
    assert alert_host.posted_lines() == []


def test_wrong_settings_are_named_but_not_the_webhook(alert_host: AlertHost) -> None:
    for name, value in (("ALERT_TASKS", "build"), ("SLACK_WEBHOOK_URL", f"services/{SECRET}")):
        done = alert_host.run_alert(**{name: value})
        assert done.returncode == 2 and f"publish: wrong settings: {name}: is not " in done.stderr
