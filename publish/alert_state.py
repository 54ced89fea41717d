"""Stores in the warehouse which alerts were sent, so that every machine knows them.

The table `alerts` lies beside the ledger: one row for each alert that was sent.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table

from publish.findings import Finding

# Warehouses have this table already: its columns keep their names.
ALERTS = [
    SchemaField("key", "STRING", "REQUIRED", description="What the alert is for: source:NAME..."),
    SchemaField("state", "STRING", "REQUIRED", description="error, warning or recovered."),
    SchemaField("said_at", "TIMESTAMP", "REQUIRED", description="When Slack accepted it (UTC)."),
    SchemaField("message", "STRING", "REQUIRED", description="The text of the alert."),
]


@dataclass(frozen=True)
class SentAlert:
    """The last alert that was sent for a key."""

    state: str
    sent_at: datetime


def read_sent_alerts(client: bigquery.Client, table: str) -> dict[str, SentAlert]:
    """Return the last sent alert of each key; create `table` if it is missing in its dataset."""
    sql = (
        "select key, array_agg(state order by said_at desc limit 1)[offset(0)] "  # noqa: S608
        f"as state, max(said_at) as said_at from `{table}` group by key order by key"
    )
    try:
        return {row.key: SentAlert(row.state, row.said_at) for row in client.query_and_wait(sql)}
    except NotFound:
        new_table = Table(table, ALERTS)
        new_table.description = "Alerts that `python -m publish alert` sent. One row per alert."
        client.create_table(new_table, exists_ok=True)
        return {}


def record_sent_alerts(
    client: bigquery.Client, table: str, findings: list[Finding], sent_at: datetime
) -> None:
    """Record that `findings` were sent: all of them or, with GoogleAPIError, none."""
    rows = [
        {
            "key": finding.key,
            "state": finding.state,
            "said_at": sent_at.isoformat(),
            "message": finding.message,
        }
        for finding in findings
    ]
    # By a load job, which costs nothing.
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=ALERTS)
    lines = BytesIO("\n".join(map(json.dumps, rows)).encode())
    client.load_table_from_file(lines, table, job_config=config).result()
