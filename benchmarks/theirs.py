"""The other side: dlt and DuckDB, as scripts in an environment of their own."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import BENCH_PYTHON, Cost, FailedError, run

PEERS = Path(__file__).with_name("peers")
COUNT = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    query = "select count(*) from randomuser."
    print(json.dumps({t: connection.sql(query + t).fetchone()[0] for t in sys.argv[2:]}))
"""
MARTS = ("users", "logins", "locations")


def peer(script: str, folder: Path, *arguments: str, users: int, tables: Iterable[str]) -> Cost:
    """Run `peers/{script}.py` in a fresh `folder`, and hold its tables against `users` rows each.

    Raises FailedError if the script fails or a table holds anything else.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        "DLT_DATA_DIR": str(folder / "dlt")
    }  # nothing in the home directory
    try:
        command = [str(BENCH_PYTHON), str(PEERS / f"{script}.py"), str(folder), *arguments]
        cost = run(script, command, environment, folder / "peer.log")
        count = [str(BENCH_PYTHON), "-c", COUNT, str(folder / "peer.duckdb"), *tables]
        held = json.loads(subprocess.run(count, check=True, capture_output=True).stdout)
        if held != dict.fromkeys(tables, users):
            raise FailedError(f"{script}: each table should hold {users} rows, they hold {held}")
        return cost
    finally:
        shutil.rmtree(folder, ignore_errors=True)
