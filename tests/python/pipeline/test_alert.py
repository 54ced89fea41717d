"""`python -m publish alert` with real files of dbt, a real ledger and the fake Slack."""

import json
import re
import shutil
from itertools import product
from pathlib import Path
from uuid import uuid4

from support.alert_harness import MODEL, STALE, AlertHost, MakeAlertHost, read_warnings
from support.commands import BUILD, Run, passes
from support.factories import user
from support.fake_slack import FakeSlack
from support.odd_users import land_texts
from support.proxy import proxy
from support.warehouse import Warehouse

from publish.artifacts import FILES

UNIQUE = "unique_logins_password"  # really warns: the build's passwords come from a short list
ALL_TIME = "loaded_at >= timestamp '1970-01-01'"


def test_source_without_loads_stale_and_fresh(
    run: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    host = AlertHost(run, Path(run.environment["DBT_TARGET_PATH"]), slack)
    assert host.posted_lines() == [
        "error: no source's freshness has been checked: run `dbt source freshness`"
    ]
    assert run("dbt", "source", "freshness").returncode == 1
    assert sorted(host.posted_lines()) == [
        "error: source `randomuser.users` is stale: it has no recent load, the limit is 24 hours",
        "recovered: the freshness of the sources",
    ]
    passes(run("ingest", "--users", "10"))
    passes(run("dbt", "source", "freshness"))
    assert host.posted_lines() == ["recovered: source `randomuser.users`"]
    warehouse.rows(
        f"update {run.raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) "
        f"where {ALL_TIME}"
    )
    assert run("dbt", "source", "freshness").returncode == 1
    assert host.posted_lines() == [f"error: {STALE}"]
    assert host.posted_lines() == []


def test_warning_has_row_count_and_table_but_no_user(
    built: Run, slack: FakeSlack, warehouse: Warehouse
) -> None:
    host = AlertHost(built, Path(built.environment["DBT_TARGET_PATH"]), slack)
    lines = host.posted_lines()
    warnings = read_warnings(host.target)
    assert UNIQUE in warnings and len(lines) == len(warnings)
    stored = warnings[UNIQUE]["relation_name"].replace("`", "")
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


def test_reads_last_build_after_other_dbt_commands(alert_host: AlertHost) -> None:
    settings = {"DBT_TARGET_PATH": str(alert_host.target)}
    alert_host.set_build_results(logins={"status": "error"})
    passes(alert_host.run("dbt", "show", "--inline", "select 1 as one", **settings))
    results = json.loads((alert_host.target / "run_results.json").read_text())
    assert results["args"]["which"] == "show"
    assert alert_host.posted_lines() == ["error: model `logins` was not built: dbt's log says why"]
    report = passes(alert_host.run("publish", "report"))
    assert re.search(r"^  \d\d passed, 0 warned, 0 failed$", report, re.MULTILINE)

    (alert_host.target / FILES["build"]).unlink()
    assert "no results of a `dbt build` were found" in alert_host.run_alert().stdout
    no_build = alert_host.run("publish", "report")
    assert no_build.returncode == 1 and "run `dbt build` first" in no_build.stderr


def test_runs_of_dbt_are_recorded_once(built: Run, warehouse: Warehouse, tmp_path: Path) -> None:
    target = shutil.copytree(built.environment["DBT_TARGET_PATH"], tmp_path / "target")
    settings = {"RAW_DATASET": f"raw_{uuid4().hex[:12]}", "DBT_TARGET_PATH": str(target)}
    with proxy(warehouse.url) as served:
        run = Run(built.environment | settings | {"BIGQUERY_EMULATOR_HOST": served.url})
        served.before = lambda sent: served.fail(sent, "lost") if sent.method == "PUT" else None
        assert run("publish", "history").returncode == 1
        served.before = lambda _: None
        passes(run("publish", "history", "--load-id", "05:00"))
        sources = target / FILES["sources"]
        sources.write_text(sources.read_text().replace('"invocation_id": "', '"invocation_id": "2'))
        for _ in range(2):
            passes(run("publish", "history"))
    fields = ("unique_id", "status", "failures", "execution_time")
    results = json.loads((target / "run_results.json").read_text())["results"]
    expected = [
        ("build", "05:00", *map(result.get, fields))
        for result in results
        if not result["unique_id"].startswith("operation.")
    ]
    (result,) = json.loads(sources.read_text())["results"]
    checks = [("source freshness", load, *map(result.get, fields)) for load in ("05:00", None)]
    columns = "command, load_id, node, status, failures, seconds"
    rows = warehouse.rows(f"select {columns} from {run.raw}.runs")
    assert sorted(rows, key=str) == sorted(expected + checks, key=str)


def test_line_of_failed_model_names_what_it_stopped(alert_host: AlertHost) -> None:
    names = ["loads", "users", "locations", "users_history"]
    skipped = {name: {"status": "skipped"} for name in names}
    alert_host.set_build_results(base_randomuser__users={"status": "error"}, **skipped)
    (line,) = alert_host.posted_lines(ALERT_FAILED_TASKS="build", ALERT_LOAD_ID="05:00")
    cause, not_built = line.split(" failed and 4 models were not built: ")
    assert cause == (
        "error: model `base_randomuser__users` was not built: dbt's log says why; "
        "because of that task `build` of load `05:00`"
    )
    assert sorted(not_built.split(", ")) == sorted(names)
    assert alert_host.posted_lines() == []
    alert_host.set_build_results(base_randomuser__users={"status": "success"})
    recovered = ["recovered: model `base_randomuser__users`"]
    assert alert_host.posted_lines(ALERT_FAILED_TASKS="") == recovered


def test_costly_build_is_sent(alert_host: AlertHost, warehouse: Warehouse) -> None:
    passes(alert_host.run("publish", "history"))
    runs = f"{alert_host.run.raw}.runs"
    warehouse.rows(
        f"insert into {runs} (invocation_id, command, node, status, bytes_billed, ended_at) "
        "select concat('build ', hours), 'build', concat('model.randomuser.', name), 'success', "
        "if(name = 'users' and hours = 0, 40, 10) * 1048576, "
        "timestamp_sub(current_timestamp(), interval hours hour) "
        "from unnest(generate_array(0, 5)) as hours, unnest(['logins', 'users']) as name"
    )
    billed = "`dbt build` billed 50 MB, 2.5 times the usual 20 MB; most of it (40 MB) for `users`"
    assert alert_host.posted_lines() == []
    (line,) = alert_host.posted_lines(ALERT_BILLED_RATIO="2.4")
    assert line.startswith(f"warning: {billed}: expected only for a full refresh or after")
    update = f"update {runs} set {{}} where invocation_id like 'build %'"
    warehouse.rows(update.format("bytes_billed = 10000000"))
    assert alert_host.posted_lines() == []  # no newer build
    warehouse.rows(update.format("ended_at = current_timestamp()"))
    assert alert_host.posted_lines() == ["recovered: the bytes that `dbt build` billed"]


def test_unfinished_load_is_sent_and_recovers(alert_host: AlertHost, warehouse: Warehouse) -> None:
    run, raw = alert_host.run, alert_host.run.raw
    for load_id in ("one", "<two>"):
        passes(run("ingest", "--users", "5", "--load-id", load_id))
    warehouse.rows(f"delete from {raw}.loads where load_id = '<two>'")
    assert alert_host.posted_lines() == []  # within the grace period
    warehouse.rows(
        f"update {raw}.users set loaded_at = timestamp_sub(loaded_at, interval 1 hour) "
        f"where {ALL_TIME}"
    )
    assert alert_host.posted_lines() == [
        "error: load `&lt;two&gt;` is not finished, 5 users are in raw: run it again"
    ]
    assert alert_host.posted_lines() == []
    passes(run("ingest", "--users", "5", "--load-id", "<two>"))
    assert alert_host.posted_lines() == ["recovered: load `&lt;two&gt;`"]


def test_held_back_load_is_named_until_a_person_decides(
    run: Run, slack: FakeSlack, warehouse: Warehouse, tmp_path: Path
) -> None:
    def lines_of_load(**settings: str) -> list[str]:
        lines = host.posted_lines(ALERT_REPEAT_HOURS="0.000001", **settings)
        assert "loads_have_few_rejected_users" not in str(lines)
        return [line for line in lines if "load `odd`" in line]

    def build() -> bool:
        done = run(*BUILD)
        assert ("load_id=odd, rejected=1, users=2" in done.stdout) is bool(done.returncode)
        return done.returncode == 0

    host = AlertHost(run, tmp_path / "target", slack)
    held_back = "error: load `odd` is held back until `python -m ingest --accept odd` or "
    held_back += "`--set-aside odd`: 1 of 2 users are rejected: the user is not a JSON object that "
    held_back += "BigQuery can read (1)"
    land_texts(run, tmp_path / "odd.json", "odd", ["null", json.dumps(user(1))])
    assert not build()
    because = "; because of that task `build` failed"
    assert lines_of_load(ALERT_FAILED_TASKS="build") == [held_back + because]

    places = [f"{run.raw}.users", f"{run.raw}.loads", f"{run.analytics}.loads"]
    places += [f"{run.analytics}_restricted.base_randomuser__users"]
    for table, column in product(places, ["loaded_at", "started_at"]):
        if column == "loaded_at" or table.endswith(".loads"):
            earlier = f"timestamp_sub({column}, interval 4 day)"
            warehouse.rows(f"update {table} set {column} = {earlier} where {ALL_TIME}")
    passes(run("ingest", "--users", "5"))
    assert not build()
    passes(run("dbt", "build", "--select", "users"))  # a build of a part does not test all loads
    assert lines_of_load() == [f"still {held_back}"]

    passes(run("ingest", "--accept", "odd"))
    assert build()
    assert lines_of_load() == ["recovered: held-back load `odd`"]


def test_failed_task_recovers_only_when_scheduler_reports(alert_host: AlertHost) -> None:
    assert alert_host.posted_lines(ALERT_FAILED_TASKS="ingest, build", ALERT_LOAD_ID="05:00") == [
        "error: task `build` of load `05:00` failed: its log says why",
        "error: task `ingest` of load `05:00` failed: its log says why",
    ]
    assert alert_host.posted_lines() == []  # run by hand: the tasks are not known
    assert alert_host.posted_lines(ALERT_FAILED_TASKS="build") == ["recovered: task `ingest`"]
    assert alert_host.posted_lines(ALERT_FAILED_TASKS="") == ["recovered: task `build`"]


def test_bigquery_outage_is_sent_with_failed_tasks(alert_host: AlertHost) -> None:
    outage = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "ALERT_FAILED_TASKS": "ingest"}
    assert alert_host.posted_lines(**outage) == [
        "error: BigQuery refused or did not answer (RetryError): nothing else could be checked",
        "error: task `ingest` failed: its log says why",
    ]
    without_webhook = alert_host.run_alert(**outage | {"SLACK_WEBHOOK_URL": ""})
    assert without_webhook.returncode == 1
    assert "BigQuery refused or did not answer" in without_webhook.stderr


def test_alert_is_repeated_after_alert_repeat_hours(
    alert_host: AlertHost, warehouse: Warehouse
) -> None:
    alert_host.set_freshness("error", 25)
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


def test_hosts_share_sent_alerts(make_alert_host: MakeAlertHost) -> None:
    first, second = make_alert_host(), make_alert_host()
    for host in (first, second):
        host.set_freshness("error", 25)
    assert first.posted_lines() == [f"error: {STALE}"]
    assert second.posted_lines() == []
    second.set_freshness("pass", 0)
    assert second.posted_lines() == ["recovered: source `randomuser.users`"]
    assert first.posted_lines() == []  # its files are older than the recovery


def test_alert_beyond_max_lines_is_recorded(alert_host: AlertHost) -> None:
    errors = [{"unique_id": f"{MODEL}_{number}", "status": "error"} for number in range(40)]
    alert_host.rewrite_artifact("build", lambda build: build.update(results=errors))
    assert alert_host.posted_lines()[-1].startswith("... and 10 more: ")
    assert alert_host.posted_lines() == []
