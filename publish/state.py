"""Reads the state of the pipeline from the warehouse: `runs`, the marts of loads and the ledgers.

What dbt and the scheduler left on this machine is not read: every machine sees the same.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound

from ingest.landing import RECOVERY_DAYS
from ingest.warehouse import Warehouse
from publish.runs import DAYS, Runs, Source, find_marts, read_runs

NOT_BUILT = "not built"
# Loads with records in raw and no row in the ledger, and those of `known` that have one. A load
# that began to land a moment ago may still write its row.
_UNFINISHED = r"""
select load_id, count(*) as records, false as is_in_ledger
from `{raw}`
where
    loaded_at >= @since
    and loaded_at < timestamp_sub(current_timestamp(), interval @seconds second)
    and load_id not in (select load_id from `{ledger}`)
group by load_id
union all
select load_id, {records}_landed, true from `{ledger}` where load_id in unnest(split(@known, '\n'))
order by load_id
"""
_DECIDED = r"""
select load_id, state, {records}_received as received, {records}_rejected as rejected,
    rejection_reasons
from `{loads}`
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
            select count(*) from ({loads}) as loads
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
    sources: list[Source] = field(default_factory=list)
    # The full name of raw, of each mart and of the marts of loads, and its rows or NOT_BUILT.
    sizes: dict[str, tuple[str, int | str]] = field(default_factory=dict)
    unfinished: list[tuple[Source, Any]] = field(default_factory=list)  # rows of _UNFINISHED
    decided: list[tuple[Source, Any]] = field(default_factory=list)  # rows of _DECIDED
    builds: list[Any] = field(default_factory=list)  # rows of _BILLED, the last build first
    tasks: Mapping[str, str] = field(default_factory=dict)  # of the scheduler, if it told
    load_id: str | None = None  # of these tasks
    billed_ratio: float = 3


def read_state(
    warehouse: Warehouse,
    retry_seconds: float,
    known: Mapping[str, list[str]] | None = None,
    since: datetime | None = None,
) -> State:
    """Read the state, also of the loads `known` by source: unfinished or held back at `since`.

    The loader may retry its two requests about a load's ledger row for `retry_seconds` each: until
    then no load is unfinished.
    """
    now, runs = datetime.now(UTC), read_runs(warehouse)
    state = State(now, runs, runs.list_sources(warehouse.dataset))
    users, *others = state.sources
    tables = {"raw users": users.raw} | {f"raw {source.name}": source.raw for source in others}
    tables |= {name: node.relation or "" for name, node in find_marts(runs.nodes).items()}
    tables |= {source.loads: source.loads for source in state.sources if source.loads}
    for name, table in tables.items():
        state.sizes[name] = table, NOT_BUILT
        with suppress(NotFound):
            state.sizes[name] = table, warehouse.client.get_table(table).num_rows  # free of charge
    earliest = min(since or now, now) - timedelta(days=RECOVERY_DAYS)
    built, seconds = [], int(2 * retry_seconds)

    def query(sql: str, **values: Any) -> list[tuple[Source, Any]]:
        return [(source, row) for row in warehouse.query(sql.format_map(asdict(source)), **values)]

    for source in state.sources:
        loads = "\n".join((known or {}).get(source.name, ()))
        if state.sizes.get(source.loads, ("", NOT_BUILT))[1] != NOT_BUILT:
            built.append(f"select built_at from `{source.loads}`")  # noqa: S608
            state.decided += query(_DECIDED, known=loads)
        with suppress(NotFound):  # nothing has landed
            state.unfinished += query(_UNFINISHED, known=loads, since=earliest, seconds=seconds)
    if built:
        tables = {"runs": f"{warehouse.dataset}.runs", "loads": " union all ".join(built)}
        state.builds = warehouse.query(_BILLED.format(days=DAYS, **tables))
    return state
