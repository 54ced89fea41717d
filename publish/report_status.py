"""Reads how the last run went: the sizes of the tables, and what dbt wrote about it.

Rows of tests have only columns of the class public.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish import dbt_findings
from publish.artifacts import PublishError, name_nodes, read_artifact
from publish.csv_files import MARTS
from publish.findings import OK, Finding, find_held_back_loads


@dataclass
class Status:
    """How the last run went."""

    tables: dict[str, tuple[int | None, str]]
    """The number of rows, None if it is not built, and the full name of each table."""
    built_at: datetime
    tests: list[dict[str, Any]]
    """The results of the tests in the last build, with `name` and `description`."""
    sources: list[dict[str, Any]]
    """The results of the last check of freshness, with `name` and `newest`, the newest load."""
    checked: str
    """When that was, or why it was not."""
    problems: list[Finding]
    """The errors and warnings, errors first."""


def read_status(client: bigquery.Client) -> Status:
    """Read dbt's artifacts and count the rows; raise PublishError if there was no build."""
    manifest, build = read_artifact("manifest"), read_artifact("build")
    nodes = manifest["sources"] | manifest["nodes"]
    keys = {"raw users": "source.randomuser.randomuser.users"}
    keys |= {mart: f"model.randomuser.{mart}" for mart in MARTS}
    names = {name: nodes[key]["relation_name"].replace("`", "") for name, key in keys.items()}
    tables = {name: (_count_rows(client, table), table) for name, table in names.items()}
    loads = nodes["model.randomuser.loads"]["relation_name"].replace("`", "")
    tables["rejected"] = (_count_rejected(client, loads), f"{loads}, users_rejected")
    tests = [result for result in build["results"] if result["unique_id"].startswith("test.")]
    for test, name in zip(tests, name_nodes(tests).values(), strict=True):
        test["name"] = name
        test["description"] = nodes.get(test["unique_id"], {}).get("description", "")
    sources, now = [], datetime.now(UTC)
    try:
        check = read_artifact("sources")
        sources, checked_at = check["results"], check["metadata"]["generated_at"]
        checked = f"checked at {datetime.fromisoformat(checked_at):%Y-%m-%d %H:%M} UTC"
    except PublishError as error:
        checked = f"not checked: {error}"
    for source in sources:
        source["name"] = ".".join(source["unique_id"].split(".")[-2:])
        source["newest"] = dbt_findings.describe_newest_load(source, now)
    findings = [*dbt_findings.check_sources(now), *dbt_findings.check_build()]
    findings += find_held_back_loads(client, now) or []
    problems = [finding for finding in findings if finding.state != OK]
    return Status(
        tables,
        datetime.fromisoformat(build["generated_at"]),
        tests,
        sources,
        checked,
        sorted(problems, key=lambda finding: finding.state),
    )


def _count_rows(client: bigquery.Client, table: str) -> int | None:
    try:
        rows: int = client.get_table(table).num_rows  # it costs nothing
    except NotFound:
        return None
    return rows


def _count_rejected(client: bigquery.Client, loads: str) -> int | None:
    try:
        ((users,),) = client.query_and_wait(f"select sum(users_rejected) from `{loads}`")  # noqa: S608
    except NotFound:
        return None
    rejected: int | None = users
    return rejected
