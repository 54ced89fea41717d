"""Findings: the state of each part of the pipeline; this module finds what dbt does not know.

A failed load is found in three ways. Its task failed in the scheduler: `ALERT_FAILED_TASKS`. The
loader died between its two statements: raw has users, of the last 30 days, that are not in the
ledger. Or the load left nothing: then the source becomes stale.

A finding holds names and numbers only, never a value of a row: dbt's messages may quote values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.cloud import bigquery

from ingest.warehouse import RECOVERY_WINDOW

ERROR, WARNING, OK = "error", "warning", "recovered"


@dataclass(frozen=True)
class Finding:
    """The state of one thing that was checked."""

    key: str
    """What was checked: `source:NAME`, `test:UNIQUE_ID`, `model:UNIQUE_ID`, `load:LOAD_ID` or
    `task:NAME`."""
    state: str
    """ERROR, WARNING or OK."""
    text: str
    """The text of its alert."""
    seen_at: datetime
    """When it was in this state, UTC."""


def find_unfinished_loads(
    client: bigquery.Client, raw: str, now: datetime, grace_period: timedelta
) -> Iterator[Finding]:
    """Yield the loads in the dataset `raw` that have users but no row in the ledger.

    A load that began to land within `grace_period` may still write its row.
    """
    ago = "timestamp_sub(current_timestamp(), interval {} {})".format
    sql = (
        f"select load_id, count(*) as users from `{raw}.users` "  # noqa: S608
        f"where loaded_at >= {ago(RECOVERY_WINDOW.days, 'day')} "
        f"and loaded_at < {ago(int(grace_period.total_seconds()), 'second')} "
        f"and load_id not in (select load_id from `{raw}.loads`) "
        "group by load_id order by load_id"
    )
    for row in client.query_and_wait(sql):
        text = f"load `{row.load_id}` is not finished, {row.users:,} users are in raw: run it again"
        yield Finding(f"load:{row.load_id}", ERROR, text, now)


def find_failed_tasks(task_names: str, load_id: str, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each failed task of the scheduler in `task_names`, split at commas."""
    of_load = f" of load `{load_id}`" if load_id else ""
    for name in filter(None, map(str.strip, task_names.split(","))):
        yield Finding(
            f"task:{name}", ERROR, f"task `{name}`{of_load} failed: its log says why", now
        )
