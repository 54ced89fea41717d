"""The DAG under a real scheduler, started as `make airflow` starts it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from conftest import BIN, Project, project_in

from local.airflow import ROOT

SECONDS = 900  # on a busy machine
MONTHS = [f"2025-0{month}-01T00:00:00+00:00" for month in range(1, 6)]


@dataclass
class Airflow:
    """A running Airflow."""

    url: str
    home: Path
    project: Project

    def get(self, path: str) -> Any:
        """Ask its API, as the page does."""
        token = requests.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
        answer = requests.get(
            f"{self.url}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    def __call__(self, *command: str) -> None:
        """Run `airflow COMMAND`."""
        done = subprocess.run(
            [BIN / "python", "-m", "local.airflow", *command],
            cwd=ROOT,
            env=os.environ | self.project.environment | {"LOCAL_DIR": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def finished(self, run_type: str, number: int = 1) -> list[Any]:
        """Wait for so many runs of a type to end, and return all of that type."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            runs = self.get("dags/randomuser/dagRuns?limit=100")["dag_runs"]
            ours = [run for run in runs if run["run_type"] == run_type]
            if sum(run["state"] in ("success", "failed") for run in ours) >= number:
                return ours
            time.sleep(1)
        raise TimeoutError(f"{number} {run_type} runs did not end in {SECONDS} s: {ours}")

    def states(self, run: Any) -> dict[str, str]:
        """Return the state of every task of a run."""
        path = f"dags/randomuser/dagRuns/{run['dag_run_id']}/taskInstances"
        return {one["task_id"]: one["state"] for one in self.get(path)["task_instances"]}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    project = project_in(folder)
    # A month's interval: hardly ever does one end while the tests run.
    project.environment["RANDOMUSER_SCHEDULE"] = "0 0 1 * *"
    # The scheduled run has all of it; in the backfill these would take half of the time.
    project.meddle('backfill*"dbt source"*|backfill*publish*) exit 0;;')
    made = Airflow("", folder, project)
    # Before the scheduler starts: on SQLite, Airflow's backfill may fail beside another writer.
    made("db", "migrate")
    made("dags", "reserialize")
    made(
        *("backfill", "create", "--dag-id", "randomuser"),
        *("--from-date", MONTHS[0], "--to-date", MONTHS[-1], "--max-active-runs", "1"),
    )
    # As a service is started: with no shell around it. What bash would read then is a trap.
    (folder / ".bashrc").write_text("PATH=/nowhere\n")
    outer = {name: value for name, value in os.environ.items() if name != "SHLVL"}
    process = subprocess.Popen(
        [BIN / "python", "-m", "local.airflow"],
        cwd=ROOT,
        env=outer | project.environment | {"LOCAL_DIR": str(folder), "HOME": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        said = process.stdout.readline().split()
        assert said[0] == "Airflow:"
        assert said[1].endswith("/dags/randomuser")
        made.url = said[1].removesuffix("/dags/randomuser")
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_a_real_scheduler_runs_the_last_interval_once(airflow: Airflow) -> None:
    (run,) = airflow.finished("scheduled")
    assert run["state"] == "success"
    assert set(airflow.states(run).values()) == {"success"}
    load_id = run["data_interval_start"].replace("Z", "+00:00")
    assert [load for load in airflow.project.loads() if load[0] not in MONTHS] == [[load_id, 100]]
    events = airflow.get(f"assets/events?source_run_id={quote(run['dag_run_id'])}")["asset_events"]
    assert {event["uri"].split("/")[-1] for event in events} == {"users", "logins", "locations"}


def test_a_backfill_of_five_intervals_lands_five_loads(airflow: Airflow) -> None:
    runs = airflow.finished("backfill", 5)
    assert [run["state"] for run in runs] == ["success"] * 5
    loads = airflow.project.loads()
    assert loads[:5] == [[month, 100] for month in MONTHS]
    assert airflow.project.rows("select count(*) from {analytics}.users") == [[100 * len(loads)]]


def test_a_killed_task_leads_to_the_alert_and_the_run_has_failed(airflow: Airflow) -> None:
    airflow.finished("scheduled")
    airflow.finished("backfill", 5)
    before = airflow.project.loads()
    # $PPID is Airflow's own process of the task: it can tell nobody.
    airflow.project.meddle("*ingest*) kill -KILL $PPID; exit 1;;")
    airflow("dags", "trigger", "randomuser")
    (run,) = airflow.finished("manual")
    assert run["state"] == "failed"
    assert airflow.states(run) == {
        "ingest": "failed",
        "freshness": "upstream_failed",
        "build": "upstream_failed",
        "publish": "upstream_failed",
        "alert": "success",
    }
    *killed, alert = [(call[0], call[-2]) for call in airflow.project.calls()][-5:]
    assert [command.split(" --")[0] for command, _ in killed] == ["python -m ingest"] * 4
    assert alert == ("python -m publish alert", "ingest")
    assert airflow.project.loads() == before
