"""The DuckDB under the embedded BigQuery: as fast and as strict as the project needs it."""

import re
from collections import defaultdict
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
    # DuckDB knows years of any length, 24 o'clock, infinity and more; BigQuery what it can write
    r"""timestamp_in_bigquery(text) AS CASE
        WHEN regexp_full_match(
            text,
            '\d{4}-\d\d?-\d\d?'
            || '([ Tt]([01]?\d|2[0-3]):\d\d?:\d\d?(\.\d{0,6})?([Zz]| ?[A-Za-z+-].*)?)?'
        ) AND text >= '0001'
        THEN TRY_CAST(text AS TIMESTAMPTZ)
    END""",
    # DuckDB, and with it the emulator, has names of its own for the types of JSON
    """type_in_bigquery(type) AS replace(replace(replace(replace(replace(
        lower(type), 'varchar', 'string'), 'double', 'number'),
        'ubigint', 'number'), 'hugeint', 'number'), 'bigint', 'number')""",
]

_MERGE = re.compile(r"^(?:\s|/\*.*?\*/)*MERGE\b", re.DOTALL)


class Engine(DuckDBEngine):
    """DuckDB as the emulator runs it, but for loading, for payloads and for `merge`."""

    async def start(self) -> None:
        """Open the tables; DuckDB replays what a killed run left in its write-ahead log."""
        await super().start()
        # By default every 16 MB of changes are compressed into the file, also those to the table
        # that a load goes through and drops. What is still in the log goes in when this stops.
        self.execute("SET checkpoint_threshold = '4GB'")
        # Payloads are all different: to look for what repeats in them takes longer than to write.
        self.execute("SET disabled_compression_methods = 'dictionary,fsst'")
        for function in FUNCTIONS:
            self.execute(f"CREATE OR REPLACE MACRO {function}")

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one statement of DuckDB's SQL; raises duckdb.Error."""
        if _MERGE.search(sql) and super().execute(twice_matched(sql), parameters).fetchone():
            raise duckdb.InvalidInputException(
                "UPDATE/MERGE must match at most one source row for each target row"
            )
        sql = _TYPE.sub(_bigquery_type, sql)
        sql = _TIMESTAMP.sub(r"TIMESTAMP_IN_BIGQUERY(\1)", sql)
        return super().execute(parse_once(sql), parameters)


def _bigquery_type(found: re.Match[str]) -> str:
    """Return DuckDB's type of a JSON value, with the path within it as the second argument."""
    return f"TYPE_IN_BIGQUERY(JSON_TYPE({', '.join(filter(None, found.groups()))}))"


def twice_matched(merge: str) -> str:
    """Return a query for a row of the target that two rows of the source match.

    BigQuery refuses such a `merge`; DuckDB lets one of them win.
    """
    tree = sqlglot.parse_one(merge, read="duckdb")
    target = tree.this
    rows = exp.select("1").from_(target).join(tree.args["using"], on=tree.args["on"])
    row = exp.column("rowid", target.alias_or_name)
    return rows.group_by(row).having("count(*) > 1").limit(1).sql("duckdb")


def parse_once(sql: str) -> str:
    """Return DuckDB's `sql` with all the fields of a JSON column taken out of it in one go.

    BigQuery keeps JSON in columns and reads of it what is asked for. DuckDB keeps text, and
    parses all of it anew for each field, but takes a list of paths as well, and computes what is
    the same in many expressions once.
    """
    paths = defaultdict[str, dict[str, int]](dict)
    for column, path in _FIELD.findall(sql):
        paths[column].setdefault(path, len(paths[column]) + 1)

    def listed(found: re.Match[str]) -> str:
        column, path = found.groups()
        fields = paths[column]
        if len(fields) == 1:
            return found[0]
        return f"(JSON_VALUE({column}, [{', '.join(fields)}])[{fields[path]}])"

    return _FIELD.sub(listed, sql)
