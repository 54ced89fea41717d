"""Reads what dbt wrote about its last runs into its target folder (DBT_TARGET_PATH, target)."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

FILES = {
    "manifest": "manifest.json",
    "sources": "sources.json",
    # From macros/end_of_run.sql: dbt's run_results.json is overwritten by every command.
    "build": "run/randomuser/dbt_project.yml/hooks/randomuser-on-run-end-0.sql",
}
# It fails or warns because of loads that alert and report read from the mart `loads`.
HELD_BACK_TEST = "test.randomuser.loads_have_few_rejected_users"


class PublishError(RuntimeError):
    """Something to publish is missing; the text says what to run first."""


def read_artifact(name: str) -> dict[str, Any]:
    """Return one of FILES; raise PublishError if the file is missing or incomplete."""
    path = Path(os.environ.get("DBT_TARGET_PATH") or "target") / FILES[name]
    try:
        artifact: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        command = "dbt source freshness" if name == "sources" else "dbt build"
        raise PublishError(f"there is no {path}: run `{command}` first") from None
    except ValueError:
        raise PublishError(f"{path} is incomplete: run `dbt build` again") from None
    return artifact


def read_if_complete(name: str) -> dict[str, Any] | None:
    """Return one of FILES; None if the file is missing or incomplete."""
    try:
        return read_artifact(name)
    except PublishError:
        return None


def name_nodes(results: list[dict[str, Any]]) -> dict[str, str]:
    """Return the name of each node by unique id, with its hash or model if two share the name."""
    keys = [result["unique_id"] for result in results]
    names = {key: key.split(".")[-1 if key.startswith("unit_test.") else 2] for key in keys}
    uses = Counter(names.values())
    return {key: name if uses[name] == 1 else key.split(".", 2)[2] for key, name in names.items()}
