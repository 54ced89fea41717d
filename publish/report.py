"""A short summary of the last run, for people."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

from publish.artifacts import mart, read
from publish.csv_files import MARTS

REJECTED_SINCE = timedelta(days=3)


def text(client: bigquery.Client) -> str:
    """Return rows in each table, the tests' verdicts and freshness, as lines of text."""
    manifest = read("manifest")
    relations = {"raw users": _relation(manifest, "source.randomuser.randomuser.users")}
    relations |= {name: mart(manifest, name)["relation_name"] for name in MARTS}
    rejected = _relation(manifest, "model.randomuser.stg_randomuser__rejected")
    counts = {name: (_rows(client, relation), relation) for name, relation in relations.items()}
    counts["rejected"] = (
        _rejected(client, rejected),
        f"{rejected}, of the last {REJECTED_SINCE.days} days",
    )
    lines = ["rows"]
    for name, (rows, relation) in counts.items():
        lines.append(f"  {name:<10}{rows:>12}  {relation.replace('`', '')}")
    return "\n".join([*lines, *_tests(), *_freshness()])


def _rows(client: bigquery.Client, relation: str) -> str:
    # What the table says of itself costs nothing; to count would read a column of all of it.
    try:
        return f"{client.get_table(relation.replace('`', '')).num_rows:,}"
    except NotFound:
        return "not built"


def _rejected(client: bigquery.Client, relation: str) -> str:
    since = datetime.now(UTC) - REJECTED_SINCE
    sql = f"select count(*) as n from {relation} where loaded_at >= @since"  # noqa: S608
    config = QueryJobConfig(query_parameters=[ScalarQueryParameter("since", "TIMESTAMP", since)])
    try:
        return f"{next(iter(client.query_and_wait(sql, job_config=config))).n:,}"
    except NotFound:
        return "not built"


def _relation(manifest: dict, unique_id: str) -> str:  # type: ignore[type-arg]
    entry = (manifest["sources"] | manifest["nodes"])[unique_id]
    relation: str = entry["relation_name"]
    return relation


def _tests() -> list[str]:
    results = [r for r in read("run_results")["results"] if r["unique_id"].startswith("test.")]
    verdicts = Counter(r["status"] for r in results)
    failed = verdicts["fail"] + verdicts["error"]
    skipped = f", {verdicts['skipped']} skipped" if verdicts["skipped"] else ""
    lines = [
        "tests",
        f"  {verdicts['pass']} passed, {verdicts['warn']} warned, {failed} failed" + skipped,
    ]
    for result in results:
        if result["status"] not in ("pass", "skipped"):
            name = result["unique_id"].split(".")[2]
            rows = result["failures"]
            lines.append(f"  {result['status']}: {name}" + (f" ({rows:,} rows)" if rows else ""))
    return lines


def _freshness() -> list[str]:
    lines = ["freshness"]
    for source in read("sources")["results"]:
        name = ".".join(source["unique_id"].split(".")[-2:])
        age = source.get("max_loaded_at_time_ago_in_s")
        newest = f"newest load {age / 3600:,.1f} hours ago" if age is not None else "not known"
        lines.append(f"  {name}: {source['status']}, {newest}")
    return lines
