"""What is wrong with the pipeline: a finding, and those that dbt does not know of.

A failed load shows in three ways. A scheduler saw its task fail: `ALERT_FAILED_TASKS`. It died
between its two statements: raw holds users, of the last 30 days, that the ledger does not know. Or
it left nothing at all: then the source becomes stale.

A finding holds names and numbers alone, never a value of a row: dbt's own messages may quote one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.cloud import bigquery

from ingest.warehouse import UNFINISHED

ERROR, WARNING, WELL = "error", "warning", "recovered"


@dataclass(frozen=True)
class Finding:
    """How something is that was looked at."""

    key: str
    """What was looked at: `source:NAME`, `test:UNIQUE_ID`, `model:UNIQUE_ID`, `load:LOAD_ID` or
    `task:NAME`."""
    state: str
    """ERROR, WARNING or WELL."""
    text: str
    """What to say of it."""
    seen_at: datetime
    """When it was so, UTC."""


def of_loads(
    client: bigquery.Client, raw: str, now: datetime, patience: timedelta
) -> Iterator[Finding]:
    """Yield the loads in the dataset `raw` that died between users and ledger.

    A load that began to land within `patience` may still be about to write its row.
    """
    ago = "timestamp_sub(current_timestamp(), interval {} {})".format
    sql = (
        f"select load_id, count(*) as users from `{raw}.users` "  # noqa: S608
        f"where loaded_at >= {ago(UNFINISHED.days, 'day')} "
        f"and loaded_at < {ago(int(patience.total_seconds()), 'second')} "
        f"and load_id not in (select load_id from `{raw}.loads`) "
        "group by load_id order by load_id"
    )
    for row in client.query_and_wait(sql):
        text = f"load `{row.load_id}` is not finished, {row.users:,} users lie in raw: run it again"
        yield Finding(f"load:{row.load_id}", ERROR, text, now)


def of_tasks(failed: str, load_id: str, now: datetime) -> Iterator[Finding]:
    """Yield the tasks that a scheduler saw fail, named with commas between them."""
    of_load = f" of load `{load_id}`" if load_id else ""
    for name in filter(None, map(str.strip, failed.split(","))):
        yield Finding(
            f"task:{name}", ERROR, f"task `{name}`{of_load} failed: its log says why", now
        )
