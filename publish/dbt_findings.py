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
    artifact = _artifact("sources") or {"results": [], "metadata": {"generated_at": None}}
    limits = _limits() | {it["unique_id"]: it["criteria"] for it in artifact["results"] if _ran(it)}
    results = {it["unique_id"]: it for it in artifact["results"]}
    if not limits | results:
        text = "no source's freshness has been checked: run `dbt source freshness`"
        yield Finding("source:all", ERROR, text, now)
        return
    yield Finding("source:all", WELL, "the freshness of the sources", now)
    for unique_id in sorted(limits | results):
        name = ".".join(unique_id.split(".")[-2:])
        error_after = limits.get(unique_id, {}).get("error_after")
        if unique_id not in results:
            text = f"source `{name}` counts as stale: its freshness has not been checked"
            yield Finding(f"source:{name}", ERROR, text, now)
            continue
        checked_at = datetime.fromisoformat(artifact["metadata"]["generated_at"])
        if _given(error_after) and now - checked_at > _time(error_after):
            text = (
                f"source `{name}` counts as stale: its freshness has not been checked since "
                f"{checked_at:%Y-%m-%d %H:%M} UTC, {_words(error_after)} are allowed"
            )
            yield Finding(f"source:{name}", ERROR, text, now)
        else:
            yield _source(name, results[unique_id], checked_at)


def _source(name: str, result: dict[str, Any], checked_at: datetime) -> Finding:
    state = _STATES.get(result["status"], WELL)
    if not _ran(result):
        text = f"source `{name}` counts as stale: the check of its freshness failed"
    elif state == WELL:
        text = f"source `{name}`"
    else:
        limit = result["criteria"]["error_after" if state == ERROR else "warn_after"]
        # dbt gives the year 1 where there is no row.
        ever = not result["max_loaded_at"].startswith("0001-")
        hours = result["max_loaded_at_time_ago_in_s"] / 3600
        newest = f"its newest load is {hours:,.1f} hours old" if ever else "it holds no recent load"
        text = f"source `{name}` is stale: {newest}, {_words(limit)} are allowed"
    return Finding(f"source:{name}", state, text, checked_at)


def of_build() -> Iterator[Finding]:
    """Yield how each test and model fared that the last build ran."""
    build = _artifact("build")
    if not build:
        return
    seen_at = datetime.fromisoformat(build["generated_at"])
    results = build["results"]
    # They are in the order in which they ended: what comes before a model that was skipped is why.
    skipped = [
        n for n, it in enumerate(results) if (_kind(it), it["status"]) == ("model", "skipped")
    ]
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


def _limits() -> dict[str, dict[str, Any]]:
    """Return the freshness that the project demands, by the source's unique id."""
    sources = (_artifact("manifest") or {"sources": {}})["sources"]
    demanded = {unique_id: it.get("freshness") or {} for unique_id, it in sources.items()}
    return {unique_id: it for unique_id, it in demanded.items() if _given(it.get("error_after"))}


def _ran(result: dict[str, Any]) -> bool:
    return bool(result["status"] != "runtime error")


def _given(limit: dict[str, Any] | None) -> bool:
    return bool(limit and limit["count"])


def _time(limit: dict[str, Any]) -> timedelta:
    return timedelta(**{f"{limit['period']}s": limit["count"]})


def _words(limit: dict[str, Any]) -> str:
    return f"{limit['count']} {limit['period']}{'' if limit['count'] == 1 else 's'}"
