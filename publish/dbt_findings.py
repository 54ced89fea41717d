"""How fresh the sources are and how tests and models fared, from what dbt wrote down.

A source whose freshness nobody checked, or not within the time after which it is an error, counts
as stale. Of tests and models, what the last `dbt build` did not run is as it was; how many models
it skipped is said of what failed just before them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from publish.artifacts import PublishError, read
from publish.findings import ERROR, WARNING, WELL, Finding

_STATES = {"fail": ERROR, "error": ERROR, "partial success": ERROR}
_STATES |= {"runtime error": ERROR, "warn": WARNING}


def of_sources(now: datetime) -> Iterator[Finding]:
    """Yield how fresh each source is that has a freshness in the project."""
    artifact = _artifact("sources")
    results = {it["unique_id"]: it for it in artifact["results"]} if artifact else {}
    checked_at = datetime.fromisoformat(artifact["metadata"]["generated_at"]) if artifact else now
    limits = _limits(results)
    if not limits | results:
        text = "no source's freshness has been checked: run `dbt source freshness`"
        yield Finding("source:all", ERROR, text, now)
        return
    yield Finding("source:all", WELL, "the freshness of the sources", now)
    for unique_id in sorted(limits | results):
        name = ".".join(unique_id.split(".")[-2:])
        result, limit = results.get(unique_id), limits.get(unique_id)
        state, text, seen_at = ERROR, f"source `{name}` counts as stale: ", now
        if not result:
            text += "its freshness has not been checked"
        elif limit and now - checked_at > timedelta(**{f"{limit['period']}s": limit["count"]}):
            text += f"its freshness has not been checked since {checked_at:%Y-%m-%d %H:%M} UTC, "
            text += f"{_words(limit)} are allowed"
        elif result["status"] == "runtime error":
            text, seen_at = f"{text}the check of its freshness failed", checked_at
        else:
            state, seen_at = _STATES.get(result["status"], WELL), checked_at
            text = f"source `{name}`{_age(result, state)}"
        yield Finding(f"source:{name}", state, text, seen_at)


def _age(result: dict[str, Any], state: str) -> str:
    if state == WELL:
        return ""
    limit = result["criteria"]["error_after" if state == ERROR else "warn_after"]
    # dbt gives the year 1 where there is no row.
    ever = not result["max_loaded_at"].startswith("0001-")
    hours = result["max_loaded_at_time_ago_in_s"] / 3600
    newest = f"its newest load is {hours:,.1f} hours old" if ever else "it holds no recent load"
    return f" is stale: {newest}, {_words(limit)} are allowed"


def of_build() -> Iterator[Finding]:
    """Yield how each test and model fared that the last build ran."""
    build = _artifact("build")
    if not build:
        return
    seen_at = datetime.fromisoformat(build["generated_at"])
    results = build["results"]
    # They are in the order in which they ended: what comes before a model that was skipped is why.
    statuses = [(_kind(it), it["status"]) for it in results]
    skipped = [n for n, status in enumerate(statuses) if status == ("model", "skipped")]
    wrong = [n for n, it in enumerate(results) if _STATES.get(it["status"]) == ERROR]
    cause = max((n for n in wrong if n < skipped[0]), default=None) if skipped else None
    for number, result in enumerate(results):
        if result["status"] == "skipped":
            continue  # it was not run, so it is as it was
        kind, _, name, *_ = result["unique_id"].split(".")
        state = _STATES.get(result["status"], WELL)
        text = f"{kind.replace('_', ' ')} `{name}`"
        if state != WELL:
            tested = _kind(result) == "test"
            text += _verdict(result) if tested else " was not built: dbt's log says why"
        if number == cause:
            models = "1 model was" if len(skipped) == 1 else f"{len(skipped)} models were"
            text += f"; {models} not built for that"
        yield Finding(f"{_kind(result)}:{result['unique_id']}", state, text, seen_at)


def _kind(result: dict[str, Any]) -> str:
    return "test" if result["unique_id"].startswith(("test.", "unit_test.")) else "model"


def _verdict(result: dict[str, Any]) -> str:
    if result["status"] == "error":
        return " could not be run: dbt's log says why"
    count, table, rows = result["failures"], result["relation_name"], result["rows"]
    said = " warns" if result["status"] == "warn" else " failed"
    said += f": {count:,} {'row' if count == 1 else 'rows'}" if count else ""
    said += f", stored in `{table.replace('`', '')}`" if count and table else ""
    return said + (f": {rows[0]}" if rows else "")


def _artifact(name: str) -> dict[str, Any] | None:
    """Return dbt's artifact; None where there is none, or one that is not whole."""
    try:
        return read(name)
    except PublishError:
        return None


def _limits(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the time after which no load is an error, by the source's unique id."""
    sources = (_artifact("manifest") or {"sources": {}})["sources"]
    demanded = {unique_id: it.get("freshness") or {} for unique_id, it in sources.items()}
    demanded |= {key: it["criteria"] for key, it in results.items() if "criteria" in it}
    limits = {unique_id: it.get("error_after") or {} for unique_id, it in demanded.items()}
    return {unique_id: it for unique_id, it in limits.items() if it.get("count")}


def _words(limit: dict[str, Any]) -> str:
    return f"{limit['count']} {limit['period']}{'' if limit['count'] == 1 else 's'}"
