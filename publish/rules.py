"""What is wrong with the pipeline and what is well, by the rules of this table:

| kind | key | from | an error or warning if |
| --- | --- | --- | --- |
| run | command of dbt | `runs` | it left no results, and no whole one has followed |
| age | command of dbt | `runs` | none of the whole project ran within the limit of the sources |
| source | source | `runs` | it was stale when it was checked, or could not be checked |
| table | table | BigQuery | raw or a mart does not exist |
| model, test | node of dbt | `runs` | it failed or warned when it last ran |
| load | load id | ledger | raw has users of it, the ledger no row |
| held-back load | load id | `loads` | a person has to decide about it |
| task | task | scheduler | it failed |
| cost | `build` | `runs`, `loads` | the last build billed much more than is usual |
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from shlex import quote
from statistics import median
from typing import Any

from publish.dbt_results import FAILED, FRESHNESS
from publish.findings import ERROR, OK, WARNING, Finding
from publish.runs import CLOCK_TOLERANCE, DAYS, Result
from publish.state import State

USUAL_BUILDS = 5  # fewer earlier builds are not enough to say what is usual
_STATES = dict.fromkeys(FAILED, ERROR) | {"warn": WARNING}
_LOG = "dbt's log"
HELD_BACK_TEST = "test.randomuser.loads_have_few_rejected_users"
DEFAULT_LIMIT = {"count": 24, "period": "hour"}


def find_runs(state: State) -> Iterator[Finding]:
    """Yield the commands of dbt that left no results, and whether a whole one followed."""
    runs = state.runs
    for command, run in runs.unknown.items():
        text = f"`dbt {command}`" if command else "a command of dbt"
        later = runs.whole.get(FRESHNESS if command == FRESHNESS else "build")
        if command not in ("build", FRESHNESS, ""):  # a whole build does the same
            later = max(filter(None, (later, runs.commands.get(command))), key=_ended, default=None)
        if later and later.ended_at > run.ended_at:
            yield Finding("run", command, OK, text, later.ended_at, later.load_id)
            continue
        text += " left no results: it was killed, or could not read the project or use BigQuery"
        yield Finding("run", command, ERROR, text, run.ended_at, run.load_id, f"Read {_LOG}.")


def find_ages(state: State) -> Iterator[Finding]:
    """Yield whether the whole project was built, and all sources checked, within the limit."""
    limits = [_get_limit(result) for result in state.runs.nodes.values()]
    limit = max(filter(None, limits), key=_to_time, default=DEFAULT_LIMIT)
    for command in ("build", FRESHNESS):
        run = state.runs.whole.get(command)
        text, since = f"no whole `dbt {command}` is recorded", f"in the last {DAYS} days"
        if run and state.now - run.ended_at <= _to_time(limit):
            yield Finding("age", command, OK, f"a whole `dbt {command}`", run.ended_at)
            continue
        if run:
            since = f"since {run.ended_at:%Y-%m-%d %H:%M} UTC, the limit is {_format_limit(limit)}"
        to_do = f"Does the schedule run? `python -m publish history` records `dbt {command}`."
        yield Finding("age", command, ERROR, f"{text} {since}", state.now, state.load_id, to_do)


def find_stale_sources(state: State) -> Iterator[Finding]:
    """Yield how fresh each source was when it was checked; an old check says nothing."""
    for node, result in state.runs.known.items():
        limit = _get_limit(result)
        if not limit or state.now - result.ended_at > _to_time(limit):
            continue
        name, newest = ".".join(node.split(".")[-2:]), describe_newest_load(result, state.now)
        found, text = _STATES.get(result.status, OK), f"source `{name}`"
        if result.status == "runtime error":
            text = f"the check of the freshness of {text} failed"
        elif found != OK:
            limit = result.details["limits"]["error_after" if found == ERROR else "warn_after"]
            text += f" is stale: {newest}, the limit is {_format_limit(limit)}"
        to_do = "Does the schedule run? `python -m ingest` loads."
        yield Finding("source", name, found, text, result.ended_at, result.load_id, to_do)


def find_missing_tables(state: State) -> Iterator[Finding]:
    """Yield whether raw and the marts exist, once dbt has run."""
    for table, rows in state.sizes.values() if state.runs.nodes else ():
        is_there, text = rows is not None, f"table `{table}`"
        text += "" if is_there else " does not exist"
        to_do = "`dbt build` makes a mart again, `python -m ingest` raw."
        yield Finding("table", table, OK if is_there else ERROR, text, state.now, to_do=to_do)


def find_failed_nodes(state: State) -> Iterator[Finding]:
    """Yield how each model and test ended that ran; one that was skipped keeps its state.

    The test of the loads that are held back is left out when it finds some: each is a finding.
    """
    names, results = state.runs.names, state.runs.known.items()
    for node, result in results:
        if node.startswith("source.") or (node == HELD_BACK_TEST and result.failures):
            continue
        kind = "test" if node.startswith(("test.", "unit_test.")) else "model"
        found = _STATES.get(result.status, OK)
        text, to_do = f"{node.split('.')[0].replace('_', ' ')} `{names[node]}`", ""
        if found != OK and kind == "test":
            text += _describe_test(result)
            if result.failures and not (result.relation or result.details.get("rows")):
                to_do = f"`dbt test --select {names[node]} --store-failures` stores the rows."
        elif found != OK:
            text += f" was not built: {_LOG} says why"
            to_do = "`dbt retry` runs what failed and what was skipped."
        not_built = [
            names[skipped.node]
            for skipped in state.runs.nodes.values()
            if skipped.invocation_id == result.invocation_id
            and node in skipped.details.get("causes", ())
        ]
        were = "1 model was" if len(not_built) == 1 else f"{len(not_built)} models were"
        effects = (f"{were} not built: {', '.join(not_built)}",) if not_built else ()
        seen = result.ended_at, result.load_id
        yield Finding(kind, node, found, text, *seen, to_do, effects, result.since)


def find_unfinished_loads(state: State) -> Iterator[Finding]:
    """Yield the loads of which raw has users, and the ledger no row: the loader died in between."""
    for load in state.unfinished:
        found, text = OK, f"load `{load.load_id}`"
        if not load.is_in_ledger:
            found = ERROR
            text += f" is not finished, {load.users:,} users are in raw: run it again"
        to_do = f"`python -m ingest --load-id {quote(load.load_id)}` finishes it."
        yield Finding("load", load.load_id, found, text, state.now, to_do=to_do)


def find_held_back_loads(state: State) -> Iterator[Finding]:
    """Yield the loads that a person has to decide about, however old they are."""
    test = state.runs.known.get(HELD_BACK_TEST)
    for load in state.decided:
        load_id, text = quote(load.load_id), f"held-back load `{load.load_id}`"
        found = OK if load.state in ("used", "set aside") else None
        if load.state == "held back":
            found = WARNING if test and test.status == "warn" else ERROR
            text = (
                f"load `{load.load_id}` is held back until `python -m ingest --accept {load_id}` "
            )
            text += (
                f"or `--set-aside {load_id}`: {load.users_rejected:,} of {load.users_received:,} "
            )
            text += f"users are rejected: {load.rejection_reasons}"
        if found:
            run = test.load_id if test else None
            to_do = "`stg_randomuser__rejected` has its rejected users."
            yield Finding("held-back load", load.load_id, found, text, state.now, run, to_do)


def find_failed_tasks(state: State) -> Iterator[Finding]:
    """Yield the scheduler's tasks that failed or succeeded; others did not run."""
    of_load = f" of load `{state.load_id}`" if state.load_id else ""
    for name, ended in state.tasks.items():
        text = f"task `{name}`"
        if ended == "failed":
            text += f"{of_load} failed: its log says why"
            yield Finding("task", name, ERROR, text, state.now, state.load_id)
        elif ended == "success":
            yield Finding("task", name, OK, text, state.now, state.load_id)


