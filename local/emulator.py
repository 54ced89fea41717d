"""The embedded BigQuery as a process: `python -m local.emulator DATA_DIR FD HOST PORT`.

It writes its port to the open file descriptor FD, and stops when its standard input closes, so
that it never outlives the process that started it, not even one that was killed.
"""

import asyncio
import gc
import os
import socket
import sys
from copy import deepcopy
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import bqemulator.server
import duckdb
import duckdb_extensions
import sqlglot
from bqemulator.api import app
from bqemulator.api.routes import jobs
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.config import LogLevel, PersistenceMode, Settings
from bqemulator.scripting.interpreter import ScriptInterpreter
from bqemulator.server import EmulatorServer
from bqemulator.sql import translator
from bqemulator.versioning.snapshots import SnapshotManager
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.expressions import core

from local.engine import Engine

# BigQuery gives time travel and transactions for nothing; the emulator pays for each with a full
# copy of the table at every write, kept for seven days. The project uses no time travel and no
# rollback, so the copies are not taken.
_capture = SnapshotManager.capture


def _capture_on_request(self: SnapshotManager, *table: str, kind: str = "AUTO") -> Any:
    return None if kind == "AUTO" else _capture(self, *table, kind=kind)


async def _no_copy(self: ScriptInterpreter, sql: str) -> None:
    """Leave the target of a statement in a transaction uncopied."""


SnapshotManager.capture = _capture_on_request  # type: ignore[method-assign, assignment]
ScriptInterpreter._snapshot_dml_targets = _no_copy  # type: ignore[method-assign]
bqemulator.server.DuckDBEngine = Engine  # type: ignore[attr-defined]

# The emulator writes each job to the disk, and reads all of them again at every start; their rows
# it forgets. Nobody asks for a job of an earlier run.
DuckDBCatalogRepository._write_job = lambda *_: None  # type: ignore[method-assign]
# It counts, times and names each request, for logs and metrics that nobody reads.
for _unread in ("AccessLogMiddleware", "CorrelationIdMiddleware", "MetricsMiddleware"):
    setattr(app, _unread, lambda app, **_: app)


# The emulator parses a statement anew in each of some twenty steps, and sqlglot its templates for
# each statement that it writes. Here a text is parsed once: who only looks at the tree shares it,
# who may change it gets a copy, and of what the nodes carry a shallow one.
LOOKS_ONLY = {"catalog_schema", "ddl_result", "ddl_sync", "executor", "routine_ddl"}
_parsed = lru_cache(32)(sqlglot.parse_one)


def _parsed_once(sql: str, **options: Any) -> Any:
    tree, step = _parsed(sql, **options), sys._getframe(1)
    looks = step.f_globals["__name__"].split(".")[-1] in LOOKS_ONLY
    return tree if looks or step.f_code is Dialect.generator.__code__ else tree.copy()


def _copy(value: Any) -> Any:
    if isinstance(value, exp.Expr):
        return value.__deepcopy__(None)
    return value.copy() if type(value) is dict else deepcopy(value)


sqlglot.parse_one = _parsed_once  # type: ignore[assignment]
core.deepcopy = _copy  # type: ignore[attr-defined, assignment]


# BigQuery makes a table with an enforced contract by `create table (columns and keys) as (select
# ...)`. The emulator takes a column list before a bare `select` alone, and no keys that are not
# enforced. The list is left out: that the columns fit it, dbt has made sure of before.
def _without_columns(sql: str) -> str:
    try:
        statement = _parsed(sql, read="bigquery")
    except sqlglot.ParseError:
        return sql  # the emulator says what is wrong with it
    if not (
        isinstance(statement, exp.Create)
        and statement.kind == "TABLE"
        and isinstance(statement.this, exp.Schema)
        and isinstance(statement.expression, exp.Query)
    ):
        return sql
    statement = statement.copy()
    statement.set("this", statement.this.this)
    return statement.sql("bigquery")


translator.rewrite_create_table_schema_ctas = _without_columns  # type: ignore[attr-defined, assignment]


# A query without a job (`query_and_wait`) that fails is answered with HTTP 200, no rows and a list
# of errors, which Google's client does not look at. BigQuery answers with the error.
@wraps(jobs.query)
async def _query_or_error(**request: Any) -> Any:
    answer = await jobs.query(**request)
    for error in answer.get("errors", []):
        kinds = {kind.bq_reason: kind for kind in jobs._SQL_EXECUTION_DOMAIN_ERRORS}
        raise kinds[error["reason"]](error["message"])
    return answer


for _route in jobs.router.routes:
    if _route.endpoint is jobs.query:  # type: ignore[attr-defined]
        _route.endpoint = _query_or_error  # type: ignore[attr-defined]


def _port(data_dir: Path) -> int:
    """The port of last time, or 0 if it is taken: dbt parses all anew when the address changes."""
    try:
        port = int((data_dir / "port").read_text())
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
    except (OSError, ValueError):
        return 0
    return port


async def serve(data_dir: Path, port_fd: int, host: str, port: int) -> None:
    """Serve the tables in `data_dir` (made if missing) until standard input closes."""
    settings = Settings(
        rest_host=host,
        rest_port=port or _port(data_dir),
        grpc_port=0,
        persistence_mode=PersistenceMode.PERSISTENT,
        data_dir=data_dir,
        enable_format_extensions=False,  # Avro: would be downloaded at start, and is not used
        log_level=LogLevel.CRITICAL,
    )
    server = EmulatorServer(settings)
    await server.start()
    # The garbage of parsed SQL is looked for seldom, and never in what the start has made.
    gc.freeze()
    gc.set_threshold(20_000)
    (data_dir / "port").write_text(str(server.rest_port))
    with os.fdopen(port_fd, "w") as pipe:
        pipe.write(f"{server.rest_port}\n")
    await asyncio.to_thread(sys.stdin.buffer.read)
    await server.stop()


def add_extension() -> None:
    """Put the extension of DuckDB that the emulator cannot start without in place."""
    # DuckDB keeps its extensions in the home directory and fetches those it lacks. This one comes
    # from PyPI instead, and stays in the environment.
    os.environ["HOME"] = sys.prefix
    duckdb_extensions.import_extension("spatial", con=duckdb.connect())


def main() -> None:
    """Serve the folder named first on the command line; the port goes to the second."""
    data_dir, port_fd, host, port = sys.argv[1:]
    add_extension()
    asyncio.run(serve(Path(data_dir), int(port_fd), host, int(port)))


if __name__ == "__main__":
    main()
