"""`python -m ingest`: see ingest/cli.py."""

import sys

if __name__ == "__main__":
    # Google's client and pyarrow import these where they are installed, as dbt-bigquery does: for
    # what the loader does not use, and with half of its memory. None: the module is not there.
    sys.modules |= dict.fromkeys(("grpc", "numpy", "pandas"))  # type: ignore[arg-type]
    from ingest.cli import main

    sys.exit(main())
