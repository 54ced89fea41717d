"""The DuckDB under the embedded BigQuery, tuned to what BigQuery does well."""

import re
from collections import defaultdict
from typing import Any

import duckdb
from bqemulator.storage.engine import DuckDBEngine

_FIELD = re.compile(r"""JSON_VALUE\(((?:"[^"]+"\.)?"[^"]+"), ('\$[^']*')\)""")


class Engine(DuckDBEngine):
    """DuckDB as the emulator runs it, faster at loading and at taking payloads apart."""

    async def start(self) -> None:
        """Open the tables; DuckDB replays what a killed run left in its write-ahead log."""
        await super().start()
        # By default every 16 MB of changes are compressed into the file, also those to the table
        # that a load goes through and drops. What is still in the log goes in when this stops.
        self.execute("SET checkpoint_threshold = '1GB'")
        # Payloads are all different: to look for what repeats in them takes longer than to write.
        self.execute("SET disabled_compression_methods = 'dictionary,fsst'")

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one statement of DuckDB's SQL."""
        return super().execute(parse_once(sql), parameters)


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
