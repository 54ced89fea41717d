"""The embedded BigQuery and the fake API, started once, and a way to run commands on them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from fake_slack import FakeSlack, fake_slack
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from machines import SECRET, Machine, passes, warned
from reliability import Reliability
from statements import Recording, record
from wires import Wires, wires

from local.__main__ import PROJECT, environment
from local.api import serve
from local.bigquery import bigquery as embedded_bigquery

ROOT = Path(__file__).parents[2]
ANSWERS = ROOT / "tests/answers"  # some fifty users of each version, as the service sends them


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
    return Run(environment(warehouse.url, api_url) | settings_of(tmp_path))


def settings_of(folder: Path) -> dict[str, str]:
    """Return settings for datasets and folders of a test's own."""
    name = uuid4().hex[:12]
    return {
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "EXPORT_DIR": str(folder / "exports"),
    }


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


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack(SECRET) as served:
        yield served


@pytest.fixture(scope="session")
def built(warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What dbt really writes: a fresh source, built models, tests of which some warn."""
    settings = settings_of(tmp_path_factory.mktemp("built"))
    run = Run(environment(warehouse.url, api_url) | settings)
    passes(run("ingest", "--users", "400", RANDOMUSER_PASSWORD=""))
    passes(run("dbt", "source", "freshness"))
    passes(run("dbt", "build", "--exclude-resource-type", "unit_test", "--store-failures"))
    return run


Machines = Callable[[], Machine]


@pytest.fixture
def machines(built: Run, slack: FakeSlack, tmp_path: Path) -> Machines:
    """Make machines that share a warehouse in which nothing was said yet."""
    raw = f"raw_{uuid4().hex[:12]}"

    def machine() -> Machine:
        target = tmp_path / uuid4().hex[:4]
        shutil.copytree(built.environment["DBT_TARGET_PATH"], target)
        own = {"RAW_DATASET": raw, "DBT_TARGET_PATH": str(target)}
        made = Machine(Run(built.environment | own), target, slack)
        made.results(**{name: {"status": "pass", "failures": 0} for name in warned(target)})
        return made

    return machine


@pytest.fixture
def machine(machines: Machines) -> Machine:
    """A machine with nothing to complain of."""
    return machines()


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "run all cases of faults, and nothing else, and write docs/reliability.md of them"
    parser.addoption("--torture", action="store_true", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Choose the tests of faults, or all tests but the longest of faults."""
    if config.getoption("--torture"):
        items[:] = [item for item in items if "reliability" in item.fixturenames]
    else:
        items[:] = [item for item in items if not item.get_closest_marker("torture")]
    for item in items:  # a file to a worker, and what takes long to make is made by one of them
        shared = {"recording", "built"}.intersection(item.fixturenames)
        item.add_marker(pytest.mark.xdist_group(min(shared, default=item.path.name)))


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


for own in ("BIGQUERY_EMULATOR_HOST", "RANDOMUSER_URL"):  # the tests bring theirs
    os.environ.pop(own, None)
# A shell's job in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
