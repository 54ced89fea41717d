"""Fixtures of the DAG's tests: `make airflow-test` runs them with Airflow."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from local.airflow import AIRFLOW, ROOT, environment

if "BIGQUERY_EMULATOR_HOST" not in os.environ:
    pytest.exit("there is no embedded BigQuery: run `make airflow-test`", returncode=2)

# Airflow reads its settings when it is imported.
HOME = tempfile.TemporaryDirectory()
os.environ.update(environment(Path(HOME.name), port=0))

BIN = ROOT / ".venv/bin"
QUERY = """
import json, sys
from ingest.settings import Settings
from ingest.warehouse import connect
rows = connect(Settings.read()).query_and_wait(sys.argv[1])
print(json.dumps([list(row.values()) for row in rows], default=str))
"""
SHIM = """#!/bin/bash
# Record the call, then run the case of the test or, without a case, the program of the project.
# Each try of a task has its own disk.
program=$(basename "$0")
echo "$program $*|$$|$PPID|${{ALERT_TASKS-}}|${{ALERT_LOAD_ID-}}" >> {calls}
disk={disks}/$AIRFLOW_CTX_DAG_RUN_ID/$AIRFLOW_CTX_TASK_ID-$AIRFLOW_CTX_TRY_NUMBER
export DBT_TARGET_PATH=$disk/target DBT_LOG_PATH=$disk/logs EXPORT_DIR=$disk/exports
case "${{AIRFLOW_CTX_DAG_RUN_ID-}} $program $*" in {cases}
esac
exec {bin}/$program "$@"
"""


def pytest_configure(config: pytest.Config) -> None:
    """Ignore two warnings of Airflow; the second appears when the DAG changes between two runs."""
    for message in ("Using `httpx` with `starlette", "Multiple rows returned with uselist=False"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


@dataclass
class Project:
    """A project with its own datasets and folders, whose commands a test can replace."""

    folder: Path
    environment: dict[str, str]

    def replace_commands(self, cases: str) -> None:
        """Replace commands by these `cases` of a bash `case` statement on run id and command."""
        for program in ("python", "dbt"):
            shim = self.folder / "bin" / program
            shim.parent.mkdir(exist_ok=True)
            names = {name: self.folder / name for name in ("calls", "disks")}
            shim.write_text(SHIM.format(**names, cases=cases, bin=BIN))
            shim.chmod(0o755)

    def read_calls(self) -> list[list[str]]:
        """Return each command with its process, its parent, ALERT_TASKS, ALERT_LOAD_ID."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line.split("|") for line in lines]

    def query_rows(self, sql: str) -> list[list[object]]:
        """Query the embedded BigQuery; `{raw}` and `{analytics}` are datasets."""
        names = {name: self.environment[f"{name.upper()}_DATASET"] for name in ("raw", "analytics")}
        rows: list[list[object]] = json.loads(self.run_python("-c", QUERY, sql.format_map(names)))
        return rows

    def run_python(self, *arguments: str | Path) -> str:
        """Run the project's Python; return what it printed."""
        done = subprocess.run(
            [BIN / "python", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def count_loads(self) -> list[list[object]]:
        """Return each load id and its number of users in raw, sorted by load id."""
        return self.query_rows("select load_id, count(*) from {raw}.users group by 1 order by 1")


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
