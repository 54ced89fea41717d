"""`python -m ingest`: see ingest/cli.py."""

import sys

if __name__ == "__main__":
    # Google's client and pyarrow import these modules if they are installed, as with dbt-bigquery.
    # The loader does not need them, and they double its memory. None: the import fails.
    sys.modules |= dict.fromkeys(("grpc", "numpy", "pandas"))  # type: ignore[arg-type]
    from ingest.cli import main

    sys.exit(main())
