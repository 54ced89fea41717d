"""What dbt wrote down about its last runs, in its target folder."""

import json
import os
from pathlib import Path
from typing import Any


class PublishError(RuntimeError):
    """Something to publish is not there; the text says what to run first."""


def read(name: str) -> dict[str, Any]:
    """Return dbt's artifact `name` ("manifest", "run_results", "sources"); raises PublishError."""
    path = Path(os.environ.get("DBT_TARGET_PATH", "target")) / f"{name}.json"
    try:
        artifact: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        command = "dbt source freshness" if name == "sources" else "dbt build"
        raise PublishError(f"{path} is not there: run `{command}` first") from None
    except ValueError:
        raise PublishError(f"{path} is not whole: run `dbt build` again") from None
    return artifact


def mart(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the manifest's entry of the mart `name`."""
    node: dict[str, Any] = manifest["nodes"][f"model.randomuser.{name}"]
    return node
