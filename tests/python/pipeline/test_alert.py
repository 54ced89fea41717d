"""`python -m publish alert` with what dbt really left, a real ledger and the fake Slack."""

import json
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
from support.alert_harness import STALE, AlertHost, MakeAlertHost
from support.commands import BUILD, Run, passes
from support.factories import user
from support.fake_slack import FakeSlack
from support.odd_users import land_texts
from support.warehouse import Warehouse

UNIQUE = "unique_logins_password"  # really warns: the build's passwords come from a short list
ALL_TIME = "loaded_at >= timestamp '1970-01-01'"
UNACCOUNTED = "raw_users_are_accounted_for"
NOT_BUILT = "was not built: dbt's log says why"
NO_RESULTS = "left no results: it was killed, or could not read the project or use BigQuery"


def test_source_without_loads_stale_and_fresh(
    run: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    def check() -> None:
        passes(run("dbt", "source", "freshness")) if fresh else run("dbt", "source", "freshness")
        passes(run("publish", "history"))

    host, fresh = AlertHost(run, warehouse, slack), False
    no_build = "error: no whole `dbt build` is recorded in the last 30 days"
    assert host.posted_lines() == [no_build, no_build.replace("build", "source freshness")]
    check()
    assert sorted(host.posted_lines()) == [
        "error: source `randomuser.users` is stale: it has no recent load, the limit is 24 hours",
        "recovered: a whole `dbt source freshness`",
    ]
    passes(run("ingest", "--users", "10"))
    fresh = True
    check()
    assert host.posted_lines() == ["recovered: source `randomuser.users`"]
    warehouse.rows(
        f"update {run.raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) "
        f"where {ALL_TIME}"
    )
    fresh = False
    check()
    assert host.posted_lines() == [f"error: {STALE}"]
    assert host.posted_lines() == []


def test_warning_has_row_count_and_table_but_no_user(
    built: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    host = AlertHost(built, warehouse, slack)
    lines = host.posted_lines()
    ((stored,),) = warehouse.rows(
        f"select relation from {built.raw}.runs where node like '%{UNIQUE}%'"
    )
    count = len(warehouse.rows(f"select * from `{stored}`"))
    assert count > 0
    rows = f"{count:,} row{'' if count == 1 else 's'}"
    assert f"warning: test `{UNIQUE}` warns: {rows}, stored in `{stored}`" in lines
    assert host.posted_lines() == []

    fields = ("email", "phone", "login.uuid", "login.username", "login.md5", "login.sha256")
    values = ", ".join(f"json_value(payload, '$.{field}')" for field in fields)
    users = warehouse.rows(f"select {values} from {built.raw}.users where {ALL_TIME}")
    (text,) = slack.accepted
    assert users and not [value for user in users for value in user if str(value) in text]


def test_failed_model_names_what_it_stopped_and_recovers(alert_host: AlertHost) -> None:
    base, load = "model.randomuser.base_randomuser__users", "'05:00'"
    stopped = "loads|users|locations|users_history"
    alert_host.record(
        where=f"regexp_contains(node, r'randomuser\\.({stopped}|base_.*)$')",
        status=f"if(node = '{base}', 'error', 'skipped')",
        details=f"""if(node = '{base}', details, '{{"causes": ["{base}"]}}')""",
        load_id=load,
    )
    tasks = {"ALERT_TASKS": "ingest=success,build=failed,publish=upstream_failed"}
    (line,) = alert_host.posted_lines(**tasks, ALERT_LOAD_ID="05:00")
    cause, not_built = line.split("; because of that 4 models were not built: ")
    assert cause == f"error: model `base_randomuser__users` {NOT_BUILT}"
    assert not_built.endswith(" and task `build` of load `05:00` failed")
    assert sorted(not_built.split(" and ")[0].split(", ")) == sorted(stopped.split("|"))
    assert alert_host.posted_lines(**tasks, ALERT_LOAD_ID="05:00") == []
    alert_host.record()
    recovered = ["recovered: model `base_randomuser__users`"]
    assert alert_host.posted_lines(ALERT_TASKS="build=success") == recovered


def test_old_error_explains_no_new_failure(alert_host: AlertHost) -> None:
    alert_host.record(where=f"node like '%.{UNIQUE}%'", status="'error'", load_id="'05:00'")
    of_test = f"error: test `{UNIQUE}` could not be run: dbt's log says why"
    failed = {"ALERT_TASKS": "build=failed"}
    (line,) = alert_host.posted_lines(**failed, ALERT_LOAD_ID="05:00")
    assert line == f"{of_test}; because of that task `build` of load `05:00` failed"
    assert alert_host.posted_lines(**failed, ALERT_LOAD_ID="06:00") == [
        "error: task `build` of load `06:00` failed: its log says why"
    ]


def test_state_of_a_task_that_did_not_run_is_not_known(alert_host: AlertHost) -> None:
    failed = {"ALERT_TASKS": "ingest=failed,freshness=upstream_failed,build=failed"}
    assert alert_host.posted_lines(**failed, ALERT_LOAD_ID="05:00") == [
        "error: task `build` of load `05:00` failed: its log says why",
        "error: task `ingest` of load `05:00` failed: its log says why",
    ]
    assert alert_host.posted_lines() == []  # run by hand: no task is known
    tasks = {"ALERT_TASKS": "ingest=success,freshness=failed,build=upstream_failed"}
    assert alert_host.posted_lines(**tasks) == [
        "error: task `freshness` failed: its log says why",
        "recovered: task `ingest`",
    ]
    wrong = alert_host.run_alert(ALERT_TASKS="build")
    assert wrong.returncode == 2 and "ALERT_TASKS" in wrong.stderr


def test_part_and_command_without_results_hide_nothing_of_the_whole_build(
    run: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    def record(*command: str) -> list[str]:
        status = str(run("dbt", *command).returncode)
        assert run("publish", "history", "--exit-status", status).returncode == int(status)
        return host.posted_lines()

    host, test, words = AlertHost(run, warehouse, slack), UNACCOUNTED, "invocation_command"
    passes(run("ingest", "--users", "300", RANDOMUSER_PASSWORD=""))
    record("source", "freshness")
    assert f"warning: test `{UNIQUE}` warns" in str(record(*BUILD[1:]))
    broken = record("test", "--select", test, "--vars", "tested_from: nope")
    assert broken == [f"error: test `{test}` could not be run: dbt's log says why"]
    assert record("show", "--inline", "select 1 as one") == []
    assert record("build", "--target", "none") == [f"error: `dbt build` {NO_RESULTS}"]
    log = Path(run.environment["DBT_LOG_PATH"], "dbt.log")
    count, killed = log.read_text().count(words), run.start("dbt", "build")
    while log.read_text().count(words) == count and not killed.wait(0.05):
        pass
    killed.kill()
    killed.communicate()
    passes(run("publish", "history"))
    for folder in ("DBT_TARGET_PATH", "DBT_LOG_PATH"):
        shutil.rmtree(run.environment[folder])
    report = passes(run("publish", "report"))
    assert report.startswith("2 errors and ")
    assert re.search(r"^  \d\d passed, [12] warned, 1 failed$", report, re.MULTILINE)
    recovered = [f"recovered: {what}" for what in ("`dbt build`", f"test `{test}`")]
    assert sorted(record(*BUILD[1:])) == recovered
    commands = f"select command, status, is_part from {run.raw}.runs where node = ''"
    assert warehouse.rows(f"{commands} order by ended_at") == [
        ("source freshness", "success", False),
        ("build", "success", False),
        ("test", "error", True),
        *2 * [("build", "no results", True)],
        ("build", "success", False),
    ]


def test_build_is_compared_with_builds_of_as_many_loads(alert_host: AlertHost) -> None:
    rows, loads = alert_host.warehouse.rows, f"{alert_host.run.analytics}.loads"
    mb = "if(node like 'model.%.{}', {}, if(node like 'model.%.loads', 10, 0)) * 1048576"

    def record(users: int, idle: bool = False) -> None:
        built_at = f"(select max(built_at) from {loads})"
        started_at = "current_timestamp()" if idle else built_at
        alert_host.record(bytes_billed=mb.format("users", users), started_at=started_at)

    assert rows(f"select count(*) from {loads}") == [(1,)]
    for number in range(6):
        record(10 + number)
    for _ in range(6):
        record(1, idle=True)
    record(14)
    assert alert_host.posted_lines() == []
    record(60)
    (line,) = alert_host.posted_lines()
    assert re.match(
        r"warning: `dbt build` billed 70 MB, 3\.\d times the 2\d MB that are usual with 1 new "
        r"load; most of it \(60 MB\) for `users`",
        line,
    )
    assert alert_host.posted_lines() == []  # no newer build
    record(12)
    assert alert_host.posted_lines() == ["recovered: the bytes that `dbt build` billed"]


def test_unfinished_load_stays_until_it_is_in_the_ledger(
    alert_host: AlertHost, warehouse: Warehouse
) -> None:
    run, raw = alert_host.run, alert_host.run.raw
    for load_id in ("one", "<two>"):
        passes(run("ingest", "--users", "5", "--load-id", load_id))
    warehouse.rows(f"delete from {raw}.loads where load_id = '<two>'")
    assert alert_host.posted_lines() == []  # within the grace period

    def make_older(table: str, column: str, days: int) -> None:
        earlier = f"timestamp_sub({column}, interval {days} day)"
        warehouse.rows(f"update {raw}.{table} set {column} = {earlier} where {column} is not null")

    make_older("users", "loaded_at", 1)
    not_finished = "load `&lt;two&gt;` is not finished, 5 users are in raw: run it again"
    assert alert_host.posted_lines() == [f"error: {not_finished}"]
    assert alert_host.posted_lines() == []
    make_older("users", "loaded_at", 30)
    make_older("alerts", "said_at", 30)
    assert alert_host.posted_lines() == [f"still error: {not_finished}"]
    passes(run("ingest", "--users", "5", "--load-id", "<two>"))
    assert alert_host.posted_lines() == ["recovered: load `&lt;two&gt;`"]


def test_held_back_load_is_named_until_a_person_decides(
    run: Run, slack: FakeSlack, warehouse: Warehouse, tmp_path: Path
) -> None:
    def lines_of_load(**settings: str) -> list[str]:
        lines = host.posted_lines(ALERT_REPEAT_HOURS="0.000001", **settings)
        assert "loads_have_few_rejected_users" not in str(lines)
        return [line for line in lines if "load `odd`" in line]

    def build() -> int:
        done = run(*BUILD, LOAD_ID="odd")
        return run(
            "publish", "history", "--exit-status", str(done.returncode), LOAD_ID="odd"
        ).returncode

    host = AlertHost(run, warehouse, slack)
    held_back = "error: load `odd` is held back until `python -m ingest --accept odd` or "
    held_back += "`--set-aside odd`: 1 of 2 users are rejected: the user is not a JSON object that "
    held_back += "BigQuery can read (1)"
    land_texts(run, tmp_path / "odd.json", "odd", ["null", json.dumps(user(1))])
    assert build() == 3
    because = "; because of that task `build` of load `odd` failed"
    tasks = {"ALERT_TASKS": "build=failed", "ALERT_LOAD_ID": "odd"}
    assert lines_of_load(**tasks) == [held_back + because]

    places = [f"{run.raw}.users", f"{run.raw}.loads", f"{run.analytics}.loads"]
    places += [f"{run.analytics}_restricted.base_randomuser__users"]
    for table, column in product(places, ["loaded_at", "started_at"]):
        if column == "loaded_at" or table.endswith(".loads"):
            earlier = f"timestamp_sub({column}, interval 4 day)"
            warehouse.rows(f"update {table} set {column} = {earlier} where {ALL_TIME}")
    passes(run("ingest", "--users", "5"))
    assert build() == 3
    passes(run("dbt", "build", "--select", "users"))  # a build of a part does not test all loads
    passes(run("publish", "history"))
    assert lines_of_load() == [f"still {held_back}"]

    passes(run("ingest", "--accept", "odd"))
    assert build() == 0
    assert lines_of_load() == ["recovered: held-back load `odd`"]


def test_bigquery_outage_is_sent_with_failed_tasks(alert_host: AlertHost) -> None:
    outage = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "ALERT_TASKS": "ingest=failed"}
    assert alert_host.posted_lines(**outage) == [
        "error: BigQuery refused or did not answer (RetryError): nothing else could be checked",
        "error: task `ingest` failed: its log says why",
    ]
    without_webhook = alert_host.run_alert(**outage | {"SLACK_WEBHOOK_URL": ""})
    assert without_webhook.returncode == 1
    assert "BigQuery refused or did not answer" in without_webhook.stderr


def test_mart_that_is_gone_is_named(alert_host: AlertHost) -> None:
    runs, missing = f"{alert_host.run.raw}.runs", f"{alert_host.run.analytics}.is_gone"
    alert_host.warehouse.rows(
        f"update {runs} set relation = '{missing}' where node = 'model.randomuser.loads'"
    )
    gone = f"table `{missing}` does not exist"
    assert alert_host.posted_lines() == [f"error: {gone}"]
    assert f"error: {gone}" in " ".join(passes(alert_host.run("publish", "report")).split())


def test_dataset_of_an_earlier_version_is_named(alert_host: AlertHost) -> None:
    alert_host.warehouse.rows(
        f"create or replace table {alert_host.run.raw}.users (load_id string)"
    )
    (line,) = alert_host.posted_lines()
    assert "is of an earlier version: docs/upgrade.md has the statements" in line
    done = alert_host.run("publish", "history")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "publish: local-project" in done.stderr and "docs/upgrade.md" in done.stderr


def test_alert_is_repeated_after_alert_repeat_hours(
    alert_host: AlertHost, warehouse: Warehouse
) -> None:
    alert_host.record_freshness("error", 25)
    assert alert_host.posted_lines() == [f"error: {STALE}"]
    alerts = f"{alert_host.run.raw}.alerts"
    warehouse.rows(
        f"update {alerts} set said_at = timestamp_sub(said_at, interval 2 hour) where true"
    )
    assert alert_host.posted_lines() == []
    assert alert_host.posted_lines(ALERT_REPEAT_HOURS="1.9") == [f"still error: {STALE}"]
    assert alert_host.posted_lines(ALERT_REPEAT_HOURS="1.9") == []
    sent = warehouse.rows(f"select key, state, message from {alerts}")
    assert sent == [("source:randomuser.users", "error", STALE)] * 2


def test_hosts_share_what_is_known_and_sent(make_alert_host: MakeAlertHost) -> None:
    first, second = make_alert_host(), make_alert_host()
    first.record_freshness("error", 25)
    assert second.posted_lines() == [f"error: {STALE}"]
    assert first.posted_lines() == []
    second.record_freshness("pass", 0)
    assert first.posted_lines() == ["recovered: source `randomuser.users`"]
    assert second.posted_lines() == []


@pytest.mark.parametrize("command", ["build", "source freshness"])
def test_what_is_older_than_the_limit_is_an_error(alert_host: AlertHost, command: str) -> None:
    old = "timestamp_sub(current_timestamp(), interval 25 hour)"
    alert_host.warehouse.rows(
        f"update {alert_host.run.raw}.runs set ended_at = {old} where command = '{command}'"
    )
    (line,) = alert_host.posted_lines()
    assert re.fullmatch(
        rf"error: no whole `dbt {command}` is recorded since .* UTC, the limit is 24 hours", line
    )
    assert alert_host.posted_lines() == []


def test_alert_beyond_max_lines_is_recorded(alert_host: AlertHost) -> None:
    runs = f"{alert_host.run.raw}.runs"
    alert_host.warehouse.rows(
        f"insert into {runs} (invocation_id, command, node, status, ended_at, is_part) "
        "select 'a', 'run', concat('model.randomuser.m', n), 'error', current_timestamp(), true "
        "from unnest(generate_array(1, 40)) as n"
    )
    assert alert_host.posted_lines()[-1].startswith("... and 10 more: ")
    assert alert_host.posted_lines() == []
