"""The DAG, run by `dag.test()`: every task in this process, its command in its own process."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import Project

from local.airflow import ROOT

pytestmark = pytest.mark.usefixtures("database", "project")
FILE = ROOT / "dags/randomuser.py"
TASKS = ["ingest", "freshness", "build", "publish", "alert", "heartbeat"]
AT_FIVE = datetime(2026, 1, 1, 5, tzinfo=UTC)
FROM_FIVE = "2026-01-01T05:00:00+00:00"


def load_dag() -> Any:
    """Load the DAG with the settings of the test."""
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 -- reads Airflow's tables

    bag = DagBag(str(FILE.parent))
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert list(bag.dags) == ["randomuser"]
    return bag.dags["randomuser"]


def read_states(run: Any) -> dict[str, str]:
    """Return the state of every task of a run."""
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def test_dag_parses_without_warnings() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", FILE], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert [task.task_id for task in load_dag().topological_sort()] == TASKS


def test_dag_limits_runs_retries_and_time() -> None:
    dag = load_dag()
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    for task in dag.tasks:
        assert (task.retries, task.retry_exponential_backoff) == (3, 2.0)
        assert task.execution_timeout
        assert task.max_active_tis_per_dag == 1


@pytest.mark.parametrize(
    ("schedule", "interval"),
    [
        ("0 * * * *", "hour"),
        ("*/20 * * * *", "hour"),
        ("0 */6 * * *", "day"),
        ("30 5 * * *", "day"),
        ("0 5 * * 1-5", "null"),
        ("0 0 1 * *", "null"),
    ],
)
def test_schedule_tells_dbt_how_often_a_load_comes(
    monkeypatch: pytest.MonkeyPatch, schedule: str, interval: str
) -> None:
    monkeypatch.setenv("RANDOMUSER_SCHEDULE", schedule)
    command = load_dag().get_task("build").bash_command
    assert f" --vars 'load_interval: {interval}'; " in command


def test_build_has_the_marts_as_outlets(project: Project) -> None:
    dataset = project.environment["ANALYTICS_DATASET"]
    assert [asset.uri for asset in load_dag().get_task("build").outlets] == [
        f"bigquery://local-project/{dataset}/users",
        f"bigquery://local-project/{dataset}_restricted/logins",
        f"bigquery://local-project/{dataset}/locations",
    ]


def test_tasks_share_no_disk_and_second_run_of_an_interval_changes_nothing(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    run = load_dag().test(logical_date=AT_FIVE)
    assert run.state == "success"
    assert read_states(run) == dict.fromkeys(TASKS, "success")
    record = "python -m publish history --exit-status 0"
    assert [call[0] for call in project.read_calls()] == [
        f"python -m ingest --load-id {FROM_FIVE}",
        "dbt source freshness --vars load_interval: hour",
        record,
        "dbt build --exclude-resource-type unit_test --vars load_interval: hour",
        record,
        "python -m publish csv",
        "python -m publish report",
        "python -m publish alert",
        "python -m publish heartbeat",
    ]
    assert "No changes to send; errors and warnings sent before: 0" in capfd.readouterr().out
    exported = read_export(project, run)
    before = read_marts(project)
    assert project.count_loads() == [[FROM_FIVE, 100]]
    assert len(before) == 300
    recorded = "select command, status, load_id from {raw}.runs where node = '' order by 1"
    assert project.query_rows(recorded) == [
        ["build", "success", FROM_FIVE],
        ["source freshness", "success", FROM_FIVE],
    ]

    again = load_dag().test(logical_date=AT_FIVE)
    assert again.state == "success"
    assert read_marts(project) == before
    assert project.count_loads() == [[FROM_FIVE, 100]]
    assert read_export(project, again) == exported


def read_export(project: Project, run: Any) -> bytes:
    """Return the CSV of users, which is on the disk of `publish` alone."""
    (file,) = project.folder.glob(f"disks/{run.run_id}/*/exports/users.csv")
    assert file.parts[-3] == "publish-1"
    return file.read_bytes()


def read_marts(project: Project) -> list[list[object]]:
    """Return every row of the marts, as JSON."""
    return project.query_rows(
        "select 'users', to_json_string(t) from {analytics}.users t union all "
        "select 'logins', to_json_string(t) from {analytics}_restricted.logins t union all "
        "select 'locations', to_json_string(t) from {analytics}.locations t order by 1, 2"
    )


def test_run_without_data_interval_lands_its_own_load(project: Project) -> None:
    run = load_dag().test(
        logical_date=None, mark_success_pattern="freshness|build|publish|alert|heartbeat"
    )
    assert run.state == "success"
    assert project.count_loads() == [[run.run_id, 100]]


def test_killed_ingest_is_retried_and_lands_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_killing_api(project) as url:
        monkeypatch.setenv("RANDOMUSER_URL", url)
        run = load_dag().test(
            logical_date=AT_FIVE, mark_success_pattern="freshness|build|publish|alert|heartbeat"
        )
    assert run.state == "success"
    assert len(project.read_calls()) == 2
    assert project.count_loads() == [[FROM_FIVE, 100]]


@contextmanager
def run_killing_api(project: Project) -> Iterator[str]:
    """Forward requests to the API, but kill the process that sends the first one."""
    url, paths = os.environ["RANDOMUSER_URL"], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            if len(paths) == 1:
                os.kill(int(project.read_calls()[0][1]), signal.SIGKILL)
                return
            body = requests.get(url.split("/api/")[0] + self.path, timeout=60).content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/api/"
        server.shutdown()


def test_failing_test_of_dbt_is_built_once(project: Project, tmp_path: Path) -> None:
    info = {"seed": "s", "results": 20, "page": 1, "version": "1.4"}
    file = tmp_path / "without_keys.json"  # too many of the load are rejected: it is held back
    file.write_text(json.dumps({"results": [{"gender": "male"}] * 20, "info": info}))
    project.run_python("-m", "ingest", "--load-id", FROM_FIVE, "--from-file", file)
    assert count_tries(project, "build") == 1


def test_stale_source_is_checked_once(project: Project) -> None:
    project.run_python("-m", "ingest", "--load-id", FROM_FIVE)
    project.query_rows(
        "update {raw}.users set loaded_at = timestamp_sub(loaded_at, interval 25 hour) where true"
    )
    assert count_tries(project, "freshness") == 1


def test_killed_build_is_tried_four_times(project: Project) -> None:
    project.replace_commands('*" dbt build"*) kill -KILL $$;;')
    assert count_tries(project, "build") == 4


def count_tries(project: Project, failing: str) -> int:
    """Run the DAG from the `failing` task; return how often it ran dbt, after checks of the run."""
    first = TASKS.index(failing)
    run = load_dag().test(logical_date=AT_FIVE, mark_success_pattern="|".join(TASKS[:first]))
    assert run.state == "failed"
    states = {
        **dict.fromkeys(TASKS[:first], "success"),
        failing: "failed",
        **dict.fromkeys(TASKS[first + 1 :], "upstream_failed"),
    }
    assert read_states(run) == states | {"alert": "success"}
    *tries, alert = project.read_calls()
    assert [call[0].split()[0] for call in tries] == ["dbt", "python"] * (len(tries) // 2)
    told = dict(pair.split("=") for pair in alert[-2].split(","))
    assert (alert[0], alert[-1]) == ("python -m publish alert", FROM_FIVE)
    assert {name: told[name] for name in TASKS[:4]} == {name: states[name] for name in TASKS[:4]}
    return len(tries) // 2


def test_run_fails_if_its_alert_was_not_sent(project: Project) -> None:
    project.replace_commands("*alert) exit 1;;")
    others = TASKS[:4]
    run = load_dag().test(logical_date=AT_FIVE, mark_success_pattern="|".join(others))
    failed = {"alert": "failed", "heartbeat": "upstream_failed"}
    assert read_states(run) == dict.fromkeys(others, "success") | failed
    assert run.state == "failed"
