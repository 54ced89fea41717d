"""Draws the ERD of the marts from their contracts and relationship tests: `make erd`.

It prints Markdown. dbterd reads dbt's manifest, for which no warehouse is needed; it wants a
catalog beside it and is given an empty one.
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
TEXT = """# The marts and how they hang together

Drawn by [dbterd](https://dbterd.datnguyen.de) from the contracts and relationship tests in
`models/marts/_marts__models.yml`. `make erd` draws it anew; a test fails when it no longer fits.

```mermaid
{diagram}
```
"""


def main() -> None:
    """Print the page."""
    programs = str(Path(sys.executable).parent)
    with TemporaryDirectory() as folder:
        environment = os.environ | {
            "DBT_TARGET_PATH": folder,
            "DBT_LOG_PATH": folder,
        }
        parse = [f"{programs}/dbt", "--quiet", "parse", "--target", "local"]
        subprocess.run(parse, env=environment, check=True)
        Path(folder, "catalog.json").write_text(json.dumps(CATALOG))
        draw = [f"{programs}/dbterd", "run", "--target", "mermaid", "--entity-name-format", "model"]
        draw += ["--artifacts-dir", folder, "--output", folder, "--output-file-name", "erd.md"]
        for mart in MARTS:
            draw += ["--select", f"wildcard:model.randomuser.{mart}"]
        subprocess.run(draw, env=environment, check=True, capture_output=True)
        diagram = Path(folder, "erd.md").read_text().strip()
    print(TEXT.format(diagram=diagram), end="")


if __name__ == "__main__":
    main()
