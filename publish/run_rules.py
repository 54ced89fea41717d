"""The rules of what is recorded of dbt, in the table `runs`: see publish/rules.py."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from publish.dbt_results import FAILED, FRESHNESS
from publish.findings import ERROR, OK, WARNING, Finding, plural
from publish.runs import CLOCK_TOLERANCE, DAYS, Result, Source
from publish.state import State

DEFAULT_LIMIT = {"count": 24, "period": "hour"}
_STATES = dict.fromkeys(FAILED, ERROR) | {"warn": WARNING}
_LOG = "dbt's log"


def find_runs(state: State) -> Iterator[Finding]:
    """Yield the commands of dbt that left no results, and whether a whole one followed."""
    runs = state.runs
    for command, run in runs.unknown.items():
        later = [runs.whole.get(FRESHNESS if command == FRESHNESS else "build")]
        if command not in ("build", FRESHNESS):  # of other commands, a part does the same
            later.append(runs.parts.get(command))
        text = f"`dbt {command}`" if command else "a command of dbt"
        followed = [each for each in later if each and each.ended_at > run.ended_at]
        if followed:
            last = max(followed, key=lambda result: result.ended_at)
            yield Finding("run", command, OK, text, last.ended_at, last.load_id)
            continue
        text += " left no results: it was killed, or could not read the project or use BigQuery"
        yield Finding("run", command, ERROR, text, run.ended_at, run.load_id, f"Read {_LOG}.")


def find_ages(state: State) -> Iterator[Finding]:
    """Yield whether the whole project was built, and all sources checked, within the limit."""
    limits = [_get_limit(result) for result in state.runs.nodes.values()]
    limit = max(filter(None, limits), key=_to_time, default=DEFAULT_LIMIT)
    for command in ("build", FRESHNESS):
        run = state.runs.whole.get(command)
        if run and state.now - run.ended_at <= _to_time(limit):
            yield Finding("age", command, OK, f"a whole `dbt {command}`", run.ended_at)
            continue
        since = f"in the last {DAYS} days"
        if run:
            since = f"since {run.ended_at:%Y-%m-%d %H:%M} UTC, the limit is {_format_limit(limit)}"
        text = f"no whole `dbt {command}` is recorded {since}"
        to_do = f"Does the schedule run? `python -m publish history` records `dbt {command}`."
        yield Finding("age", command, ERROR, text, state.now, state.load_id, to_do)


def find_stale_sources(state: State) -> Iterator[Finding]:
    """Yield how fresh each source was when it was checked; an old check says nothing."""
    for node, result in state.runs.known.items():
        limit = _get_limit(result)
        if not limit or state.now - result.ended_at > _to_time(limit):
            continue
        source, found = Source(*node.split(".")[-2:]), _STATES.get(result.status, OK)
        name = f"{source.name}.{source.records}"
        text = f"source `{name}`"
        if result.status == "runtime error":
            text = f"the check of the freshness of {text} failed"
        elif found != OK:
            limit = result.details["limits"]["error_after" if found == ERROR else "warn_after"]
            age = describe_newest_load(result, state.now)
            text += f" is stale: {age}, the limit is {_format_limit(limit)}"
        to_do = f"Does the schedule run? `{source.command}` loads."
        yield Finding("source", name, found, text, result.ended_at, result.load_id, to_do)


def find_failed_nodes(state: State) -> Iterator[Finding]:
    """Yield how each model and test ended that ran; one that was skipped keeps its state.

    The test of the loads that are held back is left out when it finds some: each is a finding.
    """
    names = state.runs.names
    for node, result in state.runs.known.items():
        if node.startswith("source.") or ("held_back" in result.details and result.failures):
            continue
        kind = "test" if node.startswith(("test.", "unit_test.")) else "model"
        found, to_do = _STATES.get(result.status, OK), ""
        text = f"{node.split('.')[0].replace('_', ' ')} `{names[node]}`"
        if found != OK and kind == "test":
            text += _describe_test(result)
            if result.failures and not (result.relation or result.details.get("rows")):
                to_do = f"`dbt test --select {names[node]} --store-failures` stores the rows."
        elif found != OK:
            text += f" was not built: {_LOG} says why"
            to_do = "`dbt retry` runs what failed and what was skipped."
        stopped = [
            names[skipped.node]
            for skipped in state.runs.nodes.values()
            if skipped.invocation_id == result.invocation_id
            and node in skipped.details.get("causes", ())
        ]
        were = "was" if len(stopped) == 1 else "were"
        effect = f"{plural(len(stopped), 'model')} {were} not built: {', '.join(stopped)}"
        effects = (effect,) if stopped else ()
        seen = result.ended_at, result.load_id
        yield Finding(kind, node, found, text, *seen, to_do, effects, result.since)


def describe_newest_load(result: Result, now: datetime) -> str:
    """Return how old the newest load is `now`; the result of a check of freshness knows it."""
    if not result.details.get("newest"):
        return "its newest load is not known"
    newest = datetime.fromisoformat(result.details["newest"])
    if newest.year == 1:  # dbt's time for no row
        return "it has no recent load"
    age = now - newest
    if age < -CLOCK_TOLERANCE:
        return f"its newest load is dated in the future, {newest:%Y-%m-%d %H:%M} UTC"
    return f"its newest load is {max(age / timedelta(hours=1), 0):,.1f} hours old"


def _describe_test(result: Result) -> str:
    if result.status == "error":
        return f" could not be run: {_LOG} says why"
    rows, text = result.details.get("rows"), " warns" if result.status == "warn" else " failed"
    if result.failures:
        text += f": {plural(result.failures, 'row')}"
        text += f", stored in `{result.relation}`" if result.relation else ""
    return text + (f": {'; '.join(rows)}" if rows else "")


def _get_limit(result: Result) -> dict[str, Any]:
    limit: dict[str, Any] = result.details.get("limits", {}).get("error_after", {})
    return limit


def _to_time(limit: dict[str, Any]) -> timedelta:
    return timedelta(**{f"{limit['period']}s": limit["count"]})


def _format_limit(limit: dict[str, Any]) -> str:
    return plural(limit["count"], limit["period"])
