"""The other side: dlt, dbt and DuckDB, in an environment of their own."""

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


def peer(
    script: str,
    folder: Path,
    *arguments: str,
    users: int,
    tables: Iterable[str],
    with_dbt: bool = False,
) -> Cost:
    """Run `peers/{script}.py` in a fresh `folder`, and hold its tables against `users` rows each.

    `with_dbt` runs `dbt build` of `peers/dbt_duckdb` after it; dbt has parsed that ahead, as ours.
    Raises FailedError if the script, a model or a test fails or a table holds anything else.
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

    def measured(step: str, *command: str) -> Cost:
        return run(step, list(command), environment, folder / f"{step.replace(' ', '-')}.log")

    try:
        if with_dbt:
            measured("dbt parse", *DBT, "parse")
        program = (str(BENCH_PYTHON), str(PEERS / f"{script}.py"), str(folder))
        cost = measured(script, *program, *arguments)
        if with_dbt:
            cost += measured("dbt build", *DBT, "build")
        count = [str(BENCH_PYTHON), "-c", COUNT, database, *tables]
        held = json.loads(subprocess.run(count, check=True, capture_output=True).stdout)
        if held != dict.fromkeys(tables, users):
            raise FailedError(f"{script}: each table should hold {users} rows, they hold {held}")
        return cost
    finally:
        shutil.rmtree(folder, ignore_errors=True)
