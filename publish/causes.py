"""Finds what failed only because something upstream did: one cause, one alert, which names it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from publish.findings import ERROR, OK, Finding


def find_not_built(
    statuses: Mapping[str, str], errors: set[str], parents: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return the models that were skipped because of each of the `errors`.

    All are unique ids of dbt: `statuses` of a build, and `parents` of each node of the project. A
    test keeps from being built what comes after all that it tests; a unit test, also its model.
    """
    not_built = defaultdict(list)
    for node, status in statuses.items():
        if status != "skipped" or not node.startswith(("model.", "snapshot.", "seed.")):
            continue
        upstream = _find_upstream(node, parents)
        for error in errors:
            is_test = error.startswith(("test.", "unit_test."))
            if upstream.issuperset(parents.get(error, []) if is_test else [error]):
                not_built[error].append(node.split(".")[2])
    return not_built


def _find_upstream(node: str, parents: Mapping[str, list[str]]) -> set[str]:
    """Return the node and all that it is made from."""
    found, unread = set[str](), [node]
    while unread:
        found.add(name := unread.pop())
        unread += set(parents.get(name, [])) - found
    return found


def name_effects(all_findings: list[Finding]) -> list[Finding]:
    """Return the findings that no error explains; the errors name those that they explain."""
    findings = {finding.key: finding for finding in all_findings}
    # Tasks first: a task that failed because of a source may fail because of what explains this.
    for effect in sorted(all_findings, key=lambda finding: not finding.key.startswith("task:")):
        errors = [finding for finding in findings.values() if finding.state == ERROR]
        causes = [cause for cause in errors if effect.state != OK and _explains(cause, effect)]
        for cause in causes:
            text = findings[effect.key].message.removesuffix(": its log says why")
            findings[cause.key] = replace(cause, effects=(text, *cause.effects))
        if causes:
            del findings[effect.key]
    return list(findings.values())


def _explains(cause: Finding, effect: Finding) -> bool:
    if effect.key == "task:build":
        return cause.key.startswith(("model:", "test:", "held-back load:"))
    if effect.key == "task:freshness":  # it fails if it finds a source stale
        return cause.key.startswith("source:") and cause.seen_at < effect.seen_at
    is_unchecked = effect.seen_at >= cause.seen_at
    tasks = ("task:ingest", "task:freshness") if is_unchecked else ("task:ingest",)
    return effect.key.startswith("source:") and cause.key in tasks
