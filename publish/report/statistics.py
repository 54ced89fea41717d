"""Queries the loads and builds of the last 30 days by day, and the users by group.

Groups of fewer users than the var `smallest_group` are put together: a report can be sent on.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from google.api_core.exceptions import NotFound

from ingest.warehouse import Warehouse
from publish.runs import Source, find_marts
from publish.state import State

Row = Mapping[str, Any]
Groups = Mapping[tuple[str, str], int]
OTHERS, NOT_KNOWN = ("", ""), "not known"
# Of groups, so that no data makes a page too large; the users of the API registered in 25 years.
LIMITS, MAX_NAME = defaultdict(lambda: 30, month=400), 40
# The columns of loads and builds are those of their tables on the page. What is not used is the
# rest of the records, so that a day's add up. The price is that on demand: docs/cost.md.
_LOADS = """
select
    date(loaded_at) as day, count(*) as loads, sum({records}_received) as received,
    sum(if(state = 'used', {records}_accepted, 0)) as used,
    sum({records}_received - if(state = 'used', {records}_accepted, 0) - rejected) as `not used`,
    sum(rejected) as rejected,
    format('%.1f%%', 100 * sum(rejected) / greatest(sum({records}_received), 1)) as share,
    sum(seconds) as seconds, format_timestamp('%H:%M', max(loaded_at)) as `newest at`
from (select *, ifnull({records}_rejected, 0) as rejected from `{loads}`)
where loaded_at >= timestamp_sub(current_timestamp(), interval 30 day)
group by day order by day
"""
_BUILDS = """
with builds as (
    select
        invocation_id, date(any_value(ended_at)) as day, sum(seconds) as seconds,
        nullif(sum(bytes_billed), 0) / pow(2, 20) as megabytes,
        countif(node != '' and status in ('error', 'fail')) as failed
    from `{runs}`
    where command = 'build' and ended_at >= timestamp_sub(current_timestamp(), interval 30 day)
    group by invocation_id
)
select
    day, count(*) as builds, sum(failed) as `failed nodes`, avg(seconds) as `seconds each`,
    avg(megabytes) as `megabytes billed each`,
    format('$%.4f', avg(megabytes) * 6.25 / pow(2, 20)) as `price each`
from builds group by day order by day
"""
_GROUPS = """
select
    kind, if(kind = 'age', coalesce(gender, '{unknown}'), '') as series,
    coalesce(case kind
        when 'country' then country
        when 'age' then cast(div((
            cast(format_date('%Y%m%d', current_date()) as int64)
            - cast(format_date('%Y%m%d', born_on) as int64)), 100000) * 10 as string)
        when 'month' then format_timestamp('%Y-%m', registered_at)
        when 'email_domain' then regexp_extract(email, r'@(.*)$')
        -- 9 for each digit, A for each letter
        else regexp_replace(regexp_replace(postcode, r'[0-9]', '9'), r'[A-Za-z]', 'A')
    end, '{unknown}') as name,
    count(*) as users
from `{users}` left join `{locations}` using (location_id)
cross join unnest(['country', 'age', 'month', 'email_domain', 'postcode_format']) as kind
group by kind, name, series
"""


@dataclass
class Statistics:
    """The last 30 days by day, and the users by kind of group and by (name, series)."""

    loads: list[tuple[Source, list[Row]]]
    builds: list[Row]
    smallest_group: int
    groups: Mapping[str, Groups]


def read_statistics(warehouse: Warehouse, state: State) -> Statistics:
    """Query the loads, the builds and the users; what does not exist yet is empty."""
    marts = find_marts(state.runs.known)
    tables = {name: mart.relation for name, mart in marts.items()}
    tables |= {"runs": f"{warehouse.dataset}.runs", "unknown": NOT_KNOWN}

    def read(sql: str, **names: str) -> list[Row]:
        with suppress(KeyError, NotFound):  # a table is not built
            sql = sql.format_map(tables | names)
            return [dict(row) for row in warehouse.client.query_and_wait(sql)]
        return []

    meta = marts["users"].details.get("meta", {}) if "users" in marts else {}
    smallest = int(meta.get("smallest_group", 5))
    groups = defaultdict[str, Counter[tuple[str, str]]](Counter)
    for row in read(_GROUPS):
        groups[row["kind"]][row["name"][:MAX_NAME], row["series"][:MAX_NAME]] += row["users"]
    shown = {kind: protect(counts, smallest, LIMITS[kind]) for kind, counts in groups.items()}
    builds = read(_BUILDS) if state.runs.nodes else []
    loads = [(each, read(_LOADS, **asdict(each))) for each in state.sources if each.loads]
    return Statistics(loads, builds, smallest, shown)


def protect(counts: Groups, smallest: int, limit: int) -> Groups:
    """Return the `limit` largest counts, the largest first, and the others put together as OTHERS.

    A group of fewer users than `smallest` is among the others. The others are no small group
    either, which the total would tell.
    """
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [item for item in largest[:limit] if item[1] >= smallest]
    others = sum(counts.values()) - sum(users for _, users in kept)
    while kept and 0 < others < smallest:
        others += kept.pop()[1]
    return dict(kept) | ({OTHERS: others} if others else {})
