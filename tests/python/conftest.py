"""What the tests share: the stand-ins, started once, and a way to run a command against them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.__main__ import PROJECT, environment
from local.api import serve
from local.bigquery import bigquery as embedded_bigquery

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "../shared/samples"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass
class Warehouse:
    """The embedded BigQuery of the test session."""

    url: str
    project: str
    client: bigquery.Client

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Run a query and return its rows."""
        return [tuple(row.values()) for row in self.client.query_and_wait(sql)]


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with embedded_bigquery(tmp_path_factory.mktemp("bigquery")) as url:
        client = bigquery.Client(
            PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": url},
        )
        yield Warehouse(url, PROJECT, client)


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture
def run(warehouse: Warehouse, api_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Run a command of the project in datasets of the test's own; keywords are its environment.

    `run.raw` and `run.analytics` name the datasets.
    """
    name = f"t{abs(hash(request.node.nodeid)):x}"
    settings = environment(warehouse.url, api_url) | {
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
        "EXPORT_DIR": str(tmp_path / "exports"),
    }

    def run_command(*command: str | Path, **extra: str) -> "subprocess.CompletedProcess[str]":
        words = [str(word) for word in command]
        if words[0] in ("ingest", "publish"):
            words = [sys.executable, "-m", *words]
        return subprocess.run(
            words, cwd=ROOT, env=settings | extra, text=True, capture_output=True, check=False
        )

    run_command.raw = settings["RAW_DATASET"]  # type: ignore[attr-defined]
    run_command.analytics = settings["ANALYTICS_DATASET"]  # type: ignore[attr-defined]
    return run_command


os.environ.pop("BIGQUERY_EMULATOR_HOST", None)  # the tests bring their own
