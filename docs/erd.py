"""Draws the ERD of the marts from their contracts and relationship tests: `make erd`.

The script prints Markdown. dbterd reads dbt's manifest, which needs no warehouse; dbterd also
requires a catalog, and gets an empty catalog.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

MARTS = ("users", "logins", "locations")
CATALOG = {
    "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/catalog/v1.json"},
    "nodes": {},
    "sources": {},
}
PAGE = """# The marts and their relationships

Drawn by [dbterd](https://dbterd.datnguyen.de) from the contracts and relationship tests in
`models/marts/_marts__models.yml`. `make erd` draws the diagram again; a test fails if the page is
outdated.

```mermaid
{diagram}
```
"""


def main() -> None:
    """Print the page."""
    bin_folder = str(Path(sys.executable).parent)
    with TemporaryDirectory() as folder:
        environment = os.environ | {
            "DBT_TARGET_PATH": folder,
            "DBT_LOG_PATH": folder,
        }
        parse = [f"{bin_folder}/dbt", "--quiet", "parse", "--target", "local"]
        subprocess.run(parse, env=environment, check=True)
        Path(folder, "catalog.json").write_text(json.dumps(CATALOG))
        draw = [
            f"{bin_folder}/dbterd",
            "run",
            "--target",
            "mermaid",
            "--entity-name-format",
            "model",
        ]
        draw += ["--artifacts-dir", folder, "--output", folder, "--output-file-name", "erd.md"]
        for mart in MARTS:
            draw += ["--select", f"wildcard:model.randomuser.{mart}"]
        subprocess.run(draw, env=environment, check=True, capture_output=True)
        diagram = Path(folder, "erd.md").read_text().strip()
    print(PAGE.format(diagram=diagram), end="")


if __name__ == "__main__":
    main()
