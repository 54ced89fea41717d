"""The DuckDB of the embedded BigQuery, with the speed and strictness that the project needs."""

import re
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp

_FIELD = re.compile(r"""JSON_VALUE\(((?:"[^"]+"\.)?"[^"]+"), ('\$[^']*')\)""")

_TYPE = re.compile(
    r"""LOWER\(JSON_TYPE\(((?:(?:\w+|"[^"]+")\.)?(?:\w+|"[^"]+"))(?: -> ('[^']*'))?\)\)"""
)
_TIMESTAMP = re.compile(r"TRY_CAST\((JSON_VALUE\([^()]*\) ->> '\$') AS TIMESTAMPTZ\)")
FUNCTIONS = [
    # DuckDB accepts years of any length, 24:00, infinity and more, BigQuery only its own format.
    r"""timestamp_in_bigquery(text) AS CASE
        WHEN regexp_full_match(
            text,
            '\d{4}-\d\d?-\d\d?'
            || '([ Tt]([01]?\d|2[0-3]):\d\d?:\d\d?(\.\d{0,6})?([Zz]| ?[A-Za-z+-].*)?)?'
        ) AND text >= '0001'
        THEN TRY_CAST(text AS TIMESTAMPTZ)
    END""",
    # DuckDB, and so the emulator, has other names for the types of JSON.
    """type_in_bigquery(type) AS replace(replace(replace(replace(replace(
        lower(type), 'varchar', 'string'), 'double', 'number'),
        'ubigint', 'number'), 'hugeint', 'number'), 'bigint', 'number')""",
]

# What the emulator makes of `for system_time as of timestamp '...'`.
_MOMENT = re.compile(r" FOR TIMESTAMP AS OF CAST\('([^']*)' AS TIMESTAMPTZ\)")
_BEGIN = r"^(?:\s|/\*.*?\*/)*"
_DELETE = re.compile(_BEGIN + r'DELETE\s+FROM\s+(?!"_bqemulator)', re.DOTALL | re.IGNORECASE)
_MERGE = re.compile(_BEGIN + r"MERGE\b", re.DOTALL)


class Engine(DuckDBEngine):
    """The emulator's DuckDB engine, changed for loading, for payloads and for `merge`."""

    @property
    def _deleted(self) -> Path:
        """The file that exists when rows were deleted since the tables were written anew."""
        return Path(self._resolve_path()).with_name("deleted")

    async def start(self) -> None:
        """Open the tables; DuckDB replays the write-ahead log of a killed run."""
        self._connections = lru_cache(4)(self._connect_at)
        await super().start()
        if self._deleted.exists():  # that run was killed before it stopped
            await self.stop()
            await super().start()
        # By default DuckDB compresses every 16 MB of changes into the file, even those to a landing
        # table, which is dropped soon. The rest of the log is written when the engine stops.
        self.execute("SET checkpoint_threshold = '4GB'")
        # No two payloads are equal: looking for repeated values takes longer than writing them.
        self.execute("SET disabled_compression_methods = 'dictionary,fsst'")
        for function in FUNCTIONS:
            self.execute(f"CREATE OR REPLACE MACRO {function}")

    def _connect_at(self, moment: str) -> duckdb.DuckDBPyConnection:
        """Return a connection that reads all tables as they are at its first query."""
        if datetime.fromisoformat(moment) < datetime.now(UTC) - timedelta(minutes=1):
            raise duckdb.InvalidInputException(f"no table is kept as it was at {moment}")
        connection = self.connection.cursor()
        connection.execute("SET TimeZone = 'UTC'; BEGIN")
        return connection

    async def stop(self) -> None:
        """Close the tables; if rows were deleted, as a copy: their values stay in DuckDB's file."""
        file, is_copied = Path(self._resolve_path()), False
        copy = file.parent / "tmp/copy"
        self._connections.cache_clear()
        if self._deleted.exists():
            with suppress(duckdb.Error):  # such as a full disk; the next start tries it again
                self.execute(f"ATTACH '{copy}' AS copy")
                self.execute(f"COPY FROM DATABASE {file.stem} TO copy; DETACH copy")
                is_copied = True
        await super().stop()
        if is_copied and not Path(f"{file}.wal").exists():
            copy.replace(file)
            self._deleted.unlink()

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one statement of DuckDB's SQL; raise duckdb.Error if it fails."""
        if _DELETE.search(sql):
            self._deleted.touch()
        if _MERGE.search(sql) and super().execute(double_match_query(sql), parameters).fetchone():
            raise duckdb.InvalidInputException(
                "UPDATE/MERGE must match at most one source row for each target row"
            )
        moment = _MOMENT.search(sql)
        connection = self._connections(moment[1]) if moment else self.connection
        sql = _MOMENT.sub("", sql)
        sql = _TYPE.sub(_call_type_macro, sql)
        sql = _TIMESTAMP.sub(r"TIMESTAMP_IN_BIGQUERY(\1)", sql)
        return connection.execute(parse_once(sql), parameters)


def _call_type_macro(match: re.Match[str]) -> str:
    """Return the call of `type_in_bigquery` for a JSON value, or for a path within it."""
    return f"TYPE_IN_BIGQUERY(JSON_TYPE({', '.join(filter(None, match.groups()))}))"


def double_match_query(merge: str) -> str:
    """Return a query for a target row that two source rows match.

    BigQuery refuses such a `merge`; DuckDB uses one of the two rows.
    """
    tree = sqlglot.parse_one(merge, read="duckdb")
    target = tree.this
    rows = exp.select("1").from_(target).join(tree.args["using"], on=tree.args["on"])
    row = exp.column("rowid", target.alias_or_name)
    return rows.group_by(row).having("count(*) > 1").limit(1).sql("duckdb")


def parse_once(sql: str) -> str:
    """Return DuckDB's `sql` with one call for all fields of a JSON column.

    BigQuery stores JSON in columns and reads only the requested fields. DuckDB stores text and
    parses all of it again for each field. But DuckDB also accepts a list of paths, and evaluates
    an expression that is repeated only once.
    """
    paths = defaultdict[str, dict[str, int]](dict)
    for column, path in _FIELD.findall(sql):
        paths[column].setdefault(path, len(paths[column]) + 1)

    def index_list(match: re.Match[str]) -> str:
        column, path = match.groups()
        fields = paths[column]
        if len(fields) == 1:
            return match[0]
        return f"(JSON_VALUE({column}, [{', '.join(fields)}])[{fields[path]}])"

    return _FIELD.sub(index_list, sql)
