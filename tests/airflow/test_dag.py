"""The DAG, run by `dag.test()`: every task in this process, its command beside it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from conftest import Project

from local.airflow import ROOT

pytestmark = pytest.mark.usefixtures("database", "project")
FILE = ROOT / "dags/randomuser.py"
TASKS = ["ingest", "freshness", "build", "publish", "alert"]
AT_FIVE = datetime(2026, 1, 1, 5, tzinfo=UTC)
FROM_FOUR = "2026-01-01T04:00:00+00:00"


def dag() -> Any:
    """Return the DAG, read anew with the settings of the test."""
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 -- reads Airflow's tables

    bag = DagBag(str(FILE.parent))
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert list(bag.dags) == ["randomuser"]
    return bag.dags["randomuser"]


def states(run: Any) -> dict[str, str]:
    """Return the state of every task of a run."""
    return {one.task_id: str(one.state) for one in run.get_task_instances()}


def test_it_parses_with_no_warning() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", FILE], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert [task.task_id for task in dag().topological_sort()] == TASKS


def test_it_is_careful() -> None:
    made = dag()
    assert (made.catchup, made.max_active_runs) == (False, 1)
    for task in made.tasks:
        assert (task.retries, task.retry_exponential_backoff) == (3, 2.0)
        assert task.execution_timeout
        assert task.max_active_tis_per_dag == 1


def test_the_marts_are_announced_as_assets(project: Project) -> None:
    dataset = project.environment["ANALYTICS_DATASET"]
    assert [asset.uri for asset in dag().get_task("build").outlets] == [
        f"bigquery://local-project/{dataset}/users",
        f"bigquery://local-project/{dataset}_restricted/logins",
        f"bigquery://local-project/{dataset}/locations",
    ]


def test_it_runs_whole_and_the_same_interval_twice_changes_nothing(project: Project) -> None:
    run = dag().test(logical_date=AT_FIVE)
    assert run.state == "success"
    assert states(run) == dict.fromkeys(TASKS, "success")
    assert [call[0] for call in project.calls()] == [
        f"python -m ingest --load-id {FROM_FOUR}",
        "dbt source freshness",
        "dbt build --exclude-resource-type unit_test",
        "python -m publish csv",
        "python -m publish report",
        "python -m publish alert",
    ]
    exported = (project.folder / "exports/users.csv").read_bytes()
    before = tables(project)
    assert project.loads() == [[FROM_FOUR, 100]]
    assert len(before) == 300

    again = dag().test(logical_date=AT_FIVE)
    assert again.state == "success"
    assert tables(project) == before
    assert project.loads() == [[FROM_FOUR, 100]]
    assert (project.folder / "exports/users.csv").read_bytes() == exported


def tables(project: Project) -> list[list[object]]:
    """Return every row of the marts, as JSON."""
    return project.rows(
        "select 'users', to_json_string(t) from {analytics}.users t union all "
        "select 'logins', to_json_string(t) from {analytics}_restricted.logins t union all "
        "select 'locations', to_json_string(t) from {analytics}.locations t order by 1, 2"
    )


def test_a_run_with_no_data_interval_is_a_load_of_its_own(project: Project) -> None:
    run = dag().test(logical_date=None, mark_success_pattern="freshness|build|publish|alert")
    assert run.state == "success"
    assert project.loads() == [[run.run_id, 100]]


def test_a_killed_ingest_is_tried_again_and_lands_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_that_kills(project) as url:
        monkeypatch.setenv("RANDOMUSER_URL", url)
        run = dag().test(logical_date=AT_FIVE, mark_success_pattern="freshness|build|publish|alert")
    assert run.state == "success"
    assert len(project.calls()) == 2
    assert project.loads() == [[FROM_FOUR, 100]]


@contextmanager
def api_that_kills(project: Project) -> Iterator[str]:
    """Pass the questions on, but kill who asks the first one."""
    url, asked = os.environ["RANDOMUSER_URL"], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) == 1:
                os.kill(int(project.calls()[0][1]), signal.SIGKILL)
                return
            body = requests.get(url.split("/api/")[0] + self.path, timeout=60).content
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/api/"
        server.shutdown()


@pytest.mark.parametrize(
    ("failing", "command", "before", "after"),
    [
        ("freshness", "dbt source freshness", ["ingest"], ["build", "publish"]),
        ("build", "dbt build", ["ingest", "freshness"], ["publish"]),
    ],
    ids=["stale", "failing build"],
)
def test_the_alert_is_told_what_failed_and_the_run_has_failed(
    project: Project, failing: str, command: str, before: list[str], after: list[str]
) -> None:
    project.meddle(f'*" {command}"*) exit 1;; *alert) exit 0;;')
    run = dag().test(logical_date=AT_FIVE, mark_success_pattern="|".join(before))
    assert run.state == "failed"
    assert states(run) == {
        **dict.fromkeys(before, "success"),
        failing: "failed",
        **dict.fromkeys(after, "upstream_failed"),
        "alert": "success",
    }
    *failed, alert = project.calls()
    assert len([call for call in failed if call[0].startswith(command)]) == len(failed) == 4
    assert (alert[0], *alert[-2:]) == ("python -m publish alert", failing, FROM_FOUR)
