"""Reads what dbt wrote about its last commands, in its folders (DBT_TARGET_PATH, DBT_LOG_PATH)."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FRESHNESS = "source freshness"
COMMANDS = {"build", "run", "test", "seed", "snapshot", FRESHNESS}  # those that are recorded
_RECORDED = {"retry": "build", "source": FRESHNESS} | {name: name for name in COMMANDS}
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
    command: str
    """One of COMMANDS; `dbt retry` is the command that it repeats."""
    ended_at: datetime
    started_at: datetime | None = None
    results: list[Json] = field(default_factory=list)
    """As dbt wrote them, one per node; none if dbt left none."""
    has_results: bool = True
    """Whether dbt wrote how the command ended."""
    is_full_refresh: bool = False


def read_invocations() -> list[Invocation]:
    """Return the last commands of dbt, the last one first; one that left no results comes first.

    They are the last build (or a part of one), the last check of freshness and, if the last command
    in dbt's log has left no results, this one: it did not parse, was killed, or a hook failed.
    """
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    found = []
    for name in ("run_results.json", "sources.json"):
        artifact = _read_json(target / name)
        with suppress(KeyError):  # not of dbt
            metadata = artifact["metadata"]
            found.append(
                Invocation(
                    metadata["invocation_id"],
                    artifact.get("args", {}).get("which", FRESHNESS),
                    ended_at=datetime.fromisoformat(metadata["generated_at"]),
                    started_at=datetime.fromisoformat(metadata["invocation_started_at"]),
                    results=artifact["results"],
                    is_full_refresh=bool(artifact.get("args", {}).get("full_refresh")),
                )
            )
    found = [invocation for invocation in found if invocation.command in COMMANDS]
    found.sort(key=lambda invocation: invocation.ended_at, reverse=True)
    last = _find_last_command(Path(os.environ.get("DBT_LOG_PATH") or "logs") / "dbt.log")
    if last and last.id not in {invocation.id for invocation in found}:
        found.insert(0, last)
    return found


def read_manifest() -> Json:
    """Return dbt's manifest; {} if there is none."""
    return _read_json(Path(os.environ.get("DBT_TARGET_PATH") or "target") / "manifest.json")


def _read_json(path: Path) -> Json:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):  # dbt was killed while it wrote
        return {}
    return content if isinstance(content, dict) else {}


def _find_last_command(log: Path) -> Invocation | None:
    """Return the last command in dbt's log, without results; None if it is none of COMMANDS."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    begins = list(_BEGIN_OF_LOG.finditer(text))
    if not begins:
        return None
    line = _COMMAND_LINE.search(text, begins[-1].end())
    words = [word for word in (line[1].split() if line else []) if word in _OTHERS | {*_RECORDED}]
    command = _RECORDED.get(words[0]) if words else None
    ended_at = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    return Invocation(begins[-1][1], command, ended_at, has_results=False) if command else None


def is_part(invocation: Invocation, manifest: Json) -> bool:
    """Return whether the command left out a node of the project that a whole build runs.

    So did a build that was interrupted. The freshness check is whole if it checked each source.
    """
    if invocation.command == FRESHNESS:
        nodes = {
            key: node
            for key, node in manifest.get("sources", {}).items()
            if read_limits(node.get("freshness") or {})
        }
    else:
        nodes = {
            key: node
            for key, node in manifest.get("nodes", {}).items()
            if key.startswith((*_BUILT, "test."))
            and node["config"].get("materialized") != "ephemeral"
        }
    return not nodes or not nodes.keys() <= {node["unique_id"] for node in invocation.results}


def read_limits(freshness: Json) -> Json:
    """Return the limits that are set, by name: {"count": 6, "period": "hour"}."""
    limits = {name: freshness.get(name) or {} for name in ("warn_after", "error_after")}
    return {name: limit for name, limit in limits.items() if limit.get("count")}


def find_causes(invocation: Invocation, parents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the failed nodes because of which each skipped model, snapshot or seed was not built.

    A test keeps from being built what comes after all that it tests; a unit test, also its model.
    """
    statuses = {result["unique_id"]: result["status"] for result in invocation.results}
    failed = [node for node, status in statuses.items() if status in FAILED]
    causes = {}
    for node, status in statuses.items():
        if status == "skipped" and node.startswith(_BUILT):
            upstream = _find_upstream(node, parents)
            causes[node] = [
                error
                for error in failed
                if error in upstream
                or (
                    error.startswith(("test.", "unit_test."))
                    and error in parents
                    and upstream.issuperset(parents[error])
                )
            ]
    return causes


def _find_upstream(node: str, parents: Mapping[str, list[str]]) -> set[str]:
    """Return the node and all that it is made from."""
    found, unread = set[str](), [node]
    while unread:
        found.add(name := unread.pop())
        unread += set(parents.get(name, [])) - found
    return found
