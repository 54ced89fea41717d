"""Records all SQL that the project sends to BigQuery for target prod.

The project's commands run twice against the embedded BigQuery: first on an empty warehouse, then
incrementally. A proxy records every request as it was sent, before anything changes it.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from google.cloud.bigquery import ScalarQueryParameter
from support.access_control import AccessControl
from support.commands import Run, make_prod_settings
from support.proxy import Proxy, proxy

from local.__main__ import environment

ANALYSTS, SECURITY, LEFT = "group:analysts@x.org", "group:security@x.org", "group:left@x.org"
TAGS = {name: f"projects/p/locations/us/policyTags/{name}" for name in ("credential", "personal")}
SETTINGS = {"load_interval": "hour", "policy_tags": TAGS}
SETTINGS |= {"readers": [ANALYSTS], "restricted_readers": [SECURITY]}
VARS = "--vars " + json.dumps(SETTINGS, separators=(",", ":"))
UUID = "0a0a0a0a-0000-4000-8000-000000000000"
PRIVATE = "dbt --log-level-file none --no-write-json run-operation"
# Unit tests have no incremental form. With fixed load ids the users are always the same.
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
        "publish csv --with-secrets --for-spreadsheets",
        "publish report",
        "publish report --html",
        "publish alert",
    ],
    "forgetting": [
        f'{PRIVATE} show_user --args {{"email":"a","credentials":["payload"]}} {VARS}',
        f'{PRIVATE} forget_users --args {{"user_ids":["{UUID}"],"emails":["a"],'
        f'"exactly_one":false}} {VARS}',
    ],
}


@dataclass
class Statement:
    """A statement as sent, with its parameters and its origin."""

    sql: str
    parameters: list[ScalarQueryParameter] = field(default_factory=list)
    command: str = ""  # such as `publish csv`
    phase: str = ""  # of COMMANDS
    node_id: str | None = None  # dbt's id of the model, test, ...; None without dbt
    labels: dict[str, str] = field(default_factory=dict)  # of its job


@dataclass
class Recording:
    """The sent statements in their order, and the tables that no statement creates."""

    statements: list[Statement] = field(default_factory=list)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)  # name: {column: type}
    manifest: dict[str, Any] = field(default_factory=dict)  # dbt's
    results: list[dict[str, Any]] = field(default_factory=list)  # of dbt's last command, by node
    access: dict[str, AccessControl] = field(default_factory=dict)  # after each phase
    scripts: list[str] = field(default_factory=list)  # that show and forget users
    failed: str = ""  # the output of the command that failed, which was the last


@dataclass
class Recorder:
    """Runs commands with these settings, whose requests go through a proxy, and records them."""

    settings: dict[str, str]
    proxy: Proxy
    recording: Recording = field(default_factory=Recording)

    def run(self, phase: str, *command: str | Path) -> CompletedProcess[str]:
        """Run a command to its end."""
        self.proxy.requests.clear()
        done, target = Run(self.settings)(*command), Path(self.settings["DBT_TARGET_PATH"])
        if (manifest := target / "manifest.json").exists():
            self.recording.manifest = json.loads(manifest.read_text())
        if (results := target / "run_results.json").exists():
            self.recording.results = json.loads(results.read_text())["results"]
        for request in self.proxy.requests:
            if request.method == "POST":
                _record_request(self.recording, request.json, phase, " ".join(map(str, command)))
        return done


def record(warehouse_url: str, api_url: str, folder: Path) -> Recording:
    """Run the commands against an empty warehouse, with their files in `folder`."""
    access = AccessControl()
    with proxy(warehouse_url) as served:
        served.before, url = access.apply, served.url
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
        recorder = Recorder(variables, served)
        recording = recorder.recording
        for phase, commands in COMMANDS.items():
            access.changes.clear()
            access.tags.clear()
            for table in access.groups:  # as if the var `readers` had been another
                access.groups[table] = {LEFT}
            for command in commands:
                done = recorder.run(phase, *command.split())
                if done.returncode:
                    recording.failed = f"{command}: {done.stdout}{done.stderr}"
                    return recording
            recording.access[phase] = deepcopy(access)
    return recording


def label_statements(recording: Recording) -> Iterator[tuple[str, str, Any]]:
    """Yield each statement with its line of docs/cost.md; "" if an hourly run does not send it."""
    for statement in recording.statements:
        name = statement.node_id or statement.command
        if name.startswith("test."):
            node = recording.manifest["nodes"][name]
            name = f"tests of {node.get('attached_node') or node['depends_on']['nodes'][0]}"
        is_hourly = statement.phase == "incremental" and " --" not in name
        if not name.startswith("unit_test."):
            line = name.replace(".randomuser.", " ", 1) if is_hourly else ""
            yield line, statement.sql, statement.parameters


def _record_request(
    recording: Recording, request: dict[str, Any], phase: str, command: str
) -> None:
    """Add to the recording the statement of a request, or the table that it creates or loads."""
    job = request.get("configuration", {})
    query = job.get("query", request)  # a body of jobs.insert or of jobs.query
    sql = query.get("query")
    if sql and "declare ids" in sql:
        recording.scripts.append(sql)
    elif sql and "roles/bigquery" not in sql:  # of AccessControl
        parameters = [_read_parameter(each) for each in query.get("queryParameters", [])]
        comment = re.match(r'/\* .*?"node_id": "([^"]+)"', sql)
        node_id = comment[1] if comment else None
        labels = job.get("labels", request.get("labels", {}))
        name = command.partition(" --users")[0]
        recording.statements.append(Statement(sql, parameters, name, phase, node_id, labels))
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
