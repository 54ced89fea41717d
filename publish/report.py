"""A short summary of the last run, for people."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

from publish.artifacts import PublishError, mart, read
from publish.csv_files import MARTS

RAW = ("users", "loads")
REJECTED_SINCE = timedelta(days=3)


def text(client: bigquery.Client) -> str:
    """Return rows in each table, the tests' verdicts and freshness, as lines of text."""
    manifest = read("manifest")
    # The ledger, a row a load, knows how many users are in raw; to count rows reads no column.
    raw, loads = (_relation(manifest, f"source.randomuser.randomuser.{it}") for it in RAW)
    sql = f"select sum(users_landed) as n from {loads}"  # noqa: S608
    counts = {"raw users": (_rows(client, sql), raw)}
    for name in MARTS:
        table = mart(manifest, name)["relation_name"]
        sql = f"select count(*) as n from {table}"  # noqa: S608
        counts[name] = (_rows(client, sql), table)
    rejected = _relation(manifest, "model.randomuser.stg_randomuser__rejected")
    since = datetime.now(UTC) - REJECTED_SINCE
    sql = f"select count(*) as n from {rejected} where loaded_at >= @since"  # noqa: S608
    days = f"{rejected}, of the last {REJECTED_SINCE.days} days"
    counts["rejected"] = (_rows(client, sql, since=since), days)
    lines = ["rows"]
    for name, (rows, relation) in counts.items():
        lines.append(f"  {name:<10}{rows:>12}  {relation.replace('`', '')}")
    return "\n".join([*lines, *_tests(), *_freshness()])


def _rows(client: bigquery.Client, sql: str, **values: datetime) -> str:
    parameters = [ScalarQueryParameter(name, "TIMESTAMP", it) for name, it in values.items()]
    config = QueryJobConfig(query_parameters=parameters)
    try:
        return f"{next(iter(client.query_and_wait(sql, job_config=config))).n or 0:,}"
    except NotFound:
        return "not built"


def _relation(manifest: dict, unique_id: str) -> str:  # type: ignore[type-arg]
    entry = (manifest["sources"] | manifest["nodes"])[unique_id]
    relation: str = entry["relation_name"]
    return relation


def _tests() -> list[str]:
    build = read("build")
    results = [r for r in build["results"] if r["unique_id"].startswith("test.")]
    verdicts = Counter(r["status"] for r in results)
    failed = verdicts["fail"] + verdicts["error"]
    skipped = f", {verdicts['skipped']} skipped" if verdicts["skipped"] else ""
    lines = [
        f"tests, of the build that ended at {build['generated_at'][:16].replace('T', ' ')} UTC",
        f"  {verdicts['pass']} passed, {verdicts['warn']} warned, {failed} failed" + skipped,
    ]
    for result in results:
        if result["status"] not in ("pass", "skipped"):
            name = result["unique_id"].split(".")[2]
            rows = result["failures"]
            lines.append(f"  {result['status']}: {name}" + (f" ({rows:,} rows)" if rows else ""))
            lines += [f"    {row}" for row in result["rows"]]
    return lines


def _freshness() -> list[str]:
    lines = ["freshness"]
    try:
        sources = read("sources")["results"]
    except PublishError as error:
        return [*lines, f"  not checked: {error}"]
    for source in sources:
        name = ".".join(source["unique_id"].split(".")[-2:])
        age = source.get("max_loaded_at_time_ago_in_s")
        newest = f"newest load {age / 3600:,.1f} hours ago" if age is not None else "not known"
        lines.append(f"  {name}: {source['status']}, {newest}")
    return lines
