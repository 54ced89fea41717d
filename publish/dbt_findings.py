"""Findings from dbt's artifacts: how fresh the sources are, and what the tests and models returned.

A source counts as stale if its freshness was not checked, or not within its `error_after`. A test
or model that the last `dbt build` did not run keeps its state; skipped models are named in the
alert of the failure upstream. The test of the loads that are held back is left out when it finds
some: each of them is a finding of its own.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from publish.artifacts import HELD_BACK_TEST, name_nodes, read_if_complete
from publish.causes import find_not_built
from publish.findings import ERROR, OK, WARNING, Finding

_STATES = {"fail": ERROR, "error": ERROR, "partial success": ERROR}
_STATES |= {"runtime error": ERROR, "warn": WARNING}
CLOCK_TOLERANCE = timedelta(minutes=5)  # between this machine and the warehouse


def check_sources(now: datetime) -> Iterator[Finding]:
    """Yield the state of each source that has a freshness in the project."""
    artifact = read_if_complete("sources")
    results = {result["unique_id"]: result for result in artifact["results"]} if artifact else {}
    checked_at = datetime.fromisoformat(artifact["metadata"]["generated_at"]) if artifact else now
    limits = _read_limits(results)
    if not limits | results:
        text = "no source's freshness has been checked: run `dbt source freshness`"
        yield Finding("source:all", ERROR, text, now)
        return
    yield Finding("source:all", OK, "the freshness of the sources", now)
    for unique_id in sorted(limits | results):
        name = ".".join(unique_id.split(".")[-2:])
        result, limit = results.get(unique_id), limits.get(unique_id)
        state, text, seen_at = ERROR, f"source `{name}` counts as stale: ", now
        if not result:
            text += "its freshness has not been checked"
        elif limit and now - checked_at > timedelta(**{f"{limit['period']}s": limit["count"]}):
            text += f"its freshness has not been checked since {checked_at:%Y-%m-%d %H:%M} UTC, "
            text += f"the limit is {_format_limit(limit)}"
        elif result["status"] == "runtime error":
            text, seen_at = f"{text}the check of its freshness failed", checked_at
        else:
            state, seen_at = _STATES.get(result["status"], OK), checked_at
            text = f"source `{name}`"
            if state != OK:
                limit = result["criteria"]["error_after" if state == ERROR else "warn_after"]
                newest = describe_newest_load(result, now)
                text += f" is stale: {newest}, the limit is {_format_limit(limit)}"
        yield Finding(f"source:{name}", state, text, seen_at)


def describe_newest_load(result: dict[str, Any], now: datetime) -> str:
    """Return how old the newest load is `now`; the result of a check of freshness knows it."""
    if "max_loaded_at" not in result:
        return "its newest load is not known"
    newest = datetime.fromisoformat(result["max_loaded_at"])
    if newest.year == 1:  # dbt's time for no row
        return "it has no recent load"
    age = now - newest
    if age < -CLOCK_TOLERANCE:
        return f"its newest load is dated in the future, {newest:%Y-%m-%d %H:%M} UTC"
    return f"its newest load is {max(age / timedelta(hours=1), 0):,.1f} hours old"


def check_build() -> Iterator[Finding]:
    """Yield the state of each test and model that the last build ran."""
    build = read_if_complete("build")
    if not build:
        return
    seen_at = datetime.fromisoformat(build["generated_at"])
    results = build["results"]
    statuses = {result["unique_id"]: result["status"] for result in results}
    errors = {node for node, status in statuses.items() if _STATES.get(status) == ERROR}
    parents = (read_if_complete("manifest") or {}).get("parent_map", {}) if errors else {}
    not_built, names = find_not_built(statuses, errors, parents), name_nodes(results)
    for result in results:
        if result["status"] == "skipped":
            continue  # not run: its state is unchanged
        if result["unique_id"] == HELD_BACK_TEST and result["status"] in ("fail", "warn"):
            continue
        node_type = result["unique_id"].split(".")[0].replace("_", " ")
        state = _STATES.get(result["status"], OK)
        text = f"{node_type} `{names[result['unique_id']]}`"
        if state != OK:
            is_test = _get_kind(result) == "test"
            text += _describe_test(result) if is_test else " was not built: dbt's log says why"
        effects: tuple[str, ...] = ()
        if models := not_built.get(result["unique_id"]):
            were = "1 model was" if len(models) == 1 else f"{len(models)} models were"
            effects = (f"{were} not built: {', '.join(models)}",)
        key = f"{_get_kind(result)}:{result['unique_id']}"
        yield Finding(key, state, text, seen_at, effects)


def _get_kind(result: dict[str, Any]) -> str:
    return "test" if result["unique_id"].startswith(("test.", "unit_test.")) else "model"


def _describe_test(result: dict[str, Any]) -> str:
    if result["status"] == "error":
        return " could not be run: dbt's log says why"
    count, table, rows = result["failures"], result["relation_name"], result["rows"]
    text = " warns" if result["status"] == "warn" else " failed"
    text += f": {count:,} {'row' if count == 1 else 'rows'}" if count else ""
    text += f", stored in `{table.replace('`', '')}`" if count and table else ""
    return text + (f": {rows[0]}" if rows else "")


def _read_limits(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the time after which a source without a load is an error, by its unique id."""
    sources = (read_if_complete("manifest") or {"sources": {}})["sources"]
    criteria = {key: source.get("freshness") or {} for key, source in sources.items()}
    criteria |= {key: res["criteria"] for key, res in results.items() if "criteria" in res}
    limits = {key: freshness.get("error_after") or {} for key, freshness in criteria.items()}
    return {key: limit for key, limit in limits.items() if limit.get("count")}


def _format_limit(limit: dict[str, Any]) -> str:
    return f"{limit['count']} {limit['period']}{'' if limit['count'] == 1 else 's'}"
