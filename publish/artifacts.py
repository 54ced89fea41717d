"""What dbt wrote down about its last runs, in its target folder (DBT_TARGET_PATH, target)."""

import json
import os
from pathlib import Path
from typing import Any

FILES = {
    "manifest": "manifest.json",
    "sources": "sources.json",
    # By macros/end_of_run.sql: every command writes run_results.json over that of the last build.
    "build": "run/randomuser/dbt_project.yml/hooks/randomuser-on-run-end-0.sql",
}


class PublishError(RuntimeError):
    """Something to publish is not there; the text says what to run first."""


def read(name: str) -> dict[str, Any]:
    """Return one of FILES; raises PublishError, which says what to run first."""
    path = Path(os.environ.get("DBT_TARGET_PATH", "target")) / FILES[name]
    try:
        artifact: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        command = "dbt source freshness" if name == "sources" else "dbt build"
        raise PublishError(f"there is no {path}: run `{command}` first") from None
    except ValueError:
        raise PublishError(f"{path} is not whole: run `dbt build` again") from None
    return artifact
