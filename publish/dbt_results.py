"""Reads what dbt wrote about its last commands, in its folders (DBT_TARGET_PATH, DBT_LOG_PATH)."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

FRESHNESS, NO_RESULTS = "source freshness", "no results"
_RECORDED = {name: name for name in ("build", "run", "test", "seed", "snapshot")}
_RECORDED |= {"retry": "build", "source": FRESHNESS}
_OTHERS = {"clean", "clone", "compile", "debug", "deps", "docs", "init", "list", "ls", "parse"}
_OTHERS |= {"run-operation", "show"}
FAILED = {"fail", "error", "runtime error", "partial success"}
_BUILT = ("model.", "snapshot.", "seed.")
_BEGIN_OF_LOG = re.compile(r"^=+ [\d:.]+ \| ([0-9a-f-]{36}) =+$", re.MULTILINE)
_COMMAND_LINE = re.compile(r"""'invocation_command': ["']dbt ([^,}"']*)""")
Json = dict[str, Any]


@dataclass
class Invocation:
    """A command of dbt that has ended."""

    id: str
    command: str  # `build`, `source freshness`...; `dbt retry` is the command that it repeats
    ended_at: datetime
    started_at: datetime | None = None
    results: list[Json] = field(default_factory=list)  # as dbt wrote them, one per node
    has_results: bool = True  # whether dbt wrote how the command ended
    is_full_refresh: bool = False

    @property
    def status(self) -> str:
        """NO_RESULTS, error or success."""
        if not self.has_results or (self.command == FRESHNESS and not self.results):
            return NO_RESULTS
        return "error" if any(each["status"] in FAILED for each in self.results) else "success"


def read_invocations() -> list[Invocation]:
    """Return the last commands of dbt, the last one first; one that left no results comes first.

    They are the last build (or a part of one), the last check of freshness and, if the last command
    in dbt's log has left no results, this one: it did not parse, was killed, or a hook failed.
    """
    found = []
    for name in ("run_results.json", "sources.json"):
        artifact = _read_target(name)
        with suppress(KeyError):  # not of dbt
            metadata, args = artifact["metadata"], artifact.get("args", {})
            invocation = Invocation(
                metadata["invocation_id"],
                args.get("which", FRESHNESS),
                datetime.fromisoformat(metadata["generated_at"]),
                datetime.fromisoformat(metadata["invocation_started_at"]),
                artifact["results"],
                is_full_refresh=bool(args.get("full_refresh")),
            )
            if invocation.command in _RECORDED.values():
                found.append(invocation)
    found.sort(key=lambda invocation: invocation.ended_at, reverse=True)
    last = _find_last_command(Path(os.environ.get("DBT_LOG_PATH") or "logs") / "dbt.log")
    return [last, *found] if last and last.id not in {each.id for each in found} else found


def read_manifest() -> Json:
    """Return dbt's manifest; {} if there is none."""
    return _read_target("manifest.json")


def _read_target(name: str) -> Json:
    try:
        content = json.loads(Path(os.environ.get("DBT_TARGET_PATH") or "target", name).read_text())
    except (OSError, ValueError):  # dbt was killed while it wrote
        return {}
    return content if isinstance(content, dict) else {}


def _find_last_command(log: Path) -> Invocation | None:
    """Return the last command in dbt's log, without results; None if it is not recorded."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    if not (begins := list(_BEGIN_OF_LOG.finditer(text))):
        return None
    line = _COMMAND_LINE.search(text, begins[-1].end())
    words = (word for word in (line[1].split() if line else ()) if word in {*_RECORDED} | _OTHERS)
    command = _RECORDED.get(next(words, ""))
    ended_at = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    return Invocation(begins[-1][1], command, ended_at, has_results=False) if command else None


def is_part(invocation: Invocation, manifest: Json) -> bool:
    """Return whether the command left out a node of the project that a whole build runs.

    So did a build that was interrupted. The freshness check is whole if it checked each source.
    """
    if invocation.command == FRESHNESS:
        sources = manifest.get("sources", {}).items()
        nodes = {key for key, source in sources if read_limits(source.get("freshness") or {})}
    else:
        nodes = {
            key
            for key, node in manifest.get("nodes", {}).items()
            if key.startswith((*_BUILT, "test.")) and node["config"]["materialized"] != "ephemeral"
        }
    return not nodes or not nodes <= {node["unique_id"] for node in invocation.results}


def read_limits(freshness: Json) -> Json:
    """Return the limits that are set, by name: {"count": 6, "period": "hour"}."""
    limits = {name: freshness.get(name) or {} for name in ("warn_after", "error_after")}
    return {name: limit for name, limit in limits.items() if limit.get("count")}


def find_causes(invocation: Invocation, parents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the failed nodes because of which each skipped model, snapshot or seed was not built.

    `parents` is the manifest's parent_map. A test keeps from being built what comes after all that
    it tests; a unit test, also its model.
    """
    statuses = {result["unique_id"]: result["status"] for result in invocation.results}
    needed = {  # what a node comes after that is not built because of the failure
        node: {*parents.get(node, [node])} if node.startswith(("test.", "unit_test.")) else {node}
        for node, status in statuses.items()
        if status in FAILED
    }

    @cache
    def list_upstream(node: str) -> set[str]:
        return {node}.union(*map(list_upstream, parents.get(node, [])))

    return {
        node: [error for error, tested in needed.items() if tested <= list_upstream(node)]
        for node, status in statuses.items()
        if status == "skipped" and node.startswith(_BUILT)
    }
