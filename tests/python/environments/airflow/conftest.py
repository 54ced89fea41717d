"""A project whose commands a test can replace: `make airflow-test` runs these with Airflow."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from dags.service import AIRFLOW, ROOT, environment

if "BIGQUERY_EMULATOR_HOST" not in os.environ:
    pytest.exit("there is no embedded BigQuery: run `make airflow-test`", returncode=2)

# Airflow reads its settings when it is imported.
HOME = tempfile.TemporaryDirectory()
os.environ.update(environment(Path(HOME.name), port=0))

SHIM = """#!/bin/bash
# Record the call, then run the case of the test or, without a case, the program of the project.
# Each try of a task has its own disk.
program=$(basename "$0")
echo "$program $*|${{ALERT_TASKS-}}|${{ALERT_LOAD_ID-}}" >> {folder}/calls
disk={folder}/disks/$AIRFLOW_CTX_DAG_RUN_ID/$AIRFLOW_CTX_TASK_ID-$AIRFLOW_CTX_TRY_NUMBER
export DBT_TARGET_PATH=$disk/target DBT_LOG_PATH=$disk/logs EXPORT_DIR=$disk/exports
case "$program $*" in {cases}
esac
exec {root}/.venv/bin/$program "$@"
"""


def pytest_configure(config: pytest.Config) -> None:
    """Ignore two warnings of Airflow; the second appears when the DAG changes between two runs."""
    for message in ("Using `httpx` with `starlette", "Multiple rows returned with uselist=False"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


@dataclass
class Project:
    """A project with its own datasets and folders."""

    folder: Path
    environment: dict[str, str]

    def replace_commands(self, cases: str) -> None:
        """Replace commands by these `cases` of a bash `case` statement."""
        for program in ("python", "dbt"):
            shim = self.folder / "bin" / program
            shim.parent.mkdir(exist_ok=True)
            shim.write_text(SHIM.format(folder=self.folder, cases=cases, root=ROOT))
            shim.chmod(0o755)

    def read_calls(self) -> list[list[str]]:
        """Return each command with its ALERT_TASKS and ALERT_LOAD_ID."""
        return [line.split("|") for line in (self.folder / "calls").read_text().splitlines()]

    def count_loads(self) -> dict[str, int]:
        """Return the number of users of each load id in raw."""
        table = f"{self.environment['RAW_DATASET']}.users"
        return {
            row["f"][0]["v"]: int(row["f"][1]["v"])
            for row in query(f"select load_id, count(*) from {table} group by 1 order by 1")
        }


def query(sql: str) -> list[dict[str, list[dict[str, str]]]]:
    """Query the embedded BigQuery by HTTP: Airflow's environment has no client."""
    url = f"{os.environ['BIGQUERY_EMULATOR_HOST']}/bigquery/v2/projects/local-project/queries"
    answer = requests.post(url, json={"query": sql, "useLegacySql": False}, timeout=60)
    answer.raise_for_status()
    rows: list[dict[str, list[dict[str, str]]]] = answer.json().get("rows", [])
    return rows


def make_project(folder: Path) -> Project:
    """Return a project with its own tables and files."""
    name = uuid4().hex[:12]
    settings = {
        "RANDOMUSER_BIN": str(folder / "bin"),
        "RANDOMUSER_RETRY_DELAY": "1",
        "RANDOMUSER_SCHEDULE": "0 * * * *",
        "SLACK_WEBHOOK_URL": "",
        "RANDOMUSER_USERS": "100",
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
    }
    project = Project(folder, settings)
    project.replace_commands("")
    return project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project for the tasks that run in this process."""
    project = make_project(tmp_path)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture(scope="session")
def database() -> Iterator[None]:
    """Create the tables of Airflow."""
    subprocess.run([AIRFLOW, "db", "migrate"], check=True, capture_output=True)
    yield
    HOME.cleanup()
