"""Queries the loads and runs of the last 30 days by day, and the users by group.

Groups of fewer users than the var `smallest_group` are put together: a report can be sent on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import read_artifact

Row = Mapping[str, Any]
# Of a kind, so that no data makes a page too large; the users of the API registered in 25 years.
MAX_GROUPS, MAX_MONTHS, MAX_NAME = 30, 400, 40

_LOADS = """
select
    date(loaded_at) as day, count(*) as loads, sum(users_received) as users_received,
    sum(if(state = 'used', users_accepted, 0)) as users_used,
    sum(if(state = 'used', 0, coalesce(users_accepted, users_landed))) as users_unused,
    sum(users_rejected) as users_rejected,
    safe_divide(sum(users_rejected), sum(users_received)) as rejected_share,
    sum(seconds) as seconds, max(loaded_at) as newest_load
from {loads}
where loaded_at >= timestamp_sub(current_timestamp(), interval 30 day)
group by day order by day
"""
_GROUPS = """
select
    kind,
    case kind
        when 'country' then country
        when 'age' then cast(div((
            cast(format_date('%Y%m%d', current_date()) as int64)
            - cast(format_date('%Y%m%d', born_on) as int64)), 100000) * 10 as string)
        when 'month' then format_timestamp('%Y-%m', registered_at)
        when 'email_domain' then regexp_extract(email, r'@(.*)$')
        -- 9 for each digit, A for each letter
        when 'postcode_format'
            then regexp_replace(regexp_replace(postcode, r'[0-9]', '9'), r'[A-Za-z]', 'A')
    end as value,
    if(kind = 'age', gender, null) as series,
    if(kind = 'month', count(registered_at), count(*)) as users
from {users} left join {locations} using (location_id)
cross join unnest(['country', 'age', 'month', 'email_domain', 'postcode_format']) as kind
group by kind, value, series
order by kind, users desc, value, series
"""
# The builds by day, and for each node the first of its results that are all like its newest one.
_RUNS = """
with results as (
    select
        *,
        first_value(status) over (
            partition by node, status = 'skipped' order by ended_at desc
        ) as newest
    from {table}
    where command = 'build' and ended_at >= timestamp_sub(current_timestamp(), interval 30 day)
),
changes as (
    select *, max(if(status != newest, ended_at, null)) over (partition by node) as changed_at
    from results
)
select
    date(ended_at) as day, count(distinct invocation_id) as runs, sum(seconds) as seconds,
    sum(bytes_billed) as bytes_billed, countif(status in ('error', 'fail')) as failures,
    cast(null as string) as node, cast(null as timestamp) as since
from results group by day
union all
select null, null, null, null, null, node, min(ended_at)
from changes
where status != 'skipped' and (changed_at is null or ended_at > changed_at)
group by node
order by day
"""


@dataclass
class Statistics:
    """The last 30 days by day, and the users by group."""

    loads: list[Row]
    runs: list[Row]
    since: dict[str, datetime]
    """When the newest result of each test began."""
    smallest_group: int
    groups: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    """The users by kind of group and by (value, series); those put together are under OTHERS."""


OTHERS = ("", "")
NOT_KNOWN = "not known"


def read_statistics(client: bigquery.Client, runs_table: str) -> Statistics:
    """Query the loads, the runs and the users; what does not exist yet is empty."""
    nodes = read_artifact("manifest")["nodes"].values()
    models = {node["name"]: node for node in nodes if node["resource_type"] == "model"}
    tables = {name: model["relation_name"] for name, model in models.items()}
    groups = _GROUPS.format_map(tables)
    runs = _read(client, _RUNS.format(table=f"`{runs_table}`"))
    statistics = Statistics(
        _read(client, _LOADS.format_map(tables)),
        [row for row in runs if row["day"]],
        {row["node"]: row["since"] for row in runs if row["node"]},
        int(models["users"]["config"]["meta"]["smallest_group"]),
    )
    for row in _read(client, groups):
        series = row["series"] or (NOT_KNOWN if row["kind"] == "age" else "")
        group = ((row["value"] or NOT_KNOWN)[:MAX_NAME], series[:MAX_NAME])
        counts = statistics.groups.setdefault(row["kind"], {})
        counts[group] = counts.get(group, 0) + row["users"]
    for kind, counts in statistics.groups.items():
        limit = MAX_MONTHS if kind == "month" else MAX_GROUPS
        statistics.groups[kind] = protect(counts, statistics.smallest_group, limit)
    return statistics


def protect(
    counts: dict[tuple[str, str], int], smallest: int, limit: int
) -> dict[tuple[str, str], int]:
    """Return the `limit` largest counts, the largest first, and the others put together.

    A group of fewer users than `smallest` is among the others. The others are no small group
    either, which the total would tell.
    """
    largest = sorted(counts.items(), key=lambda item: -item[1])
    kept = [item for item in largest[:limit] if item[1] >= smallest]
    others = sum(counts.values()) - sum(users for _, users in kept)
    while kept and 0 < others < smallest:
        others += kept.pop()[1]
    return dict(kept) | ({OTHERS: others} if others else {})


def _read(client: bigquery.Client, sql: str) -> list[Row]:
    try:
        return [dict(row) for row in client.query_and_wait(sql)]
    except NotFound:
        return []
