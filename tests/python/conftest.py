"""The embedded BigQuery and the fake API, started once, and a way to run commands on them."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from support.alert_harness import SECRET, AlertHost
from support.commands import BUILD, Run, make_settings, passes
from support.fake_slack import FakeSlack, fake_slack
from support.fault_proxy import ProxiedCommand, loader_step, proxied
from support.sql_recorder import Recording, record
from support.warehouse import Warehouse, client

from local.__main__ import PROJECT, environment
from local.api import serve
from local.bigquery import bigquery as embedded_bigquery

MADE_ONCE = ["recording", "built", "created", "package", "shop"]  # each by one worker
DATASET = "analytics_of_a_test"  # emptied for each test: dbt parses anew for one of another name


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with embedded_bigquery(tmp_path_factory.mktemp("bigquery")) as url:
        yield Warehouse(url, PROJECT, client(url))


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture(scope="session")
def parsed(warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dbt has parsed of the project, for the tests to begin with."""
    folder = tmp_path_factory.mktemp("parsed")
    settings = make_settings(folder) | {"ANALYTICS_DATASET": DATASET}
    passes(Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)("dbt", "parse"))
    return folder / "target/partial_parse.msgpack"


@pytest.fixture
def run(warehouse: Warehouse, api_url: str, parsed: Path, tmp_path: Path) -> Run:
    for dataset in warehouse.client.list_datasets():
        if dataset.dataset_id.startswith(DATASET):
            warehouse.client.delete_dataset(dataset.reference, delete_contents=True)
    (tmp_path / "target").mkdir()
    shutil.copy(parsed, tmp_path / "target")
    settings = make_settings(tmp_path) | {"ANALYTICS_DATASET": DATASET}
    return Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)


@pytest.fixture(scope="session")
def recording(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    return record(warehouse.url, api_url, tmp_path_factory.mktemp("prod"))


@pytest.fixture
def loader(run: Run) -> Iterator[ProxiedCommand]:
    """A loader in whose connections a test can inject faults."""
    with proxied(run, "ingest", step_of=loader_step) as loader:
        yield loader


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack(SECRET) as served:
        yield served


@pytest.fixture(scope="session")
def built(warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What dbt really writes: a fresh source, built models, tests of which some warn."""
    folder = tmp_path_factory.mktemp("built")
    settings = make_settings(folder)
    run = Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)
    passes(run("ingest", "--users", "400", RANDOMUSER_PASSWORD=""))
    for command in (("dbt", "source", "freshness"), (*BUILD, "--store-failures")):
        passes(run(*command))
        passes(run("publish", "history"))
    shutil.copytree(folder / "target", folder / "left/target")  # tests run other commands of dbt
    shutil.copytree(folder / "logs", folder / "left/logs")
    return run


@pytest.fixture
def alert_host(built: Run, slack: FakeSlack, warehouse: Warehouse, tmp_path: Path) -> AlertHost:
    """A machine on which dbt has never run, with a warehouse of which nothing is to be sent."""
    raw, folders = f"raw_{uuid4().hex[:12]}", ("DBT_TARGET_PATH", "DBT_LOG_PATH")
    settings = {"RAW_DATASET": raw} | {name: str(tmp_path / "none") for name in folders}
    run = Run(built.environment | settings)
    passes(run("publish", "history"))  # it creates the tables
    rows = f"select * replace (if(status = 'warn', 'pass', status) as status) from {built.raw}.runs"
    warehouse.rows(f"insert into {raw}.runs {rows}")
    return AlertHost(run, warehouse, slack)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "run only the fault tests, with all cases"
    parser.addoption("--all-faults", action="store_true", help=text)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Choose the tests of faults, or all tests but the longest of faults."""
    if config.getoption("--all-faults"):
        items[:] = [item for item in items if is_of_faults(item)]
    else:
        items[:] = [item for item in items if not item.get_closest_marker("slow_fault")]
    for item in items:  # what takes long to make is made by one worker
        for fixture in {*MADE_ONCE}.intersection(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group(fixture))


def is_of_faults(item: pytest.Function) -> bool:
    """Return whether a test is one of faults, or has more cases with `--all-faults`."""
    is_slow, is_longer = item.get_closest_marker("slow_fault"), "all_faults" in item.fixturenames
    return bool(is_slow) or is_longer or item.path.parent.name == "faults"


@pytest.fixture(scope="session")
def all_faults(pytestconfig: pytest.Config) -> bool:
    """Whether every case is requested, or the quick cases only."""
    return bool(pytestconfig.getoption("--all-faults"))


for setting in ("BIGQUERY_EMULATOR_HOST", "RANDOMUSER_URL"):  # the tests set their own
    os.environ.pop(setting, None)
for setting in ("RANDOMUSER_URL_FILE", "SLACK_WEBHOOK_URL_FILE"):
    os.environ.pop(setting, None)
# A shell's job in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
