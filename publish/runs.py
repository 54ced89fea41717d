"""The table `runs`, beside the ledger: what each recorded command of dbt did, one row per node.

One more row, without a node, is of the command itself.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from ingest.warehouse import Warehouse
from publish.dbt_results import FRESHNESS, NO_RESULTS

DAYS = 30  # that a reader looks back
MARTS = ("users", "logins", "locations")  # that are always published
CLOCK_TOLERANCE = timedelta(minutes=5)  # between this machine and BigQuery
_column = SchemaField
COLUMNS = [
    _column("invocation_id", "STRING", "REQUIRED", description="The invocation of dbt."),
    _column("command", "STRING", "REQUIRED", description="`build`, `source freshness`..."),
    _column("node", "STRING", "REQUIRED", description="Unique id of the node; empty: the command."),
    _column("status", "STRING", "REQUIRED", description=f"How it ended, or `{NO_RESULTS}`."),
    _column("failures", "INT64", description="How many rows a test returned."),
    _column("seconds", "FLOAT64", description="How long it took."),
    _column("bytes_billed", "INT64", description="What BigQuery billed for its statements."),
    _column("slot_ms", "INT64", description="Slot time of its statements, in milliseconds."),
    _column("load_id", "STRING", description="The load before this run."),
    _column("ended_at", "TIMESTAMP", "REQUIRED", description="When the command ended (UTC)."),
    _column("started_at", "TIMESTAMP", description="When the command began (UTC)."),
    _column("is_part", "BOOL", description="Whether the command left out nodes of the project."),
    _column("is_full_refresh", "BOOL", description="Whether the command had `--full-refresh`."),
    _column("relation", "STRING", description="The node's table, or that of a test's rows."),
    _column("details", "STRING", description="What else people are shown, as JSON."),
]
# Of each node, and of each command: the newest result, the newest one that is not `skipped`, and
# since when it is like that without a break.
_NEWEST = """
with results as (
    select
        *,
        if(
            node = '',
            concat(command, if(is_part, ', part', ''), if(status = '{no_results}', ', none', '')),
            node
        ) as subject,
        status = 'skipped' as is_skipped
    from `{table}`
    where ended_at >= timestamp_sub(current_timestamp(), interval {days} day)
),
compared as (
    select
        *,
        ifnull(lag(status) over (
            partition by subject, is_skipped order by ended_at, invocation_id desc
        ), '') != status as is_new
    from results
)
select *, max(if(is_new, ended_at, null)) over (partition by subject, is_skipped) as since
from compared
qualify
    row_number() over (partition by subject, is_skipped order by ended_at desc, invocation_id) = 1
order by node, ended_at
"""


@dataclass(frozen=True)
class Result:
    """How a node ended, or a command: its `node` is empty."""

    command: str
    status: str
    ended_at: datetime
    node: str = ""
    since: datetime | None = None  # when the first of the results ended that are all like this one
    failures: int | None = None
    load_id: str | None = None
    invocation_id: str = ""
    is_part: bool | None = False
    relation: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """An API whose records are loaded, with the full names of its tables."""

    name: str
    records: str  # what it calls its records, in the names of columns
    raw: str = ""
    ledger: str = ""
    loads: str = ""  # the mart of its loads, if it is recorded

    @property
    def of(self) -> str:
        """What follows "load", if it is of another source than randomuser."""
        return "" if self.name == "randomuser" else f" of {self.name}"

    @property
    def command(self) -> str:
        """The command that loads it."""
        return f"python -m ingest{self.of.removeprefix(' of')}"


@dataclass
class Runs:
    """What `runs` has of the last 30 days."""

    # The newest result of each node that the last whole command had, or that ran after it; `known`
    # has the newest result that is not `skipped`.
    nodes: dict[str, Result] = field(default_factory=dict)
    known: dict[str, Result] = field(default_factory=dict)
    # The newest of each command: that left out no node, that left out nodes, without results.
    whole: dict[str, Result] = field(default_factory=dict)
    parts: dict[str, Result] = field(default_factory=dict)
    unknown: dict[str, Result] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """The name of each node, with its hash or model if two share the name."""
        names = {
            key: key.split(".")[-1 if key.startswith("unit_test.") else 2] for key in self.nodes
        }
        uses = Counter(names.values())
        return {key: n if uses[n] == 1 else key.split(".", 2)[2] for key, n in names.items()}

    def list_sources(self, dataset: str) -> list[Source]:
        """Return randomuser, whose raw is in `dataset`, and the other sources that are recorded."""
        loads = getattr(self.nodes.get("model.randomuser.loads"), "relation", "")
        users = Source("randomuser", "users", f"{dataset}.users", f"{dataset}.loads", loads)
        found = [node for node in self.nodes.values() if "source" in node.details]
        sources = [Source(**node.details["source"], loads=node.relation or "") for node in found]
        return [users, *(source for source in sources if source.name != users.name)]


def find_marts(nodes: Mapping[str, Result]) -> dict[str, Result]:
    """Return those of `nodes` that are published, by name: MARTS and then the others."""
    models = {key.removeprefix("model.randomuser."): node for key, node in nodes.items()}
    names = [*MARTS, *(name for name, node in models.items() if node.details.get("is_published"))]
    return {name: models[name] for name in names if name in models}


def define_table(name: str) -> Table:
    """Define the table `runs`."""
    table = Table(name, COLUMNS)
    table.description = "What dbt did. One row per node of a command of dbt, and one per command."
    table.time_partitioning = TimePartitioning(field="ended_at")
    return table


def read_runs(warehouse: Warehouse) -> Runs:
    """Read the newest results; none if the table does not exist, or is of an earlier version."""
    client, table = warehouse.client, f"{warehouse.dataset}.runs"
    with suppress(NotFound):
        schema = client.get_table(table, retry=warehouse.first_call_retry).schema
        if len(schema) == len(COLUMNS):
            sql = _NEWEST.format(table=table, days=DAYS, no_results=NO_RESULTS)
            return collect(_parse(row) for row in client.query_and_wait(sql))
    return Runs()


def _parse(row: Any) -> Result:
    values = {name: row[name] for name in Result.__dataclass_fields__}
    return Result(**values | {"details": json.loads(row["details"] or "{}")})


def collect(results: Iterable[Result]) -> Runs:
    """Sort `results`, the newest of each node and command last."""
    runs = Runs()
    for result in results:
        if result.node:
            runs.nodes[result.node] = result
            if result.status != "skipped":
                runs.known[result.node] = result
        elif result.status == NO_RESULTS:
            runs.unknown[result.command] = result
        else:
            (runs.parts if result.is_part else runs.whole)[result.command] = result
    for node, result in list(runs.nodes.items()):
        whole = runs.whole.get(FRESHNESS if node.startswith("source.") else "build")
        if whole and result.ended_at < whole.ended_at:  # it is no longer in the project
            del runs.nodes[node]
            runs.known.pop(node, None)
    return runs
