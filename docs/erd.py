"""Draws the ERD of the marts from their contracts and relationship tests: `make erd`.

The script prints Markdown. dbterd reads the manifest in dbt's target folder (DBT_TARGET_PATH,
target). dbterd also requires a catalog, and gets an empty catalog.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

DRAW = ["run", "--target=mermaid", "--entity-name-format=model", "--output-file-name=erd.md"]
MARTS = [f"--select=wildcard:model.randomuser.{name}" for name in ("users", "logins", "locations")]
CATALOG = {
    "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/catalog/v1.json"},
    "nodes": {},
    "sources": {},
}
PAGE = """# The marts and their relationships

Drawn by [dbterd](https://dbterd.datnguyen.de) from the contracts and relationship tests in
`models/_randomuser__models.yml`. `make erd` draws the diagram again; a test fails if the page is
outdated.

```mermaid
{diagram}
```
"""


def main() -> None:
    """Print the page."""
    manifest = Path(os.environ.get("DBT_TARGET_PATH", "target"), "manifest.json")
    with TemporaryDirectory() as folder:
        shutil.copy(manifest, folder)
        Path(folder, "catalog.json").write_text(json.dumps(CATALOG))
        folders = [f"--artifacts-dir={folder}", f"--output={folder}"]
        dbterd = Path(sys.executable).with_name("dbterd")
        subprocess.run([dbterd, *DRAW, *folders, *MARTS], check=True, capture_output=True)
        diagram = Path(folder, "erd.md").read_text().strip()
    print(PAGE.format(diagram=diagram), end="")


if __name__ == "__main__":
    main()
