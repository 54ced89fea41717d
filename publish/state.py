"""Reads the state of the pipeline from the warehouse: `runs`, the mart `loads` and the ledger.

What dbt and the scheduler left on this machine is not read: every machine sees the same.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound

from ingest.landing import RECOVERY_DAYS
from ingest.warehouse import Warehouse
from publish import MARTS
from publish.runs import DAYS, Runs, read_runs

NOT_BUILT = "not built"
# Loads that have users in raw and no row in the ledger, and those of `known` that have one. A load
# that began to land a moment ago may still write its row.
_UNFINISHED = r"""
select load_id, count(*) as users, false as is_in_ledger
from `{raw}`
where
    loaded_at >= @since
    and loaded_at < timestamp_sub(current_timestamp(), interval @seconds second)
    and load_id not in (select load_id from `{loads}`)
group by load_id
union all
select load_id, users_landed, true from `{loads}` where load_id in unnest(split(@known, '\n'))
order by load_id
"""
_DECIDED = r"""
select load_id, state, users_rejected, users_received, rejection_reasons
from `{mart}`
where state = 'held back' or load_id in unnest(split(@known, '\n'))
order by load_id
"""
# What the last whole build billed, and the builds before it that had as many new loads.
_BILLED = """
with builds as (
    select
        invocation_id,
        any_value(is_full_refresh) as is_full_refresh,
        max(ended_at) as ended_at,
        max(started_at) as started_at,
        sum(bytes_billed) as billed,
        array_agg(node order by bytes_billed desc limit 1)[offset(0)] as node,
        max(bytes_billed) as node_billed
    from `{runs}`
    where
        command = 'build'
        and not is_part
        and ended_at >= timestamp_sub(current_timestamp(), interval {days} day)
    group by invocation_id
    having billed > 0
),
counted as (
    select
        builds.*,
        (
            select count(*) from `{mart}` as loads
            where loads.built_at between builds.started_at and builds.ended_at
        ) as new_loads
    from builds
)
select * from counted
qualify
    new_loads = first_value(new_loads) over newest
    and is_full_refresh = first_value(is_full_refresh) over newest
window newest as (order by ended_at desc)
order by ended_at desc
"""


@dataclass
class State:
    """What is known of the pipeline."""

    now: datetime
    runs: Runs = field(default_factory=Runs)
    # The full name of raw and of each mart, and its number of rows or NOT_BUILT.
    sizes: dict[str, tuple[str, int | str]] = field(default_factory=dict)
    unfinished: list[Any] = field(default_factory=list)  # rows of _UNFINISHED
    decided: list[Any] = field(default_factory=list)  # rows of _DECIDED
    builds: list[Any] = field(default_factory=list)  # rows of _BILLED, the last build first
    tasks: Mapping[str, str] = field(default_factory=dict)  # of the scheduler, if it told
    load_id: str | None = None  # of these tasks
    billed_ratio: float = 3


def read_state(
    warehouse: Warehouse,
    retry_seconds: float,
    known: Iterable[str] = (),
    since: datetime | None = None,
) -> State:
    """Read the state, also of the loads `known`, which were unfinished or held back at `since`.

    The loader may retry its two requests about a load's ledger row for `retry_seconds` each: until
    then no load is unfinished.
    """
    now = datetime.now(UTC)
    state = State(now, read_runs(warehouse))
    tables = {"raw users": warehouse.raw} | {
        name: node.relation or ""
        for name in (*MARTS, "loads")
        if (node := state.runs.nodes.get(f"model.randomuser.{name}"))
    }
    for name, table in tables.items():
        state.sizes[name] = table, NOT_BUILT
        with suppress(NotFound):
            state.sizes[name] = table, warehouse.client.get_table(table).num_rows  # free of charge
    loads = "\n".join(known)
    earliest = min(since or now, now) - timedelta(days=RECOVERY_DAYS)
    with suppress(NotFound):  # nothing has landed
        seconds = int(2 * retry_seconds)
        state.unfinished = warehouse.query(
            _UNFINISHED, known=loads, since=earliest, seconds=seconds
        )
    mart, count = state.sizes.get("loads", ("", NOT_BUILT))
    if count != NOT_BUILT:
        state.decided = warehouse.query(_DECIDED.format(mart=mart), known=loads)
        builds = _BILLED.format(mart=mart, runs=f"{warehouse.dataset}.runs", days=DAYS)
        state.builds = warehouse.query(builds)
    return state
