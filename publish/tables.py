"""Appends to the tables of `publish` in the raw dataset, by load jobs, which cost nothing."""

import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from google.cloud.bigquery import Client, LoadJob, LoadJobConfig, Table


def start_append(
    client: Client, table: Table, rows: Iterable[Mapping[str, Any]], job_id: str | None = None
) -> LoadJob:
    """Start the load job that appends all of `rows`, or none."""
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=table.schema)
    lines = BytesIO("\n".join(map(json.dumps, rows)).encode())
    return client.load_table_from_file(lines, table, job_id=job_id, job_config=config)
