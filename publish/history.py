"""Records in the table `runs` what dbt wrote about its last build and its last freshness check.

`runs` lies beside the ledger: one row per node of an invocation of dbt. A load job, which costs
nothing, appends the rows of an invocation. An invocation is recorded only once, however often the
command is repeated: its rows are looked for first, in a listing that costs nothing either, and of
two commands at the same moment one finds the job id taken.
"""

import json
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from typing import Any

from google.api_core.exceptions import Conflict, NotFound
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table, TimePartitioning

from ingest.settings import Settings
from ingest.warehouse import Warehouse
from publish.artifacts import read_if_complete

RUNS = [
    SchemaField("invocation_id", "STRING", "REQUIRED", description="The invocation of dbt."),
    SchemaField("command", "STRING", "REQUIRED", description="`build` or `source freshness`."),
    SchemaField("node", "STRING", "REQUIRED", description="Unique id of the node."),
    SchemaField("status", "STRING", "REQUIRED", description="How the node ended."),
    SchemaField("failures", "INT64", description="How many rows a test returned."),
    SchemaField("seconds", "FLOAT64", description="How long the node took."),
    SchemaField("bytes_billed", "INT64", description="What BigQuery billed for the node."),
    SchemaField("slot_ms", "INT64", description="Slot time of the node, in milliseconds."),
    SchemaField("load_id", "STRING", description="The load before this run."),
    SchemaField(
        "ended_at", "TIMESTAMP", "REQUIRED", description="When the invocation ended (UTC)."
    ),
]
_ARTIFACTS = {"source freshness": "sources", "build": "build"}  # by command
Row = dict[str, Any]


def record_runs(settings: Settings, load_id: str) -> str:
    """Record the last freshness check and the last build, if they are not in `runs`.

    Returns a summary. `load_id` is the load that was landed before them; "" if it is not known.
    """
    warehouse = Warehouse(settings, load_id)
    table, recorded = f"{warehouse.dataset}.runs", 0
    for command, name in _ARTIFACTS.items():
        if artifact := read_if_complete(name):
            rows = list(_make_rows(command, artifact, load_id))
            recorded += _record_once(warehouse, table, rows) if rows else 0
    return f"Recorded {recorded:,} results of dbt in {table}"


def _make_rows(command: str, artifact: dict[str, Any], load_id: str) -> Iterator[Row]:
    metadata = artifact.get("metadata", artifact)
    for result in artifact["results"]:
        response = result.get("adapter_response", {})
        yield {
            "invocation_id": metadata["invocation_id"],
            "command": command,
            "node": result["unique_id"],
            "status": result["status"],
            "failures": result.get("failures"),
            "seconds": result.get("execution_time"),
            "bytes_billed": response.get("bytes_billed"),
            "slot_ms": response.get("slot_ms"),
            "load_id": load_id or None,
            "ended_at": metadata["generated_at"],
        }


def _record_once(warehouse: Warehouse, table: str, rows: list[Row]) -> int:
    """Append the rows of an invocation unless `table` has them; return how many were appended."""
    client, lines = warehouse.client, BytesIO("\n".join(map(json.dumps, rows)).encode())
    config = LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=RUNS)
    warehouse.create_tables()
    for attempt in count(1):
        if _is_recorded(warehouse, table, rows[0]):
            return 0
        job_id = f"randomuser-runs-{rows[0]['invocation_id']}-{attempt}"
        try:
            client.load_table_from_file(
                lines, table, rewind=True, job_id=job_id, job_config=config
            ).result()
            break
        except Conflict:  # wait for the other job, and look whether it succeeded
            client.get_job(job_id).exception()  # type: ignore[no-untyped-call]
    return len(rows)


def _is_recorded(warehouse: Warehouse, table: str, row: Row) -> bool:
    """Look for the invocation of `row` in its day of `table`, which is created if it is missing."""
    day = row["ended_at"][:10].replace("-", "")
    try:
        rows = list(warehouse.client.list_rows(f"{table}${day}", selected_fields=RUNS[:1]))
    except NotFound:
        new_table = Table(table, RUNS)
        new_table.description = "What dbt did. One row per node of an invocation of dbt."
        new_table.time_partitioning = TimePartitioning(field="ended_at")
        warehouse.client.create_table(new_table, exists_ok=True)
        return False
    return any(listed.invocation_id == row["invocation_id"] for listed in rows)
