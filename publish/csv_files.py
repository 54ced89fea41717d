"""Writes the marts as CSV files: UTF-8, RFC 4180, with a header, sorted by the mart's key.

All but numbers is quoted, and null is an empty field without quotes.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import Client, Row

from publish.artifacts import PublishError, read_artifact
from publish.files import replace_files

MARTS = ("users", "logins", "locations")
# With all six digits, also of whole seconds: pandas reads a column of two formats as text.
TIMESTAMP = "format_timestamp('%FT%H:%M:%E6SZ', {name}) as {name}"
# A spreadsheet takes a text that begins so for a formula; the last four are the wide forms.
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class _Null(float):
    """A null that csv does not quote; csv.QUOTE_NOTNULL needs Python 3.12."""

    def __str__(self) -> str:
        return ""


NULL = _Null()


def write_marts(
    client: Client, folder: Path, with_secrets: bool, for_spreadsheets: bool
) -> dict[Path, int]:
    """Write one file per mart into `folder` and return each file's number of rows.

    Columns whose class is not `public` or `personal` are left out unless `with_secrets`. The files
    are of one moment, and replace older ones when all are complete. Raises PublishError if a mart
    is missing or `folder` cannot be written to.
    """
    nodes = read_artifact("manifest")["nodes"]
    row_counts = {}
    try:
        with replace_files(folder) as unfinished:
            # Not this machine's time, which BigQuery may take for the future.
            ((moment,),) = client.query_and_wait("select current_timestamp()")
            for name in MARTS:
                node, file = nodes[f"model.randomuser.{name}"], f"{name}.csv"
                columns = _choose_columns(node, with_secrets)
                is_private = columns != _choose_columns(node, with_secrets=False)
                (unfinished / file).touch(0o600 if is_private else 0o666)
                rows = client.query_and_wait(_select(node, columns, moment.isoformat()))
                with (unfinished / file).open("w", encoding="utf-8", newline="") as out:
                    row_counts[folder / file] = _write(out, columns, rows, for_spreadsheets)
    except NotFound as error:
        raise PublishError(
            f"a mart is missing ({error.message.rpartition('Not found: ')[2]}): run `dbt build` "
            f"first; the files in {folder} are unchanged"
        ) from None
    return row_counts


def _choose_columns(node: dict[str, Any], with_secrets: bool) -> list[str]:
    return [
        name
        for name, column in node["columns"].items()
        if with_secrets or column["config"]["meta"].get("class") in ("public", "personal")
    ]


def _select(node: dict[str, Any], columns: list[str], moment: str) -> str:
    values = [
        TIMESTAMP.format(name=name) if node["columns"][name]["data_type"] == "timestamp" else name
        for name in columns
    ]
    return (
        f"select {', '.join(values)} from {node['relation_name']} "  # noqa: S608
        f"for system_time as of timestamp '{moment}' order by {node['config']['unique_key']}"
    )


def _write(out: TextIO, columns: list[str], rows: Iterable[Row], for_spreadsheets: bool) -> int:
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        # row.values() would make a deep copy.
        values = [NULL if value is None else value for value in row[:]]
        if for_spreadsheets:
            values = [f"'{value}" if _is_formula(value) else value for value in values]
        writer.writerow(values)
    return count


def _is_formula(value: object) -> bool:
    return isinstance(value, str) and value.startswith(FORMULA_STARTS)
