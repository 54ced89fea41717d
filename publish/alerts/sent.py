"""The table `alerts`, beside the ledger: which alerts were sent, known to every machine."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from google.cloud.bigquery import Client, SchemaField, Table

from publish.findings import OK, Finding
from publish.tables import start_append

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
    first_at: datetime  # when the first alert for the key was sent


def define_table(name: str) -> Table:
    """Define the table `alerts`."""
    table = Table(name, ALERTS)
    table.description = "Alerts that `python -m publish alert` sent. One row per alert."
    return table


def read_sent_alerts(client: Client, table: Table) -> dict[str, SentAlert]:
    """Return the last sent alert of each key; create `table` if it is missing in its dataset."""
    client.create_table(table, exists_ok=True)
    sql = (
        "select key, array_agg(state order by said_at desc limit 1)[offset(0)] as state, "  # noqa: S608
        "max(said_at) as sent_at, min(said_at) as first_at "
        f"from `{table}` group by key order by key"
    )
    rows = client.query_and_wait(sql)
    return {row.key: SentAlert(row.state, row.sent_at, row.first_at) for row in rows}


def find_open_loads(sent: dict[str, SentAlert]) -> tuple[dict[str, list[str]], datetime | None]:
    """Return the loads, by source, of an alert without a recovery, and since when there are any."""
    loads, since = defaultdict[str, list[str]](list), []
    for key, alert in sent.items():
        subject, _, load_id = key.partition(":")  # as Finding.key: "load", "load of orders"
        kind, _, source = subject.partition(" of ")
        if kind in ("load", "held-back load") and alert.state != OK:
            loads[source or "randomuser"].append(load_id)
            since.append(alert.first_at)
    return loads, min(since, default=None)


def record_sent_alerts(
    client: Client, table: Table, findings: list[Finding], sent_at: datetime
) -> None:
    """Record that `findings` were sent: all of them or, with GoogleAPIError, none."""
    said_at = sent_at.isoformat()
    rows = [
        {"key": each.key, "state": each.state, "said_at": said_at, "message": each.message}
        for each in findings
    ]
    start_append(client, table, rows).result()
