"""The DAG under a real scheduler, started like the compose file's service `airflow`."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml
from conftest import Project, make_project

from dags.service import ROOT

SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["airflow"]
COMMAND = [ROOT / ".venv/bin" / SERVICE["command"][0], *SERVICE["command"][1:]]
TIMEOUT_SECONDS = 900  # on a busy machine
MONTHS = [f"2025-0{month}-01T00:00:00+00:00" for month in range(1, 6)]


@dataclass
class Airflow:
    """A running Airflow and its project."""

    url: str
    project: Project
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """Send a GET request to its API, as the page does."""
        token = requests.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
        response = requests.get(
            f"{self.url}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        response.raise_for_status()
        return response.json()

    def __call__(self, *words: str) -> None:
        """Run `airflow WORDS`."""
        done = subprocess.run(
            [*COMMAND, *words], cwd=ROOT, env=self.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def wait_for_runs(self, run_type: str, count: int = 1) -> list[Any]:
        """Wait until `count` runs of this type have ended; return all runs of this type."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            runs = self.get("dags/randomuser/dagRuns?limit=100")["dag_runs"]
            matching = [run for run in runs if run["run_type"] == run_type]
            if sum(run["state"] in ("success", "failed") for run in matching) >= count:
                return matching
            time.sleep(1)
        raise TimeoutError(f"{count} {run_type} runs did not end: {matching}")

    def read_states(self, run: Any) -> dict[str, str]:
        """Return the state of every task of a run."""
        path = f"dags/randomuser/dagRuns/{run['dag_run_id']}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.get(path)["task_instances"]}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    project = make_project(folder)
    # Monthly: an interval hardly ever ends while the tests run.
    project.environment["RANDOMUSER_SCHEDULE"] = "0 0 1 * *"
    project.replace_commands("*ingest*) ;; *) exit 0;;")
    # Started like a service, without a shell: if bash read this .bashrc, the tasks would fail.
    (folder / ".bashrc").write_text("PATH=/nowhere\n")
    outer = {name: value for name, value in os.environ.items() if name != "SHLVL"}
    outer |= project.environment | {"LOCAL_DIR": str(folder), "HOME": str(folder)}
    airflow = Airflow("", project, outer)
    # Before the scheduler starts: on SQLite, a backfill may fail while another process writes.
    airflow("db", "migrate")
    airflow("dags", "reserialize")
    airflow(
        *("backfill", "create", "--dag-id", "randomuser"),
        *("--from-date", MONTHS[0], "--to-date", MONTHS[-1], "--max-active-runs", "1"),
    )
    process = subprocess.Popen(COMMAND, cwd=ROOT, env=outer, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        name, url = process.stdout.readline().split()[:2]
        assert name == "Airflow:"
        assert url.endswith("/dags/randomuser")
        airflow.url = url.removesuffix("/dags/randomuser")
        yield airflow
    finally:
        process.terminate()
        assert process.wait() == 0


def test_health_check_of_compose_file_passes(airflow: Airflow) -> None:
    kind, *check = SERVICE["healthcheck"]["test"]
    assert kind == "CMD"
    subprocess.run(
        [word.replace("http://127.0.0.1:8080", airflow.url) for word in check], check=True
    )


def test_scheduler_runs_last_interval_once(airflow: Airflow) -> None:
    (run,) = airflow.wait_for_runs("scheduled")
    assert run["state"] == "success"
    assert set(airflow.read_states(run).values()) == {"success"}
    load_id = run["data_interval_start"].replace("Z", "+00:00")
    loads = airflow.project.count_loads().items()
    assert {load: users for load, users in loads if load not in MONTHS} == {load_id: 100}
    events = airflow.get(f"assets/events?source_run_id={quote(run['dag_run_id'])}")["asset_events"]
    dataset = f"bigquery://local-project/{airflow.project.environment['ANALYTICS_DATASET']}"
    assert sorted(event["uri"] for event in events) == [
        f"{dataset}/locations",
        f"{dataset}/users",
        f"{dataset}_restricted/logins",
    ]


def test_backfill_of_five_intervals_lands_five_loads(airflow: Airflow) -> None:
    runs = airflow.wait_for_runs("backfill", 5)
    assert [run["state"] for run in runs] == ["success"] * 5
    assert airflow.project.count_loads().items() >= dict.fromkeys(MONTHS, 100).items()


def test_killed_task_is_alerted_and_run_fails(airflow: Airflow) -> None:
    airflow.wait_for_runs("scheduled")
    airflow.wait_for_runs("backfill", 5)
    before = airflow.project.count_loads()
    # $PPID is the process of Airflow that runs the task: it cannot report its end.
    airflow.project.replace_commands("*ingest*) kill -KILL $PPID; exit 1;; *) exit 0;;")
    airflow("dags", "trigger", "randomuser")
    (run,) = airflow.wait_for_runs("manual")
    assert run["state"] == "failed"
    states = airflow.read_states(run)
    assert (states["ingest"], states["alert"]) == ("failed", "success")
    *killed, alert = airflow.project.read_calls()[-5:]
    assert [call[0].split(" --")[0] for call in killed] == ["python -m ingest"] * 4
    assert alert[0] == "python -m publish alert"
    assert {"ingest=failed", "build=upstream_failed"} <= {*alert[1].split(",")}
    assert airflow.project.count_loads() == before
