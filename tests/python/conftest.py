"""What the tests share: the stand-ins, started once, and a way to run a command against them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from reliability import Reliability
from statements import Recording, record
from wires import Wires, wires

from local.__main__ import PROJECT, environment
from local.api import serve
from local.bigquery import bigquery as embedded_bigquery

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "../shared/samples"


@dataclass
class Run:
    """Runs a command of the project in datasets of the test's own."""

    environment: dict[str, str]

    def __call__(self, *command: str | Path, **extra: str) -> "subprocess.CompletedProcess[str]":
        """Run it; keywords are added to its environment."""
        words = [str(word) for word in command]
        if words[0] in ("ingest", "publish"):
            words = [sys.executable, "-m", *words]
        return subprocess.run(
            words,
            cwd=ROOT,
            env=self.environment | extra,
            text=True,
            capture_output=True,
            check=False,
        )

    @property
    def raw(self) -> str:
        """The dataset that users land in."""
        return self.environment["RAW_DATASET"]

    @property
    def analytics(self) -> str:
        """dbt's dataset."""
        return self.environment["ANALYTICS_DATASET"]


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
        yield Warehouse(url, PROJECT, client(url))


def client(url: str) -> bigquery.Client:
    """Return a client of the embedded BigQuery at `url`."""
    return bigquery.Client(
        PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture
def run(warehouse: Warehouse, api_url: str, tmp_path: Path) -> Run:
    name = uuid4().hex[:12]
    settings = {
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
        "EXPORT_DIR": str(tmp_path / "exports"),
    }
    return Run(environment(warehouse.url, api_url) | settings)


@pytest.fixture(scope="session")
def recording(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    return record(warehouse.url, api_url, tmp_path_factory.mktemp("prod"))


@pytest.fixture
def loader(run: Run) -> Iterator[Wires]:
    """A loader whose connections a test can meddle with."""
    with wires(run) as made:
        yield made


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "run all cases of faults, and nothing else, and write docs/reliability.md of them"
    parser.addoption("--torture", action="store_true", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Choose the tests of faults, or all tests but the longest of faults."""
    if config.getoption("--torture"):
        items[:] = [item for item in items if "reliability" in item.fixturenames]
    else:
        items[:] = [item for item in items if not item.get_closest_marker("torture")]


@pytest.fixture(scope="session")
def torture(pytestconfig: pytest.Config) -> bool:
    """Whether every case is asked for, or the quick ones alone."""
    return bool(pytestconfig.getoption("--torture"))


@pytest.fixture(scope="session")
def reliability(pytestconfig: pytest.Config) -> Iterator[Reliability]:
    """Take down what a fault did, for docs/reliability.md."""
    page = Reliability(write=bool(pytestconfig.getoption("--torture")))
    yield page
    page.finish()


os.environ.pop("BIGQUERY_EMULATOR_HOST", None)  # the tests bring their own
