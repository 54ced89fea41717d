"""A short summary of the last run, for people."""

from collections import Counter

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from publish.artifacts import mart, read
from publish.csv_files import MARTS


def text(client: bigquery.Client) -> str:
    """Return rows in each table, the tests' verdicts and freshness, as lines of text."""
    manifest = read("manifest")
    relations = {"raw users": _relation(manifest, "source.randomuser.randomuser.users")}
    relations |= {name: mart(manifest, name)["relation_name"] for name in MARTS}
    relations["rejected"] = _relation(manifest, "model.randomuser.stg_randomuser__rejected")
    lines = ["rows"]
    for name, relation in relations.items():
        lines.append(f"  {name:<10}{_rows(client, relation):>12}  {relation.replace('`', '')}")
    return "\n".join([*lines, *_tests(), *_freshness()])


def _rows(client: bigquery.Client, relation: str) -> str:
    # raw is partitioned, and BigQuery demands a condition on the partition
    sql = f"select count(*) as n from {relation} where loaded_at >= timestamp '1970-01-01'"  # noqa: S608
    try:
        return f"{next(iter(client.query(sql).result())).n:,}"
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
