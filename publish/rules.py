"""What is wrong with the pipeline and what is well, by the rules of this table.

What failed only because of something else is named by its cause: one cause, one finding.

| kind | key | from | an error or warning if |
| --- | --- | --- | --- |
| run | command of dbt | `runs` | it left no results, and no whole one has followed |
| age | command of dbt | `runs` | none of the whole project ran within the limit of the sources |
| source | source | `runs` | it was stale when it was checked, or could not be checked |
| table | table | BigQuery | raw or a mart does not exist |
| model, test | node of dbt | `runs` | it failed or warned when it last ran |
| load | load id | ledgers | raw has records of it, the ledger no row |
| held-back load | load id | marts of loads | a person has to decide about it |
| task | task | scheduler | it failed |
| cost | `build` | `runs`, marts of loads | the last build billed much more than is usual |
"""

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote
from statistics import median

from publish.dbt_results import FRESHNESS
from publish.findings import ERROR, OK, WARNING, Finding, plural
from publish.run_rules import find_ages, find_failed_nodes, find_runs, find_stale_sources
from publish.state import NOT_BUILT, State

USUAL_BUILDS = 5  # fewer earlier builds are not enough to say what is usual
# Effects with their causes: kind and name, up to a `_` (`ingest_orders`); "" is each of the kind.
_CAUSES = {
    ("task", "build"): [("run", ""), ("model", ""), ("test", ""), ("held-back load", "")],
    ("task", "freshness"): [("run", ""), ("source", "")],
    ("age", "build"): [("run", ""), *(("task", name) for name in ("ingest", "freshness", "build"))],
    ("age", FRESHNESS): [("run", FRESHNESS), ("task", "ingest"), ("task", "freshness")],
}


def find_missing_tables(state: State) -> Iterator[Finding]:
    """Yield whether raw and the marts exist, once dbt has run."""
    commands = {source.raw: source.command for source in state.sources}
    for table, rows in state.sizes.values() if state.runs.nodes else ():
        found, text = (ERROR, " does not exist") if rows == NOT_BUILT else (OK, "")
        to_do = f"`dbt build` makes a mart again, `{commands.get(table, 'python -m ingest')}` raw."
        yield Finding("table", table, found, f"table `{table}`{text}", state.now, to_do=to_do)


def find_unfinished_loads(state: State) -> Iterator[Finding]:
    """Yield the loads of which raw has rows, and the ledger none: the loader died in between."""
    for source, load in state.unfinished:
        found, text = OK, f"load `{load.load_id}`{source.of}"
        if not load.is_in_ledger:
            found = ERROR
            text += f" is not finished, {load.records:,} {source.records} are in raw: run it again"
        seen = state.now, None, f"`{source.command} --load-id {quote(load.load_id)}` finishes it."
        yield Finding("load", load.load_id, found, text, *seen, of_source=source.of)


def find_held_back_loads(state: State) -> Iterator[Finding]:
    """Yield the loads that a person has to decide about, however old they are."""
    tests = {test.details.get("held_back"): test for test in state.runs.known.values()}
    for source, load in state.decided:
        test, load_id = tests.get(source.name), quote(load.load_id)
        found, text = OK, f"held-back load `{load.load_id}`{source.of}"
        if load.state == "held back":
            found = WARNING if test and test.status == "warn" else ERROR
            text = (
                f"load `{load.load_id}`{source.of} is held back until `{source.command} --accept "
                f"{load_id}` or `--set-aside {load_id}`: {load.rejected:,} of {load.received:,} "
                f"{source.records} are rejected: {load.rejection_reasons}"
            )
        elif load.state not in ("used", "set aside"):
            continue
        to_do = f"`stg_{source.name}__rejected` has its rejected {source.records}."
        seen = state.now, test.load_id if test else None, to_do
        yield Finding("held-back load", load.load_id, found, text, *seen, of_source=source.of)


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
        text += f"{plural(last.new_loads, 'new load')}; most of it "
        text += f"({_format_mb(last.node_billed)}) for `{last.node.split('.')[2]}`"
    to_do = "Does a statement read more partitions than before?"
    yield Finding("cost", "build", found, text, last.ended_at, to_do=to_do)


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


def find_all(state: State) -> list[Finding]:
    """Return all findings but the errors that others explain, which name them.

    A cause is of the same load as its effect: an error of an earlier run explains no new one.
    """
    found = {finding.key: finding for rule in RULES for finding in rule(state)}
    errors = [finding for finding in found.values() if finding.state == ERROR]
    for effect in sorted(errors, key=lambda finding: finding.kind != "task"):
        of_effect = _CAUSES.get((effect.kind, effect.name), [])
        causes = [
            cause
            for cause in errors
            if cause.key in found
            and cause.load_id == effect.load_id
            and {(cause.kind, cause.name.split("_")[0]), (cause.kind, "")}.intersection(of_effect)
        ]
        for cause in causes:
            text = effect.message.removesuffix(": its log says why")
            effects = (*found[cause.key].effects, text)
            found[cause.key] = replace(cause, effects=effects)
        if causes:
            del found[effect.key]
    return list(found.values())
