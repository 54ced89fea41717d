"""Formats a short summary of the last run."""

from collections import Counter

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import PublishError, read_artifact
from publish.csv_files import MARTS


def format_report(client: bigquery.Client) -> str:
    """Return rows in each table, test results and freshness as lines of text."""
    manifest = read_artifact("manifest")
    entries = (manifest["sources"] | manifest["nodes"]).items()
    tables = {key: node["relation_name"] for key, node in entries if node.get("relation_name")}
    loads = tables["source.randomuser.randomuser.loads"]
    rejected = tables["model.randomuser.stg_randomuser__rejected"]
    # The ledger holds the number of users of each load; counting rows reads no column.
    counts = {
        "raw users": (tables["source.randomuser.randomuser.users"], loads, "sum(users_landed)")
    }
    for name in MARTS:
        mart = tables[f"model.randomuser.{name}"]
        counts[name] = (mart, mart, "count(*)")
    recent = f"{rejected} where loaded_at >= timestamp_sub(current_timestamp(), interval 3 day)"
    counts["rejected"] = (f"{rejected}, of the last 3 days", recent, "count(*)")
    lines = ["rows"]
    for name, (label, source, count) in counts.items():
        rows = _read_count(client, f"select {count} as n from {source}")  # noqa: S608
        lines.append(f"  {name:<10}{rows:>12}  {label.replace('`', '')}")
    return "\n".join([*lines, *_format_tests(), *_format_freshness()])


def _read_count(client: bigquery.Client, sql: str) -> str:
    try:
        return f"{next(iter(client.query_and_wait(sql))).n or 0:,}"
    except NotFound:
        return "not built"


def _format_tests() -> list[str]:
    build = read_artifact("build")
    results = [result for result in build["results"] if result["unique_id"].startswith("test.")]
    statuses = Counter(result["status"] for result in results)
    failed = statuses["fail"] + statuses["error"]
    skipped = f", {statuses['skipped']} skipped" if statuses["skipped"] else ""
    lines = [
        f"tests, of the build that ended at {build['generated_at'][:16].replace('T', ' ')} UTC",
        f"  {statuses['pass']} passed, {statuses['warn']} warned, {failed} failed" + skipped,
    ]
    for result in results:
        if result["status"] not in ("pass", "skipped"):
            name = result["unique_id"].split(".")[2]
            rows = result["failures"]
            lines.append(f"  {result['status']}: {name}" + (f" ({rows:,} rows)" if rows else ""))
            lines += [f"    {row}" for row in result["rows"]]
    return lines


def _format_freshness() -> list[str]:
    lines = ["freshness"]
    try:
        sources = read_artifact("sources")["results"]
    except PublishError as error:
        return [*lines, f"  not checked: {error}"]
    for source in sources:
        name = ".".join(source["unique_id"].split(".")[-2:])
        age = source.get("max_loaded_at_time_ago_in_s")
        newest = f"newest load {age / 3600:,.1f} hours ago" if age is not None else "not known"
        lines.append(f"  {name}: {source['status']}, {newest}")
    return lines
