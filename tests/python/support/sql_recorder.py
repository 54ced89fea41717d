"""Records all SQL that the project sends to BigQuery for target prod.

The project's commands run twice against the embedded BigQuery: first on an empty warehouse, then
incrementally. A proxy records every request as it was sent, before the embedded BigQuery changes
anything.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.cloud.bigquery import ScalarQueryParameter
from support.commands import Run, make_prod_settings
from support.proxy import proxy

from local.__main__ import environment

# Unit tests have no incremental form. With fixed load ids the users are always the same. The vars
# are those of the schedule.
VARS = '--vars {"load_interval":"hour"}'
COMMANDS = {
    "first": [
        "ingest --users 50 --load-id 2026-01-01T00:00:00+00:00",
        f"dbt build {VARS}",
        "publish history",
    ],
    "incremental": [
        "ingest --users 60 --load-id 2026-01-01T01:00:00+00:00",
        f"dbt source freshness {VARS}",
        "publish history",
        f"dbt build --exclude-resource-type unit_test {VARS}",
        "publish history",
        "publish csv",
        "publish csv --with-secrets",
        "publish csv --for-spreadsheets",
        "publish report",
        "publish report --html",
        "publish alert",
    ],
}


@dataclass
class Statement:
    """A statement as sent, with its parameters and its origin in the project."""

    sql: str
    parameters: list[ScalarQueryParameter] = field(default_factory=list)
    file: str = ""  # such as models/marts/users.sql; the command if dbt has no file for it
    phase: str = ""  # "first" or "incremental"
    node_id: str | None = None  # dbt's id of the model, test, ...; None without dbt
    labels: dict[str, str] = field(default_factory=dict)  # of its job


@dataclass
class Recording:
    """The sent statements in their order, and the tables that no statement creates."""

    statements: list[Statement] = field(default_factory=list)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)  # name: {column: type}
    manifest: dict[str, Any] = field(default_factory=dict)  # dbt's
    failed: str = ""  # the output of the command that failed, which was the last


def record(warehouse_url: str, api_url: str, folder: Path) -> Recording:
    """Run the commands against an empty warehouse, with their files in `folder`."""
    recording = Recording()
    with proxy(warehouse_url) as served:
        url, sent = served.url, served.requests
        variables = environment(url, RANDOMUSER_URL=api_url) | make_prod_settings(folder, url)
        variables |= {
            "RAW_DATASET": "raw_of_prod",
            "ANALYTICS_DATASET": "analytics_of_prod",
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "EXPORT_DIR": str(folder / "exports"),
            "SLACK_WEBHOOK_URL": "",  # overrides .env
            "LOAD_ID": "2026-01-01T01:00:00+00:00 */",  # which would end dbt's comment
        }
        for phase, commands in COMMANDS.items():
            for command in commands:
                sent.clear()
                done = Run(variables)(*command.split())
                if (manifest := folder / "target/manifest.json").exists():
                    recording.manifest = json.loads(manifest.read_text())
                for request in sent:
                    if request.method == "POST":
                        _record_request(recording, request.json, phase, command)
                if done.returncode:
                    recording.failed = f"{command}: {done.stdout}{done.stderr}"
                    return recording
    return recording


def _record_request(
    recording: Recording, request: dict[str, Any], phase: str, command: str
) -> None:
    """Add to the recording the statement of a request, or the table that it creates or loads."""
    job = request.get("configuration", {})
    query = job.get("query", request)  # a body of jobs.insert or of jobs.query
    if sql := query.get("query"):
        parameters = [_read_parameter(each) for each in query.get("queryParameters", [])]
        comment = re.match(r'/\* .*?"node_id": "([^"]+)"', sql)
        node_id = comment[1] if comment else None
        file = _dbt_file(recording.manifest, node_id) or command.partition(" --users")[0]
        labels = job.get("labels", request.get("labels", {}))
        recording.statements.append(Statement(sql, parameters, file, phase, node_id, labels))
    load = job.get("load", request)
    table = load.get("destinationTable") or load.get("tableReference")
    if table and "schema" in load:
        name = "{projectId}.{datasetId}.{tableId}".format(**table)
        recording.tables[name] = {
            field["name"]: field["type"] for field in load["schema"]["fields"]
        }


def _read_parameter(sent: dict[str, Any]) -> ScalarQueryParameter:
    """Return a sent parameter; of an array only its type matters here."""
    if element := sent["parameterType"].get("arrayType"):
        return ScalarQueryParameter(sent["name"], f"ARRAY<{element['type']}>", None)
    return ScalarQueryParameter.from_api_repr(sent)


def _dbt_file(manifest: dict[str, Any], node_id: str | None) -> str:
    if node_id in manifest.get("unit_tests", {}):  # it sends the model's SQL with other rows
        node_id = manifest["unit_tests"][node_id]["depends_on"]["nodes"][0]
    for kind in ("nodes", "sources"):
        if node_id in manifest.get(kind, {}):
            return str(manifest[kind][node_id]["original_file_path"])
    return ""
