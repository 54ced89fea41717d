"""What has been said of what, in the warehouse, so that whichever machine runs knows it.

The table `alerts` lies beside the ledger: one row each time that something was said.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table

from publish.findings import Finding

ALERTS = [
    SchemaField("key", "STRING", "REQUIRED", description="What was spoken of, such as source:..."),
    SchemaField("state", "STRING", "REQUIRED", description="error, warning or recovered."),
    SchemaField("said_at", "TIMESTAMP", "REQUIRED", description="When Slack had taken it (UTC)."),
    SchemaField("message", "STRING", "REQUIRED", description="What was said."),
]


@dataclass(frozen=True)
class Said:
    """The last that was said of something."""

    state: str
    at: datetime


def last(client: bigquery.Client, table: str) -> dict[str, Said]:
    """Return what was said last, by key; make `table` where it is missing, its dataset is there."""
    sql = (
        "select key, array_agg(state order by said_at desc limit 1)[offset(0)] "  # noqa: S608
        f"as state, max(said_at) as said_at from `{table}` group by key order by key"
    )
    try:
        return {row.key: Said(row.state, row.said_at) for row in client.query_and_wait(sql)}
    except NotFound:
        made = Table(table, ALERTS)
        made.description = "What `python -m publish alert` said. One row each time."
        client.create_table(made, exists_ok=True)
        return {}


def add(client: bigquery.Client, table: str, findings: list[Finding], now: datetime) -> None:
    """Write down that `findings` were said: all of them or, with GoogleAPIError, none."""
    rows = [
        {"key": it.key, "state": it.state, "said_at": now.isoformat(), "message": it.text}
        for it in findings
    ]
    # By a load job, which costs nothing.
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=ALERTS)
    lines = BytesIO("\n".join(map(json.dumps, rows)).encode())
    client.load_table_from_file(lines, table, job_config=config).result()
