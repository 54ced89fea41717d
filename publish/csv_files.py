"""Writes the marts as CSV files: UTF-8, RFC 4180, with a header, sorted by the mart's key."""

import csv
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import PublishError, read_artifact

MARTS = ("users", "logins", "locations")


def write_marts(client: bigquery.Client, folder: Path, with_secrets: bool) -> dict[Path, int]:
    """Write one file per mart into `folder` and return each file's number of rows.

    Columns whose class is not `public` or `personal` are left out unless `with_secrets`. All files
    are renamed to their final names when all are complete: no file is ever half written. Raises
    PublishError if a mart is missing.
    """
    manifest = read_artifact("manifest")
    nodes = [manifest["nodes"][f"model.randomuser.{name}"] for name in MARTS]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        row_counts = {
            folder / f"{node['name']}.csv": _write_mart(client, node, folder, with_secrets)
            for node in nodes
        }
        for file in row_counts:
            _temp_path(file).replace(file)
    except NotFound as error:
        raise PublishError(
            f"a mart is missing ({error.message.rpartition('Not found: ')[2]}): run `dbt build` "
            f"first; the files in {folder} are unchanged"
        ) from None
    finally:
        for name in MARTS:
            _temp_path(folder / f"{name}.csv").unlink(missing_ok=True)
    return row_counts


def _write_mart(client: bigquery.Client, node: dict, folder: Path, with_secrets: bool) -> int:  # type: ignore[type-arg]
    columns = [
        name
        for name, column in node["columns"].items()
        if with_secrets or column["config"]["meta"].get("class") in ("public", "personal")
    ]
    key = node["config"]["unique_key"]
    sql = f"select {', '.join(columns)} from {node['relation_name']} order by {key}"  # noqa: S608
    rows = client.query_and_wait(sql)
    count = 0
    with _temp_path(folder / f"{node['name']}.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for count, row in enumerate(rows, start=1):  # noqa: B007
            writer.writerow(row.values())
    return count


def _temp_path(file: Path) -> Path:
    return file.with_name(f".{file.name}.unfinished")
