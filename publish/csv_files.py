"""Writes the marts as CSV: UTF-8, RFC 4180, with a header, ordered by the mart's key."""

import csv
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import PublishError, read

MARTS = ("users", "logins", "locations")


def write(client: bigquery.Client, folder: Path, with_secrets: bool) -> dict[Path, int]:
    """Write one file a mart into `folder` and return each file's number of rows.

    Columns whose YAML says `meta: {secret: true}` are left out unless `with_secrets`. The files
    take their names together, when all are complete: none is ever half written. Raises
    PublishError where a mart is not there.
    """
    manifest = read("manifest")
    nodes = [manifest["nodes"][f"model.randomuser.{it}"] for it in MARTS]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        written = {
            folder / f"{it['name']}.csv": _write(client, it, folder, with_secrets) for it in nodes
        }
        for file in written:
            _unfinished(file).replace(file)
    except NotFound as error:
        raise PublishError(
            f"a mart is not there ({error.message.rpartition('Not found: ')[2]}): run `dbt build` "
            f"first; the files in {folder} are as they were"
        ) from None
    finally:
        for name in MARTS:
            _unfinished(folder / f"{name}.csv").unlink(missing_ok=True)
    return written


def _write(client: bigquery.Client, node: dict, folder: Path, with_secrets: bool) -> int:  # type: ignore[type-arg]
    columns = [
        name
        for name, column in node["columns"].items()
        if with_secrets or not column["config"]["meta"].get("secret")
    ]
    key = node["config"]["unique_key"]
    sql = f"select {', '.join(columns)} from {node['relation_name']} order by {key}"  # noqa: S608
    rows = client.query_and_wait(sql)
    count = 0
    with _unfinished(folder / f"{node['name']}.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for count, row in enumerate(rows, start=1):  # noqa: B007
            writer.writerow(row.values())
    return count


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.unfinished")
