"""Makes the emulator behave like BigQuery, and faster; an import of this module is enough.

docs/local-bigquery.md lists what is changed. A test of each change says when it is not needed.
"""

import asyncio
import sys
from copy import deepcopy
from functools import lru_cache, wraps
from typing import Any

import bqemulator.server
import sqlglot
from bqemulator.api.routes import jobs, tables
from bqemulator.catalog import ddl_sync
from bqemulator.scripting.interpreter import ScriptInterpreter
from bqemulator.sql import inner_query, translator
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns
from bqemulator.versioning.snapshots import SnapshotManager
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.expressions import core

from local.engine import Engine
from local.job_ids import insert_job_once

# For time travel and for transactions the emulator copies the whole table at every write, and keeps
# the copy for seven days. Here local/engine.py reads a moment, and the project uses no rollback.
_capture = SnapshotManager.capture


def _capture_on_request(self: SnapshotManager, *table: str, kind: str = "AUTO") -> Any:
    return None if kind == "AUTO" else _capture(self, *table, kind=kind)


async def _skip_copy(self: ScriptInterpreter, sql: str) -> None:
    """Take no copy of the target of a statement in a transaction."""


inner_query.rewrite_for_system_time = lambda sql, *_: sql  # type: ignore[attr-defined]
SnapshotManager.capture = _capture_on_request  # type: ignore[method-assign, assignment]
ScriptInterpreter._snapshot_dml_targets = _skip_copy  # type: ignore[method-assign]
bqemulator.server.DuckDBEngine = Engine  # type: ignore[attr-defined]

# Two transactions that change the same tables: BigQuery cancels one of them, and the emulator lets
# them see each other half done. Here one waits for the other.
_run_script, _script_lock = ScriptInterpreter.run, asyncio.Lock()


async def _run_script_alone(self: ScriptInterpreter, source: str) -> Any:
    async with _script_lock:
        return await _run_script(self, source)


ScriptInterpreter.run = _run_script_alone  # type: ignore[method-assign]


# The emulator parses a statement again in each of about twenty steps, and sqlglot parses its
# templates again for each statement that it generates. Here a text is parsed once: steps that only
# read the tree share it, other steps get a copy, and a copy of a node copies its values shallowly.
READ_ONLY_STEPS = {"catalog_schema", "ddl_result", "ddl_sync", "executor", "routine_ddl"}
_parse_cached = lru_cache(32)(sqlglot.parse_one)


def _parse_once(sql: str, **options: Any) -> Any:
    tree, step = _parse_cached(sql, **options), sys._getframe(1)
    is_read_only = step.f_globals["__name__"].split(".")[-1] in READ_ONLY_STEPS
    return tree if is_read_only or step.f_code is Dialect.generator.__code__ else tree.copy()


def _copy(value: Any) -> Any:
    if isinstance(value, exp.Expr):
        return value.__deepcopy__(None)
    return value.copy() if type(value) is dict else deepcopy(value)


sqlglot.parse_one = _parse_once  # type: ignore[assignment]
core.deepcopy = _copy  # type: ignore[attr-defined, assignment]


# With an enforced contract dbt sends `create table (columns and keys) as (select ...)`. The
# emulator accepts a column list only before a `select` without parentheses, and no unenforced keys.
# The list is dropped, because dbt has already checked the columns against the contract.
def _has_column_list(statement: exp.Expr) -> bool:
    return (
        isinstance(statement, exp.Create)
        and statement.kind == "TABLE"
        and isinstance(statement.this, exp.Schema)
        and isinstance(statement.expression, exp.Query)
    )


# In `group by` a name that is a column and also an alias of the select list is the column for
# DuckDB, and the alias for BigQuery: `select timestamp_trunc(at, month) as at ... group by at`.
def _find_aliases(statement: exp.Expr) -> list[tuple[exp.Expr, exp.Expr]]:
    """Return the names in `group by` that are aliases, with what they stand for."""
    found = []
    for select in statement.find_all(exp.Select):
        values = {item.alias: item.this for item in select.selects if item.alias}
        group = select.args.get("group")
        for name in group.expressions if group else ():
            value = values.get(name.name) if isinstance(name, exp.Column) else None
            if value and not name.table and value != name:
                found.append((name, value))
    return found


def _rewrite(sql: str) -> str:
    try:
        statement = _parse_cached(sql, read="bigquery")
    except sqlglot.ParseError:
        return sql  # the emulator reports the error
    if not _has_column_list(statement) and not _find_aliases(statement):
        return sql
    statement = statement.copy()
    if _has_column_list(statement):
        statement.set("this", statement.this.this)
    for name, value in _find_aliases(statement):
        name.replace(exp.paren(value))  # in parentheses: sqlglot would write the alias again
    return str(statement.sql("bigquery"))


translator.rewrite_create_table_schema_ctas = _rewrite  # type: ignore[attr-defined, assignment]


# When a query without a job (`query_and_wait`) fails, the emulator returns HTTP 200, no rows and a
# list of errors, which Google's client ignores. BigQuery returns the error.
@wraps(jobs.query)
async def _query_or_error(**request: Any) -> Any:
    response = await jobs.query(**request)
    for error in response.get("errors", []):
        kinds = {kind.bq_reason: kind for kind in jobs._SQL_EXECUTION_DOMAIN_ERRORS}
        raise kinds[error["reason"]](error["message"])
    return response


# The emulator does not count the rows that a statement adds to a table or deletes. This reads from
# DuckDB as an `async` function: others run in threads of their own, which would take rows from each
# other.
@wraps(tables.get_table)
async def _get_table_and_count(**request: Any) -> Any:
    table = tables.get_table(**request)
    if table["type"] == "TABLE" and not request["dataset_id"].startswith("_"):
        table["numRows"] = str(ddl_sync._introspect_num_rows(**request))
    return table


# The emulator stores a changed schema, and adds no column to the table.
@wraps(tables.patch_table)
async def _patch_table_and_add_columns(**request: Any) -> Any:
    ctx, name = request["ctx"], [request[part] for part in ("project_id", "dataset_id", "table_id")]
    before = ctx.catalog.get_table(*name)
    table = await tables.patch_table(**request)
    known = {field.name for field in before.schema_.fields}
    fields = table.get("schema", {"fields": []})["fields"]
    added = [field for field in fields if field["name"] not in known]
    async with ctx.engine.write_lock():
        for column, kind in bq_schema_to_duckdb_columns(added):
            target = quoted_table_ref(*name)
            ctx.engine.execute(f'alter table {target} add column "{column}" {kind}')
    return table


_ENDPOINTS = {
    jobs.insert_job: insert_job_once,
    jobs.query: _query_or_error,
    tables.get_table: _get_table_and_count,
    tables.patch_table: _patch_table_and_add_columns,
}
for _route in (*jobs.router.routes, *tables.router.routes):
    _route.endpoint = _ENDPOINTS.get(_route.endpoint, _route.endpoint)  # type: ignore[attr-defined]
