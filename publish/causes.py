"""Finds what failed only because of something else: one cause, one finding, which names it."""

from dataclasses import replace

from publish.dbt_results import FRESHNESS
from publish.findings import ERROR, Finding
from publish.rules import RULES
from publish.state import State

# Effects with their causes: kind and name; without a name, all of the kind.
_CAUSES = {
    ("task", "build"): [("run", ""), ("model", ""), ("test", ""), ("held-back load", "")],
    ("task", "freshness"): [("run", ""), ("source", "")],
    ("age", "build"): [("run", ""), *(("task", name) for name in ("ingest", "freshness", "build"))],
    ("age", FRESHNESS): [("run", ""), ("task", "ingest"), ("task", "freshness")],
}


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
            and {(cause.kind, cause.name), (cause.kind, "")}.intersection(of_effect)
        ]
        for cause in causes:
            text = effect.message.removesuffix(": its log says why")
            effects = (*found[cause.key].effects, text)
            found[cause.key] = replace(cause, effects=effects)
        if causes:
            del found[effect.key]
    return list(found.values())
