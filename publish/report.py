"""A short summary of the last run, for people."""

from collections import Counter

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import PublishError, read
from publish.csv_files import MARTS


def text(client: bigquery.Client) -> str:
    """Return rows in each table, the tests' verdicts and freshness, as lines of text."""
    manifest = read("manifest")
    entries = (manifest["sources"] | manifest["nodes"]).items()
    tables = {key: it["relation_name"] for key, it in entries if it.get("relation_name")}
    loads = tables["source.randomuser.randomuser.loads"]
    rejected = tables["model.randomuser.stg_randomuser__rejected"]
    # The ledger, a row a load, knows how many users are in raw; to count rows reads no column.
    counted = {
        "raw users": (tables["source.randomuser.randomuser.users"], loads, "sum(users_landed)")
    }
    for name in MARTS:
        mart = tables[f"model.randomuser.{name}"]
        counted[name] = (mart, mart, "count(*)")
    recent = f"{rejected} where loaded_at >= timestamp_sub(current_timestamp(), interval 3 day)"
    counted["rejected"] = (f"{rejected}, of the last 3 days", recent, "count(*)")
    lines = ["rows"]
    for name, (shown, source, count) in counted.items():
        rows = _value(client, f"select {count} as n from {source}")  # noqa: S608
        lines.append(f"  {name:<10}{rows:>12}  {shown.replace('`', '')}")
    return "\n".join([*lines, *_tests(), *_freshness()])


def _value(client: bigquery.Client, sql: str) -> str:
    try:
        return f"{next(iter(client.query_and_wait(sql))).n or 0:,}"
    except NotFound:
        return "not built"


def _tests() -> list[str]:
    build = read("build")
    results = [it for it in build["results"] if it["unique_id"].startswith("test.")]
    verdicts = Counter(it["status"] for it in results)
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