def find_costly_build(state: State) -> Iterator[Finding]:
    """Yield whether the last build billed much more than builds with as many new loads did."""
    if len(state.builds) <= USUAL_BUILDS:
        return
    last, usual = state.builds[0], median(build.billed for build in state.builds[1:])
    text, found = "the bytes that `dbt build` billed", OK
    if last.billed > state.billed_ratio * usual:
        found, times = WARNING, f"{last.billed / usual:,.1f} times the {_format_mb(usual)}"
        text = f"`dbt build` billed {_format_mb(last.billed)}, {times} that are usual with "
        text += f"{last.new_loads} new load{'s' * (last.new_loads != 1)}; most of it "
        text += f"({_format_mb(last.node_billed)}) for `{last.node.split('.')[2]}`"
    to_do = "Does a statement read more partitions than before?"
    yield Finding("cost", "build", found, text, last.ended_at, to_do=to_do)


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
    count, rows = result.failures, result.details.get("rows")
    text = " warns" if result.status == "warn" else " failed"
    text += f": {count:,} {'row' if count == 1 else 'rows'}" if count else ""
    text += f", stored in `{result.relation}`" if count and result.relation else ""
    return text + (f": {'; '.join(rows)}" if rows else "")


def _ended(result: Result) -> datetime:
    return result.ended_at


def _get_limit(result: Result) -> dict[str, Any]:
    limit: dict[str, Any] = result.details.get("limits", {}).get("error_after", {})
    return limit


def _to_time(limit: dict[str, Any]) -> timedelta:
    return timedelta(**{f"{limit['period']}s": limit["count"]})


def _format_limit(limit: dict[str, Any]) -> str:
    return f"{limit['count']} {limit['period']}{'' if limit['count'] == 1 else 's'}"


def _format_mb(count: float) -> str:
    return f"{count / 2**20:,.0f} MB"


RULES = (
    find_runs,
    find_ages,
    find_stale_sources,
    find_missing_tables,
    find_failed_nodes,
    find_unfinished_loads,
    find_held_back_loads,
    find_failed_tasks,
    find_costly_build,
)
