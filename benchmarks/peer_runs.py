"""The peers' side: dlt, dbt and DuckDB, in a virtual environment of their own."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import BENCH_PYTHON, Cost, FailedError, run

PEERS = Path(__file__).with_name("peers")
DBT = [str(BENCH_PYTHON.with_name("dbt")), "--quiet"]
COUNT = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    query = "select count(*) from "
    print(json.dumps({t: connection.sql(query + t).fetchone()[0] for t in sys.argv[2:]}))
"""
RAW = ("randomuser.users",)
TABLES = ("randomuser.users", "randomuser.logins", "randomuser.locations")
MARTS = tuple(f"analytics.{name}" for name in ("users", "logins", "locations", "users_history"))


def run_peer(
    script: str,
    folder: Path,
    *arguments: str,
    users: int,
    tables: Iterable[str],
    with_dbt: bool = False,
) -> Cost:
    """Run `peers/{script}.py` in an empty `folder`, and check that each table has `users` rows.

    `with_dbt` then runs `dbt build` of `peers/dbt_duckdb`, which dbt has parsed before, as the
    pipeline's. Raises FailedError if a command fails or a table has another number of rows.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder, project = folder.resolve(), str(PEERS / "dbt_duckdb")
    database = str(folder / "peer.duckdb")
    environment = os.environ | {
        "DLT_DATA_DIR": str(folder / "dlt"),  # nothing in the home directory
        "DBT_PROJECT_DIR": project,
        "DBT_PROFILES_DIR": project,
        "DBT_TARGET": "bench",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "PEER_DUCKDB": database,
        "PEER_THREADS": str(os.cpu_count() or 1),
    }

    def measure(step: str, *command: str) -> Cost:
        return run(step, list(command), environment, folder / f"{step.replace(' ', '-')}.log")

    try:
        if with_dbt:
            measure("dbt parse", *DBT, "parse")
        program = (str(BENCH_PYTHON), str(PEERS / f"{script}.py"), str(folder))
        cost = measure(script, *program, *arguments)
        if with_dbt:
            cost += measure("dbt build", *DBT, "build")
        count = [str(BENCH_PYTHON), "-c", COUNT, database, *tables]
        rows = json.loads(subprocess.run(count, check=True, capture_output=True).stdout)
        if rows != dict.fromkeys(tables, users):
            raise FailedError(f"{script}: expected {users} rows in each table, found {rows}")
        return cost
    finally:
        shutil.rmtree(folder, ignore_errors=True)
