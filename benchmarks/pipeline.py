"""The pipeline's side: the loader and dbt against an embedded BigQuery that is already running."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.cloud.bigquery import Client

from benchmarks.measure import Cost, FailedError, run
from benchmarks.responses import PASSWORD
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


class Pipeline:
    """The commands of the project, in an environment that names the embedded BigQuery."""

    def __init__(self, folder: Path, warehouse_url: str, api_url: str) -> None:
        """Work in `folder`; dbt keeps its parsed project there, as it does between real runs."""
        self.folder, self.url = folder, warehouse_url
        # These override a person's own settings, so that each run measures the same.
        self._environment = environment(warehouse_url, RANDOMUSER_URL=api_url) | {
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
        """Run `dbt build`: models, snapshots and all data tests."""
        return self._run("dbt build", [*BUILD, *arguments])

    def dbt(self, command: str, *arguments: str) -> Cost:
        """Run another command of dbt."""
        return self._run(f"dbt {command}", [DBT, "--quiet", command, *arguments])

    def check_rows(self, users: int, *, has_marts: bool = True) -> None:
        """Raise FailedError unless raw and, if `has_marts`, each mart have exactly `users` rows."""
        tables = {"raw": f"{RAW}.users"} | (MARTS if has_marts else {})
        rows = {name: self._count(table) for name, table in tables.items()}
        if rows != dict.fromkeys(tables, users):
            raise FailedError(f"pipeline: expected {users} rows in each table, found {rows}")

    def sql(self, *statements: str) -> None:
        """Run statements in the warehouse, one after the other."""
        for statement in statements:
            self._client().query(statement).result()

    def _count(self, table: str) -> int:
        rows = self._client().query(f"select count(*) as row_count from `{table}`").result()
        return int(next(iter(rows)).row_count)

    def _client(self) -> Client:
        return connect(Settings.read(google_cloud_project=PROJECT, bigquery_emulator_host=self.url))

    def _run(self, step: str, command: list[str]) -> Cost:
        return run(step, command, self._environment, self.folder / f"{step.replace(' ', '-')}.log")


@contextmanager
def start_pipeline(
    folder: Path, api_url: str = "", *, history: Path | None = None
) -> Iterator[Pipeline]:
    """Start an embedded BigQuery in an empty `folder`, with a copy of the tables of `history`.

    dbt has parsed the project before this yields, because real runs find it parsed. The tables
    stay in `folder / "bigquery"`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if history:
        shutil.copytree(history / "bigquery", folder / "bigquery")
    with bigquery(folder / "bigquery") as url:
        pipeline = Pipeline(folder, url, api_url or "http://127.0.0.1:9/")  # a closed port
        pipeline.dbt("parse")
        yield pipeline
