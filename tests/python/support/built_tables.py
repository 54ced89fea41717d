"""What a recorded build has made, as tables that can be compared."""

import sys
from collections import Counter
from typing import Any

from google.cloud.bigquery import Client
from sqlglot.errors import SqlglotError
from support.cost import TOTAL, estimate_bytes, list_columns, list_dollars
from support.sql_recorder import Recording, label_statements

from local.differences import Table

TESTS, COSTS = "Results of tests", "Statements and cost of hourly builds"
DOLLARS = "$ a month with 10⁴, 10⁶, 10⁸ users"


def read_tables(recording: Recording, client: Client) -> dict[str, Table]:
    """Return the models, seeds and snapshots that are stored, by name; then TESTS and COSTS."""
    tables = dict[str, Table]()
    for node in recording.manifest["nodes"].values():
        is_stored = node["config"]["materialized"] != "ephemeral"
        if is_stored and node["resource_type"] in ("model", "seed", "snapshot"):
            rows = client.query_and_wait(f"select * from {node['relation_name']}")
            types = {column.name: column.field_type for column in rows.schema}
            tables[node["name"]] = types, [dict(row) for row in rows]
    results = [
        {
            "name": result["unique_id"].split(".")[2],
            "result": f"{result['status']} {result['failures'] or ''}".strip(),
        }
        for result in recording.results
        # of a model only if it is not built: then it is skipped, and rows of it are missing
        if result["status"] != "success" and not result["unique_id"].startswith("exposure.")
    ]
    return tables | {TESTS: ({"name": "", "result": ""}, results), COSTS: _costs(recording, client)}


def _costs(recording: Recording, client: Client) -> Table:
    """Return the statements of each step of docs/cost.md, and its dollars if they are known."""
    labelled, types = [*label_statements(recording)], {"step": "", "statements": ""}
    counts = Counter(step for step, *_ in labelled if step)
    counts[TOTAL] = counts.total()
    rows: dict[str, dict[str, Any]] = {
        step: {"step": "all steps" if step == TOTAL else step, "statements": count}
        for step, count in counts.items()
    }
    try:
        _, billed, _ = estimate_bytes(labelled, list_columns(client), client)
    except (NotImplementedError, SqlglotError) as error:  # of a kind that the project had not
        print(f"diff: the cost of a build is not estimated: {error}", file=sys.stderr)
        return types, [*rows.values()]
    for step, row in rows.items():
        row[DOLLARS] = ", ".join(f"{dollars:.2f}" for dollars in list_dollars(billed, step))
    return types | {DOLLARS: "estimated"}, [*rows.values()]
