"""Our side: the loader and dbt against an embedded BigQuery that is up already."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.cloud.bigquery import Client

from benchmarks.answers import PASSWORD
from benchmarks.measure import Cost, FailedError, run
from ingest.settings import Settings
from ingest.warehouse import connect
from local.__main__ import PROJECT, environment
from local.bigquery import bigquery

RAW = f"{PROJECT}.raw_randomuser"
MARTS = {
    "users": f"{PROJECT}.analytics.users",
    "logins": f"{PROJECT}.analytics_restricted.logins",
    "locations": f"{PROJECT}.analytics.locations",
}
DBT = str(Path(sys.executable).with_name("dbt"))
# Unit tests test the SQL, not the data: they belong to development (dbt recommends the same).
BUILD = [DBT, "--quiet", "build", "--exclude-resource-type", "unit_test"]


class Ours:
    """The commands of the project, in an environment that names the embedded BigQuery."""

    def __init__(self, folder: Path, warehouse_url: str, api_url: str) -> None:
        """Work in `folder`; dbt keeps what it parsed there, as it would between real runs."""
        self.folder, self.url = folder, warehouse_url
        # A person's own settings do not reach a measured run.
        self._environment = environment(warehouse_url, api_url) | {
            "RANDOMUSER_PASSWORD": PASSWORD,
            "RAW_DATASET": "raw_randomuser",
            "ANALYTICS_DATASET": "analytics",
            "BIGQUERY_LOCATION": "US",
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "TQDM_DISABLE": "1",
        }

    def ingest(self, *arguments: str) -> Cost:
        """Run the loader."""
        return self._run("ingest", [sys.executable, "-m", "ingest", *arguments])

    def build(self, *arguments: str) -> Cost:
        """Run `dbt build`: models, snapshots and all tests."""
        return self._run("dbt build", [*BUILD, *arguments])

    def dbt(self, command: str, *arguments: str) -> Cost:
        """Run another command of dbt."""
        return self._run(f"dbt {command}", [DBT, "--quiet", command, *arguments])

    def expect(self, users: int, *, built: bool = True) -> None:
        """Raise FailedError unless raw and (if `built`) every mart holds exactly `users` rows."""
        tables = {"raw": f"{RAW}.users"} | (MARTS if built else {})
        held = {name: self._count(table) for name, table in tables.items()}
        if held != dict.fromkeys(tables, users):
            raise FailedError(f"our tables should hold {users} rows each, and hold {held}")

    def sql(self, *statements: str) -> None:
        """Run statements in the warehouse, one after the other."""
        for statement in statements:
            self._client().query(statement).result()

    def _count(self, table: str) -> int:
        rows = self._client().query(f"select count(*) as held from `{table}`").result()
        return int(next(iter(rows)).held)

    def _client(self) -> Client:
        return connect(Settings.read(google_cloud_project=PROJECT, bigquery_emulator_host=self.url))

    def _run(self, step: str, command: list[str]) -> Cost:
        return run(step, command, self._environment, self.folder / f"{step.replace(' ', '-')}.log")


@contextmanager
def started(folder: Path, api_url: str = "", *, state: Path | None = None) -> Iterator[Ours]:
    """Start an embedded BigQuery in a fresh `folder`, on a copy of the tables in `state` if given.

    dbt has parsed the project before this yields: it does so once, not at every run. The folder
    is left behind; `folder / "bigquery"` are the tables.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if state:
        shutil.copytree(state / "bigquery", folder / "bigquery")
    with bigquery(folder / "bigquery") as url:
        ours = Ours(folder, url, api_url or "http://127.0.0.1:9/")  # where nobody answers
        ours.dbt("parse")
        yield ours
