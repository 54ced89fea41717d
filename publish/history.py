"""Records in the table `runs` what became of the last commands of dbt, each once.

A job of BigQuery is the lock: its id is made of the invocation, whoever records it, and an id is
accepted only once. What a command billed is known from BigQuery's list of its jobs.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from google.api_core.exceptions import Forbidden, GoogleAPIError
from google.cloud.bigquery import Client

from ingest.logs import event
from ingest.settings import Settings
from ingest.warehouse import Warehouse
from publish import dbt_results
from publish.dbt_results import FAILED, FRESHNESS, NO_RESULTS, Invocation, Json
from publish.findings import plural
from publish.runs import CLOCK_TOLERANCE, define_table
from publish.tables import start_append

log = logging.getLogger(__name__)

SAME_AGAIN = 3  # exit status
MAX_ROWS = 10  # of a test that are shown
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_NO_COST = {"bytes_billed": 0, "slot_ms": 0}


def record_runs(settings: Settings, load_id: str, dbt_status: int) -> list[Invocation]:
    """Record the last commands of dbt that are not in `runs`, and return them, the last one first.

    `load_id` is the load that was landed before them; "" if it is not known. If dbt ended with a
    `dbt_status` that nothing explains which it wrote, a command without results is recorded.
    """
    warehouse, manifest = Warehouse(settings), dbt_results.read_manifest()
    warehouse.create_tables()
    client, table = warehouse.client, define_table(f"{warehouse.dataset}.runs")
    if len(client.create_table(table, exists_ok=True).schema) < len(table.schema):
        client.update_table(table, ["schema"])  # an earlier version has made it

    def is_recorded(step: str) -> bool:
        job = warehouse.find_job(step)
        return bool(job and not job.error_result)

    invocations, recorded = dbt_results.read_invocations(), []
    last = invocations[0] if invocations else None
    if not _explains(last, dbt_status):
        if last and not is_recorded(f"runs-{last.id}"):
            last.has_results = False  # it was interrupted, or failed outside of its nodes
        else:
            name = f"{last.id}-exit-{dbt_status}" if last else str(uuid4())
            invocations.insert(0, Invocation(name, "", datetime.now(UTC), has_results=False))
    for invocation in invocations:
        step = f"runs-{invocation.id}"
        if is_recorded(step):
            continue
        if not invocation.started_at:  # dbt wrote none; if it does yet, they have another job
            step += "-none"
        rows = list(_make_rows(client, invocation, manifest, load_id))
        if warehouse.run_once(step, _EVER, partial(start_append, client, table, rows)):
            recorded.append(invocation)
    return recorded


def _explains(last: Invocation | None, dbt_status: int) -> bool:
    if dbt_status == 0 or (last and not last.has_results):
        return True
    return dbt_status == 1 and last is not None and last.status == "error"


def describe(recorded: list[Invocation]) -> str:
    """Return what was recorded, in words."""
    texts = []
    for invocation in recorded:
        nodes = plural(len(invocation.results), "node")
        count = nodes if invocation.has_results else NO_RESULTS
        texts.append(f"`{f'dbt {invocation.command}'.strip()}` ({count})")
    return f"Recorded {' and '.join(texts) or 'nothing: dbt has written nothing new here'}"


def choose_exit_status(dbt_status: int, recorded: list[Invocation]) -> int:
    """Return SAME_AGAIN if dbt would fail again in the same way, otherwise dbt's own exit status.

    A test that failed fails again, and a stale source is stale again. An error may be one of the
    network or of a quota.
    """
    if dbt_status != 1 or not recorded:
        return dbt_status
    again = {"fail", "error"} if recorded[0].command == FRESHNESS else {"fail"}
    statuses = {result["status"] for result in recorded[0].results} & FAILED
    return SAME_AGAIN if statuses and statuses <= again else dbt_status


def _make_rows(
    client: Client, invocation: Invocation, manifest: Json, load_id: str
) -> Iterator[Json]:
    billed = _read_billed(client, invocation) if invocation.has_results else {}
    causes = dbt_results.find_causes(invocation, manifest.get("parent_map", {}))
    command = {
        "invocation_id": invocation.id,
        "command": invocation.command,
        "node": "",
        "status": invocation.status,
        "load_id": load_id or None,
        "started_at": invocation.started_at and invocation.started_at.isoformat(),
        "ended_at": invocation.ended_at.isoformat(),
        "is_part": dbt_results.is_part(invocation, manifest),
        "is_full_refresh": invocation.is_full_refresh,
    }
    yield command | billed.get("", {})
    for result in invocation.results:
        node = result["unique_id"]
        known = manifest.get("nodes", {}).get(node, {})
        relation = result.get("relation_name") or known.get("relation_name") or ""
        details = _describe(client, result, known, manifest)
        details |= {"causes": causes[node]} if node in causes else {}
        of_node = {
            "node": node,
            "status": result["status"],
            "failures": result.get("failures"),
            "seconds": result.get("execution_time"),
            "relation": relation.replace("`", "") or None,
            "details": json.dumps(details),
        }
        yield command | billed.get(make_label(node), {}) | of_node


def _describe(client: Client, result: Json, node: Json, manifest: Json) -> Json:
    """Return what people are shown of a node: limits of a source, columns of a model, rows."""
    if result["unique_id"].startswith("source."):
        criteria = result.get("criteria", {})
        return {"newest": result.get("max_loaded_at"), "limits": dbt_results.read_limits(criteria)}
    config = node.get("config", {})
    meta = config.get("meta", {})
    if node and result["unique_id"].startswith("model."):
        columns = {
            name: [column["data_type"], column["config"]["meta"].get("class")]
            for name, column in node["columns"].items()
        }
        details = {"key": config["unique_key"], "meta": meta, "columns": columns}
        if records := meta.get("records"):
            details["source"] = {"name": meta["source"], "records": records}
            for name, table in {"raw": records, "ledger": "loads"}.items():
                source = manifest["sources"][f"source.randomuser.{meta['source']}.{table}"]
                details["source"][name] = source["relation_name"].replace("`", "")
        elif "marts" in node["fqn"] and config["contract"]["enforced"]:
            is_keyed = isinstance(config["unique_key"], str)
            details["is_published"] = is_keyed and config["access"] != "private"
        return details
    details = {"description": node["description"]} if node.get("description") else {}
    if meta.get("held_back"):
        details["held_back"] = manifest["nodes"][node["attached_node"]]["config"]["meta"]["source"]
    if meta.get("show_failures") and result["status"] in ("warn", "fail"):
        details["rows"] = _read_rows(client, result)
    return details


def _read_rows(client: Client, result: Json) -> list[str]:
    """Query the first rows of a test again, which dbt only counts; its columns must be public."""
    with suppress(GoogleAPIError):
        sql = f"select * from (\n{result['compiled_code']}\n) limit {MAX_ROWS}"  # noqa: S608
        texts = [
            ", ".join(f"{name}={value}" for name, value in row.items())
            for row in client.query_and_wait(sql)
        ]
        more = result["failures"] - len(texts)
        return texts + ([f"... and {more:,} more"] if more > 0 else [])
    return []


def make_label(node: str) -> str:
    """Return the label `node_id` that dbt sets on the jobs of a node: dbt's _sanitize_label."""
    return re.sub("[^a-z0-9_-]", "_", node.strip().lower())[:63]


def _read_billed(client: Client, invocation: Invocation) -> dict[str, Json]:
    since = (invocation.started_at or invocation.ended_at) - CLOCK_TOLERANCE
    try:
        return sum_jobs(client.list_jobs(min_creation_time=since), invocation.id)
    except Forbidden:
        text = "not recorded what dbt billed: this account may not list jobs (docs/schedule.md)"
        log.warning(text, extra=event("not_billed"))
        return {}


def sum_jobs(jobs: Iterable[Any], invocation_id: str) -> dict[str, Json]:
    """Return the bytes billed and the slot time of the jobs of an invocation, by label of node."""
    sums: dict[str, Json] = {}
    for job in jobs:
        if (job.labels or {}).get("dbt_invocation_id") == invocation_id:
            total = sums.setdefault(job.labels.get("node_id", ""), dict(_NO_COST))
            total["bytes_billed"] += getattr(job, "total_bytes_billed", 0) or 0
            total["slot_ms"] += getattr(job, "slot_millis", 0) or 0
    return sums
