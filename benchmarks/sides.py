"""The sides: this project, and dlt with dbt in an environment of their own, on a warehouse each."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.cloud.bigquery import LoadJob

from benchmarks.measure import FailedError, Step, run
from benchmarks.responses import PASSWORD
from benchmarks.warehouses import BigQuery, DuckDB
from local.__main__ import environment
from local.bigquery import bigquery

PEERS = Path(__file__).with_name("peers")
BENCH_PYTHON = Path(sys.prefix, "bench/bin/python")
PIPELINE, PEER, PEER_ON_DUCKDB = "pipeline", "dlt + dbt", "dlt + dbt-duckdb"


@dataclass
class Side:
    """Two commands, one to land users and one to build tables, and the tables to check."""

    name: str
    folder: Path
    warehouse: Any
    loader: list[str]
    dbt: str
    tables: list[str]
    """Raw first, then the marts and the history."""
    settings: dict[str, str]

    def land(self, api: str, users: int, load_id: str = "bench") -> Step:
        """Land users over HTTP."""
        command = [*self.loader, "--users", str(users), "--load-id", load_id]
        return self._run("land", command, RANDOMUSER_URL=api)

    def build(self, *options: str) -> Step:
        """Run `dbt build`: models, snapshot and all data tests.

        Unit tests test the SQL, not the data: they belong to development, as dbt recommends.
        """
        command = [self.dbt, "--quiet", "build", "--exclude-resource-type", "unit_test"]
        return self._run("build", [*command, *options])

    def parse(self) -> Step:
        """Run `dbt parse`. dbt keeps the parsed project, as it does between real runs."""
        return self._run("parse", [self.dbt, "--quiet", "parse"])

    def check(self, users: int, *, has_marts: bool = True) -> None:
        """Raise FailedError unless each table has exactly `users` rows."""
        tables = self.tables if has_marts else self.tables[:1]
        rows = {table: self.warehouse.count(table) for table in tables}
        if rows != dict.fromkeys(tables, users):
            raise FailedError(f"{self.name}: expected {users} rows in each table, found {rows}")

    def _run(self, name: str, command: list[str], **settings: str) -> Step:
        before = len(self.warehouse.jobs())
        step = run(name, command, self.settings | settings, self.folder / f"{name}.log")
        jobs = self.warehouse.jobs()[before:]
        load_jobs = sum(isinstance(job, LoadJob) for job in jobs)
        return step._replace(statements=len(jobs) - load_jobs, load_jobs=load_jobs)


@contextmanager
def open_sides(folder: Path, *names: str, history: Path | None = None) -> Iterator[list[Side]]:
    """Yield sides in an empty `folder`, on one embedded BigQuery, each with its project parsed.

    The tables are empty, or a copy of those in the folder `history`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if history:
        shutil.copytree(history / "bigquery", folder / "bigquery")
    served = nullcontext("") if names == (PEER_ON_DUCKDB,) else bigquery(folder / "bigquery")
    with served as url:
        sides = [_make_side(name, folder.resolve(), url) for name in names]
        for side in sides:
            side.parse()
        yield sides


def _make_side(name: str, folder: Path, url: str) -> Side:
    # These override a person's own settings, so that each run measures the same.
    settings = environment(url) | {
        "RANDOMUSER_PASSWORD": PASSWORD,
        "RAW_DATASET": "raw_randomuser",
        "ANALYTICS_DATASET": "analytics",
        "BIGQUERY_LOCATION": "US",
        "DBT_TARGET_PATH": str(folder / name / "target"),
        "DBT_LOG_PATH": str(folder / name / "logs"),
        "TQDM_DISABLE": "1",
    }
    (folder / name).mkdir()
    if name == PIPELINE:
        marts = ("analytics.users", "analytics.locations", "analytics_restricted.logins")
        tables = ["raw_randomuser.users", *marts, "analytics.users_history"]
        loader, python = [sys.executable, "-m", "ingest"], Path(sys.executable)
    else:
        kind = "duckdb" if name == PEER_ON_DUCKDB else "bigquery"
        tables = ["peer_raw.users", "peer.users", "peer.locations", "peer.logins"]
        tables.append("peer.users_history")
        loader, python = [str(BENCH_PYTHON), str(PEERS / "dlt_raw.py"), kind], BENCH_PYTHON
        project = str(PEERS / "dbt")
        settings |= {"DBT_PROJECT_DIR": project, "DBT_PROFILES_DIR": project, "DBT_TARGET": kind}
        settings |= {"DLT_DATA_DIR": str(folder / name / "dlt")}  # nothing in the home directory
        settings |= {"PEER_DUCKDB": str(folder / "warehouse.duckdb")}
    warehouse = DuckDB(folder / "warehouse.duckdb") if name == PEER_ON_DUCKDB else BigQuery(url)
    dbt = str(python.with_name("dbt"))
    return Side(name, folder / name, warehouse, loader, dbt, tables, settings)
