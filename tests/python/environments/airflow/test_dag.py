"""The DAG, run by `dag.test()`: every task in this process, its command in its own process."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

from dags.service import ROOT

pytestmark = pytest.mark.usefixtures("database", "project")
FILE = ROOT / "dags/randomuser.py"
TASKS = ["ingest", "freshness", "build", "publish", "alert", "heartbeat"]
AT_FIVE = datetime(2026, 1, 1, 5, tzinfo=UTC)
FROM_FIVE = "2026-01-01T05:00:00+00:00"


def load_dag(folder: Path = FILE.parent) -> Any:
    """Load the DAG with the settings of the test."""
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 -- reads Airflow's tables

    bag = DagBag(str(folder))
    assert bag.import_errors == bag.captured_warnings == {}
    assert list(bag.dags) == ["randomuser"]
    return bag.dags["randomuser"]


def read_states(run: Any) -> dict[str, str]:
    """Return the state of every task of a run."""
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def test_dag_limits_runs_retries_and_time() -> None:
    file = [sys.executable, "-W", "error", FILE]
    parsed = subprocess.run(file, capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stdout, parsed.stderr) == (0, "", "")
    dag = load_dag()
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    for task in dag.tasks:
        assert (task.retries, task.retry_exponential_backoff) == (3, 2.0)
        assert task.execution_timeout
        assert task.max_active_tis_per_dag == 1


@pytest.mark.parametrize(
    ("schedule", "interval"),
    [("*/20 * * * *", "hour"), ("0 */6 * * *", "day"), ("0 5 * * 1-5", "null")],
)
def test_schedule_tells_dbt_how_often_a_load_comes(
    monkeypatch: pytest.MonkeyPatch, schedule: str, interval: str
) -> None:
    monkeypatch.setenv("RANDOMUSER_SCHEDULE", schedule)
    command = load_dag().get_task("build").bash_command
    assert f" --vars 'load_interval: {interval}'; " in command


def test_tasks_share_no_disk_and_an_interval_lands_once(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    run = load_dag().test(logical_date=AT_FIVE)
    assert run.state == "success"
    assert read_states(run) == dict.fromkeys(TASKS, "success")
    ingest = f"python -m ingest --load-id {FROM_FIVE}"
    record = "python -m publish history --exit-status 0"
    assert [call[0] for call in project.read_calls()] == [
        ingest,
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
    (exported,) = project.folder.glob("disks/*/publish-1/exports/users.csv")
    assert exported.read_text().count("\n") == 101

    again = load_dag().test(logical_date=AT_FIVE, mark_success_pattern="|".join(TASKS[1:]))
    assert again.state == "success"
    assert project.read_calls()[-1][0] == ingest
    assert project.count_loads() == {FROM_FIVE: 100}


def test_killed_ingest_of_run_without_data_interval_is_retried_with_its_load_id(
    project: Project,
) -> None:
    mark = project.folder / "killed"
    project.replace_commands(f"*ingest*) [ -e {mark} ] || {{ touch {mark}; kill -KILL $$; }};;")
    run = load_dag().test(logical_date=None, mark_success_pattern="|".join(TASKS[1:]))
    assert run.state == "success"
    assert len(project.read_calls()) == 2
    assert project.count_loads() == {run.run_id: 100}


# `history` ends with 3 if dbt would fail again in the same way, otherwise with dbt's status.
@pytest.mark.parametrize(
    ("failing", "cases", "tries"),
    [
        ("freshness", "dbt*) exit 1;; *history*) exit 3;;", 1),
        ("build", "dbt*) exit 1;; *history*) exit 3;;", 1),
        ("build", 'dbt*) kill -KILL $$;; *history*) exit "${@: -1}";;', 4),
        ("alert", "*alert) exit 1;;", 4),
    ],
)
def test_failing_task_is_tried_again_if_that_can_help_and_is_alerted(
    project: Project, failing: str, cases: str, tries: int
) -> None:
    project.replace_commands(cases + " *) exit 0;;")
    first = TASKS.index(failing)
    run = load_dag().test(logical_date=AT_FIVE, mark_success_pattern="|".join(TASKS[:first]))
    assert run.state == "failed"
    expected = {"alert": "success"} | dict.fromkeys(TASKS[:first], "success")
    expected |= {failing: "failed"}
    states = read_states(run)
    assert states == dict.fromkeys(TASKS, "upstream_failed") | expected
    calls = project.read_calls()
    words = {"freshness": "dbt source", "build": "dbt build", "alert": "python -m publish alert"}
    assert sum(call[0].startswith(words[failing]) for call in calls) == tries
    command, told, load_id = calls[-1]
    assert (command, load_id) == (words["alert"], FROM_FIVE)
    assert {f"{name}={states[name]}" for name in TASKS[:4]} <= {*told.split(",")}


@pytest.mark.parametrize(
    ("failing", "states"),
    [
        ("*'ingest orders'*", {}),
        ("*'ingest orders'*|*freshness*|*'exit-status 1'*", {"freshness": "failed"}),
        ("*ingest*", dict.fromkeys(TASKS, "upstream_failed") | {"ingest": "failed"}),
    ],
    ids=["a load", "a load, so that it is stale", "all loads"],
)
def test_what_one_source_has_loaded_is_built_though_another_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, failing: str, states: dict[str, str]
) -> None:
    (folder := project.folder / "dags").mkdir()
    text = FILE.read_text().replace('["randomuser"]  #', '["randomuser", "orders"]  #')
    (folder / FILE.name).write_text(text)
    monkeypatch.setenv("RANDOMUSER_PROJECT_DIR", str(ROOT))
    project.replace_commands(f"{failing}) exit 1;; *) exit 0;;")
    run = load_dag(folder).test(logical_date=AT_FIVE)
    always = {"ingest_orders": "failed", "alert": "success", "heartbeat": "upstream_failed"}
    assert run.state == "failed"
    assert read_states(run) == dict.fromkeys(TASKS, "success") | states | always
    alert, tasks, _ = project.read_calls()[-1]
    assert alert == "python -m publish alert" and "ingest_orders=failed" in tasks
