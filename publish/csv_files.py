"""Writes the marts as CSV files: UTF-8, RFC 4180, with a header, sorted by the mart's key.

All but numbers is quoted, and null is an empty field without quotes.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish import PublishError
from publish.files import replace_files
from publish.runs import DAYS, MARTS, Result, find_marts

PUBLISHED = ("public", "personal")
# Six digits also of a whole second: pandas reads a column of two formats as text.
ISO_TIME = "format_timestamp('%FT%H:%M:%E6SZ', {name}) as {name}"
# A spreadsheet would take a text that begins so for a formula.
NO_FORMULA = r"""regexp_replace({name}, r"^[=+\-@\t\r\n]", r"'\0") as {name}"""


class _Null(float):
    """A number for csv, which would quote None; csv.QUOTE_NOTNULL needs Python 3.12."""

    def __str__(self) -> str:
        return ""


def write_marts(
    client: bigquery.Client,
    nodes: Mapping[str, Result],
    folder: Path,
    with_secrets: bool,
    for_spreadsheets: bool,
) -> dict[Path, int]:
    """Write one file per mart into `folder` and return each file's number of rows.

    `nodes` of `runs` know the columns; those whose class is not `public` or `personal` are left out
    unless `with_secrets`. The files are of one moment, and replace others when all are complete.
    Raises PublishError if a mart is missing.
    """
    marts = find_marts(nodes)
    for name in MARTS:
        if "columns" not in getattr(marts.get(name), "details", {}):
            raise PublishError(
                f"no build of {name} is recorded in the last {DAYS} days: run `dbt build` first, "
                f"then `python -m publish history`; the files in {folder} are unchanged"
            )
    formats = {"timestamp": ISO_TIME} | ({"string": NO_FORMULA} if for_spreadsheets else {})
    row_counts = {}
    try:
        with replace_files(folder) as unfinished:
            # Our clock may be ahead of BigQuery's, which refuses to read the future.
            ((moment,),) = client.query_and_wait("select current_timestamp()")
            for name, node in marts.items():
                columns = {
                    column: formats.get(data_type, "{name}").format(name=column)
                    for column, (data_type, column_class) in node.details["columns"].items()
                    if with_secrets or column_class in PUBLISHED
                }
                sql = (
                    f"select {', '.join(columns.values())} from `{node.relation}` for "  # noqa: S608
                    f"system_time as of timestamp '{moment.isoformat()}' "
                    f"order by {node.details['key']}"
                )
                file = unfinished / f"{name}.csv"
                file.touch(0o600 if with_secrets else 0o666)
                row_counts[folder / file.name] = _write(file, columns, client.query_and_wait(sql))
    except NotFound as error:
        raise PublishError(
            f"a mart is missing ({error.message.rpartition('Not found: ')[2]}): run `dbt build` "
            f"first; the files in {folder} are unchanged"
        ) from None
    return row_counts


def _write(file: Path, columns: Iterable[str], rows: Iterable[bigquery.Row]) -> int:
    count, null = 0, _Null()
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        for count, row in enumerate(rows, start=1):  # noqa: B007
            # row.values() would be a deep copy, which takes longer than all else here.
            writer.writerow([null if value is None else value for value in row[:]])
    return count
