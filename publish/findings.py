"""Findings: the state of each part of the pipeline; this module finds what dbt does not know.

A load that waits for a person's decision is found in the mart `loads`, whatever its age. A failed
load is found in three ways. Its task failed in the scheduler: `ALERT_FAILED_TASKS`. The loader died
between its two statements: raw has users, of the last 30 days, that are not in the ledger. Or the
load left nothing: then the source becomes stale.

A finding holds names and numbers only, never a value of a row: dbt's messages may quote values.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from statistics import median
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from ingest.landing import RECOVERY_DAYS
from publish.artifacts import HELD_BACK_TEST, read_if_complete

ERROR, WARNING, OK = "error", "warning", "recovered"
USUAL_BUILDS = 5  # fewer earlier builds are not enough to say what is usual
_ago = "timestamp_sub(current_timestamp(), interval {} {})".format


@dataclass(frozen=True)
class Finding:
    """The state of one thing that was checked."""

    key: str
    """What was checked: `source:NAME`, `test:UNIQUE_ID`, `model:UNIQUE_ID`, `load:LOAD_ID`,
    `held-back load:LOAD_ID`, `task:NAME` or `cost:build`."""
    state: str
    """ERROR, WARNING or OK."""
    text: str
    """The text of its alert, without its effects."""
    seen_at: datetime
    """When it was in this state, UTC."""
    effects: tuple[str, ...] = ()
    """What failed only because of it: publish/causes.py."""

    @property
    def message(self) -> str:
        """The text of its alert, with its effects."""
        because = f"; because of that {' and '.join(self.effects)}" if self.effects else ""
        return self.text + because


def find_unfinished_loads(
    client: bigquery.Client, raw: str, now: datetime, grace_period: timedelta
) -> Iterator[Finding]:
    """Yield the loads in the dataset `raw` that have users but no row in the ledger.

    A load that began to land within `grace_period` may still write its row.
    """
    sql = (
        f"select load_id, count(*) as users from `{raw}.users` "  # noqa: S608
        f"where loaded_at >= {_ago(RECOVERY_DAYS, 'day')} "
        f"and loaded_at < {_ago(int(grace_period.total_seconds()), 'second')} "
        f"and load_id not in (select load_id from `{raw}.loads`) "
        "group by load_id order by load_id"
    )
    for row in client.query_and_wait(sql):
        text = f"load `{row.load_id}` is not finished, {row.users:,} users are in raw: run it again"
        yield Finding(f"load:{row.load_id}", ERROR, text, now)


def find_held_back_loads(client: bigquery.Client, now: datetime) -> list[Finding] | None:
    """Return the loads that a person has to decide about; None if dbt has not built `loads`."""
    nodes = (read_if_complete("manifest") or {}).get("nodes", {})
    try:
        table = nodes["model.randomuser.loads"]["relation_name"]
        sql = "select load_id, users_rejected, users_received, rejection_reasons "
        sql += f"from {table} where state = 'held back' order by load_id"
        rows = list(client.query_and_wait(sql))
    except (KeyError, NotFound):
        return None
    is_warning = nodes[HELD_BACK_TEST]["config"]["severity"].lower() == "warn"
    held_back = []
    for row in rows:
        load_id = quote(row.load_id)
        text = f"load `{row.load_id}` is held back until `python -m ingest --accept {load_id}` or "
        text += f"`--set-aside {load_id}`: {row.users_rejected:,} of {row.users_received:,} users "
        text += f"are rejected: {row.rejection_reasons}"
        state = WARNING if is_warning else ERROR
        held_back.append(Finding(f"held-back load:{row.load_id}", state, text, now))
    return held_back


def find_failed_tasks(task_names: str, load_id: str, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each failed task of the scheduler in `task_names`, split at commas."""
    of_load = f" of load `{load_id}`" if load_id else ""
    for name in filter(None, map(str.strip, task_names.split(","))):
        yield Finding(
            f"task:{name}", ERROR, f"task `{name}`{of_load} failed: its log says why", now
        )


def find_costly_build(client: bigquery.Client, raw: str, ratio: float) -> Iterator[Finding]:
    """Yield whether the last build in `runs` billed more than `ratio` times the usual bytes."""
    sql = (
        "select max(ended_at) as built_at, sum(bytes_billed) as billed, "  # noqa: S608
        "array_agg(node order by bytes_billed desc limit 1)[offset(0)] as node, "
        f"max(bytes_billed) as node_billed from `{raw}.runs` "
        f"where ended_at >= {_ago(30, 'day')} and command = 'build' and bytes_billed > 0 "
        "group by invocation_id order by built_at desc"
    )
    with suppress(NotFound):  # no build was recorded
        yield from compare_builds(list(client.query_and_wait(sql)), ratio)


def compare_builds(builds: list[Any], ratio: float) -> Iterator[Finding]:
    """Yield how the first of `builds`, the last one, compares to the median of the others."""
    if len(builds) <= USUAL_BUILDS:
        return
    last, usual = builds[0], median(build.billed for build in builds[1:])
    text, state = "the bytes that `dbt build` billed", OK
    if last.billed > ratio * usual:
        state, times = WARNING, f"{last.billed / usual:,.1f} times the usual {_format_mb(usual)}"
        text = f"`dbt build` billed {_format_mb(last.billed)}, {times}; most of it "
        text += f"({_format_mb(last.node_billed)}) for `{last.node.split('.')[2]}`: expected only "
        text += "for a full refresh or after an outage"
    yield Finding("cost:build", state, text, last.built_at)


def _format_mb(count: float) -> str:
    return f"{count / 2**20:,.0f} MB"
