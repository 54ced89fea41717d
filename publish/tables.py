"""Appends to the tables of `publish` in the raw dataset, by load jobs, which cost nothing."""

import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import Client, LoadJob, LoadJobConfig, Table


def prepare(client: Client, table: Table) -> None:
    """Create `table`, or add the columns that it lacks."""
    try:
        existing = client.get_table(table)
    except NotFound:
        client.create_table(table, exists_ok=True)
        return
    if len(existing.schema) < len(table.schema):
        client.update_table(table, ["schema"])


def start_append(
    client: Client, table: Table, rows: Iterable[Mapping[str, Any]], job_id: str | None = None
) -> LoadJob:
    """Start the load job that appends all of `rows`, or none."""
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=table.schema)
    lines = BytesIO("\n".join(map(json.dumps, rows)).encode())
    return client.load_table_from_file(lines, table, job_id=job_id, job_config=config)
