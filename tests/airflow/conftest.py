"""What the tests of the DAG share: `make airflow-test` runs them with Airflow."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from local.airflow import PROGRAM, ROOT, environment

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
# Write down the call, do what the test asks for, or else what the project's own program does.
program=$(basename "$0")
echo "$program $*|$$|$PPID|${{ALERT_FAILED_TASKS-}}|${{ALERT_LOAD_ID-}}" >> {calls}
case "${{AIRFLOW_CTX_DAG_RUN_ID-}} $program $*" in {cases}
esac
exec {bin}/$program "$@"
"""


def pytest_configure(config: pytest.Config) -> None:
    """Pass over Airflow's own affairs: the second comes where the DAG changes between two runs."""
    for message in ("Using `httpx` with `starlette", "Multiple rows returned with uselist=False"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


@dataclass
class Project:
    """Settings of a run of its own: datasets, folders, and a hand on its commands."""

    folder: Path
    environment: dict[str, str]

    def meddle(self, cases: str) -> None:
        """Have the programs do something else: `cases` of bash's `case`, on run id and command."""
        for program in ("python", "dbt"):
            shim = self.folder / "bin" / program
            shim.parent.mkdir(exist_ok=True)
            shim.write_text(SHIM.format(calls=self.folder / "calls", cases=cases, bin=BIN))
            shim.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """Return what was run: command, process, its parent, failed tasks and load it was told."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line.split("|") for line in lines]

    def rows(self, sql: str) -> list[list[object]]:
        """Ask the embedded BigQuery; `{raw}` and `{analytics}` are datasets."""
        names = {name: self.environment[f"{name.upper()}_DATASET"] for name in ("raw", "analytics")}
        answer = subprocess.run(
            [BIN / "python", "-c", QUERY, sql.format_map(names)],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        rows: list[list[object]] = json.loads(answer.stdout)
        return rows

    def loads(self) -> list[list[object]]:
        """Return load ids and how many users each has in raw, by load id."""
        return self.rows("select load_id, count(*) from {raw}.users group by 1 order by 1")


def project_in(folder: Path) -> Project:
    """Return a project whose every table and file is its own."""
    name = uuid4().hex[:12]
    settings = {
        "RANDOMUSER_BIN": str(folder / "bin"),
        "RANDOMUSER_RETRY_DELAY": "1",
        "RANDOMUSER_SCHEDULE": "0 * * * *",
        "SLACK_WEBHOOK_URL": "",
        "RANDOMUSER_USERS": "100",
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "EXPORT_DIR": str(folder / "exports"),
    }
    project = Project(folder, settings)
    project.meddle("")
    return project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that tasks of this process run in."""
    project = project_in(tmp_path)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture(scope="session")
def database() -> Iterator[None]:
    """Airflow's own tables."""
    subprocess.run([PROGRAM, "db", "migrate"], check=True, capture_output=True)
    yield
    HOME.cleanup()
